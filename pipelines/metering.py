"""How much memory this process holds and held, on its device: torch's account on CUDA, resident memory on the CPU."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from radnode.pipelines import memory

if TYPE_CHECKING:
    from types import ModuleType

_PROCESS = Path("/proc/self")


class Meter(Protocol):
    """Bytes of this process on a device ("cpu", "cuda", "cuda:1")."""

    def usable(self, device: str) -> int:
        """What it may hold in all, the rest of the machine as it is now; 0 if nobody knows."""
        ...

    def held(self, device: str) -> int:
        """What it holds now."""
        ...

    def restart(self, device: str) -> None:
        """Look for a new highest value from now on."""
        ...

    def highest(self, device: str) -> int:
        """The most it held since :meth:`restart`."""
        ...

    def release(self, device: str) -> None:
        """Give back what nobody uses any more."""
        ...


class ProcessMeter:
    """The real one. limit: the resident bytes at which the node ends this process; 0 if there is none.

    CUDA: `torch.cuda.memory_allocated` and its maximum; what may be held is what the driver has free
    (`torch.cuda.mem_get_info`) and what torch's allocator has reserved already. CPU: resident memory, its high-water
    mark reset through `clear_refs` (proc(5)); freed blocks that are kept count as held, so the first run shows most.
    """

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit

    def usable(self, device: str) -> int:
        """See :class:`Meter`."""
        if cuda := _cuda(device):
            free, _ = cuda.mem_get_info(device)
            return int(free) + int(cuda.memory_reserved(device))
        return self._limit or _kilobytes(Path("/proc/meminfo"), "MemAvailable") + self.held(device)

    def held(self, device: str) -> int:
        """See :class:`Meter`."""
        if cuda := _cuda(device):
            return int(cuda.memory_allocated(device))
        return _kilobytes(_PROCESS / "status", "VmRSS")

    def restart(self, device: str) -> None:
        """See :class:`Meter`."""
        if cuda := _cuda(device):
            cuda.reset_peak_memory_stats(device)
            return
        try:
            (_PROCESS / "clear_refs").write_text("5", encoding="ascii")
        except OSError:  # a kernel without it: the highest value of the whole process counts, which is more
            return

    def highest(self, device: str) -> int:
        """See :class:`Meter`."""
        if cuda := _cuda(device):
            return int(cuda.max_memory_allocated(device))
        return _kilobytes(_PROCESS / "status", "VmHWM")

    def release(self, device: str) -> None:
        """See :class:`Meter`."""
        gc.collect()
        if cuda := _cuda(device):
            cuda.empty_cache()
        else:
            memory.trim()


def _cuda(device: str) -> Any:
    """torch.cuda, for a device that is one; None else. A worker that has not imported torch holds nothing there."""
    torch: ModuleType | None = sys.modules.get("torch")
    return torch.cuda if torch is not None and device.startswith("cuda") else None


def _kilobytes(path: Path, name: str) -> int:
    """A line of /proc in bytes; 0 where it is not."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    found = next((line for line in lines if line.startswith(f"{name}:")), None)
    return int(found.split()[1]) * 1024 if found else 0
