"""A TorchScript archive. Its code runs in torch's own interpreter, which knows no files, sockets or modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from pathlib import Path


class TorchScript:
    """What `torch.jit.save` wrote. Raises RunFailed for another file."""

    def __init__(self, path: Path, device: str) -> None:
        try:
            self._module: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location=torch.device(device)).eval()
        except (RuntimeError, ValueError) as error:
            raise RunFailed(f"{path.name} is no TorchScript archive that torch {torch.__version__} reads; save it "
                            "anew with torch.jit.save") from error

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """See :class:`~radnode.pipelines.models.runtimes.Network`."""
        answer: torch.Tensor = self._module(batch)
        return answer
