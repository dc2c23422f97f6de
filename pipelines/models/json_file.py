"""What a model says about itself in JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from radnode.pipelines.models.store import StoreError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 16 * 1024 * 1024


def read(folder: Path, name: str, *, cure: str) -> dict[str, Any]:
    """The names and values in a JSON file of a model's folder. cure: what to do where it cannot be read.

    Raises StoreError.
    """
    try:
        with (folder / name).open("rb") as file:
            content = file.read(LARGEST + 1)
        found = json.loads(content) if len(content) <= LARGEST else None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{folder.name}: {name} cannot be read ({type(error).__name__}); {cure}") from error
    if len(content) > LARGEST:
        raise StoreError(f"{folder.name}: {name} is larger than {LARGEST >> 20} MiB")
    if not isinstance(found, dict):
        raise StoreError(f"{folder.name}: {name} holds no names and values")
    return found
