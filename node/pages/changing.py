"""Changes of the configuration by a form: who, what for, and what he is told if it does not go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException

from radnode.config.loading import ConfigError
from radnode.node.configuring import NotWritable, Stale

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Request
    from ruamel.yaml.comments import CommentedMap

    from radnode.node.configuring import ConfigurationDesk


def change(
    desk: ConfigurationDesk, request: Request, edit: Callable[[CommentedMap], None], *, note: str, seen: str
) -> None:
    """Change it in the name of who asks. seen: digest of what he saw. Raises HTTPException 409, 422 with sentences."""
    try:
        desk.change(edit, author=request.app.state.identity(request).name, note=note, seen=seen)
    except (Stale, NotWritable) as error:
        raise HTTPException(409, str(error)) from error
    except ConfigError as error:
        raise HTTPException(422, "; ".join(told(error))) from error


def seen(desk: ConfigurationDesk) -> str:
    """The digest that a form carries; empty where there is no file to change."""
    try:
        return desk.digest
    except NotWritable:
        return ""


def told(error: ConfigError) -> list[str]:
    """What is wrong and what would be right, without where it stands: the form is not the file."""
    return [f"{each.message}; {each.cure}" if each.cure else each.message for each in error.problems]
