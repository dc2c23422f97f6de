"""Starting: why a node does not start, and what it is called."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


IDENTITY = "node-id"
"""File of a data folder that says whose it is."""


class StartRefused(Exception):
    """The node does not start with this configuration; each line says what is wrong and what would be right."""


@contextlib.contextmanager
def listening(setting: str, port: int) -> Iterator[None]:
    """Raises :class:`StartRefused` where somebody else has the port of this setting."""
    try:
        yield
    except OSError as error:
        raise StartRefused(
            f"node.{setting}: port {port}: {error.strerror}; `radnode doctor` says who has it, or choose another"
        ) from error


def identity(folder: Path) -> str:
    """What this node is called in the database: made once for its data folder."""
    path = folder / IDENTITY
    if not path.exists():
        path.write_text(secrets.token_hex(8), encoding="ascii")
    return path.read_text(encoding="ascii")
