"""A program of torch.export (.pt2): a graph of torch's operators and its weights.

`torch.export.load` would unpickle: objects among the constants, and whatever is no plain tensor among weights and
sample inputs. The first are refused by their names in the archive, the others because torch is told, while it loads,
to read nothing but tensors (TORCH_FORCE_WEIGHTS_ONLY_LOAD). Compiled machine code (AOTInductor) is refused as well.
"""

from __future__ import annotations

import os
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.export.passes import move_to_device_pass

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ONLY_TENSORS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_OBJECTS, _MACHINE_CODE = ("custom_obj", "opaque_obj"), "aotinductor"


class Exported:
    """What `torch.export.save` wrote. Raises RunFailed for another file, or one that holds more than a graph."""

    def __init__(self, path: Path, device: str) -> None:
        _check(path)
        try:
            with _tensors_only():
                program = torch.export.load(path)
        except Exception as error:  # torch raises nearly anything for an archive that it does not understand
            raise RunFailed(f"{path.name} is no exported program that torch {torch.__version__} reads without "
                            f"unpickling ({type(error).__name__}); save it anew with torch.export.save") from error
        if device != "cpu":
            program = move_to_device_pass(program, device)
        self._module = program.module()

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """See :class:`~radnode.pipelines.models.runtimes.Network`."""
        answer: torch.Tensor = self._module(batch)
        return answer


def _check(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise RunFailed(f"{path.name} is no archive of torch.export; save the model with torch.export.save")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.rpartition("/")[2].startswith(_OBJECTS) or _MACHINE_CODE in name:
                raise RunFailed(f"{path.name} holds more than a graph and tensors ({name.rpartition('/')[2]!a}), which "
                                "would run as code; export the model without custom objects and without compiling it")


@contextmanager
def _tensors_only() -> Iterator[None]:
    before = os.environ.get(_ONLY_TENSORS)
    os.environ[_ONLY_TENSORS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ONLY_TENSORS]
        else:
            os.environ[_ONLY_TENSORS] = before
