"""Whatever is wrong with a model is said with the model's name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.models.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Within, RunFailed and StoreError become a RunFailed that names the model in this folder."""
    try:
        yield
    except (RunFailed, StoreError) as error:
        raise RunFailed(f"model {folder.name}: {error}") from error
