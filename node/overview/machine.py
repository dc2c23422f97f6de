"""GPUs as their driver tells of them, without torch: what is not told is not known."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import Literal

TAKES_AT_MOST_S = 5.0
MIB = 1 << 20
QUERY = "index,name,memory.used,memory.total,utilization.gpu,temperature.gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One of the machine's, whoever uses it. Bytes, percent, degrees Celsius; None where the driver does not say."""

    index: int
    name: str
    used: int | None
    total: int | None
    busy: int | None
    celsius: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """known: "none" is wanted by no worker, "silent" cannot be asked, "told" is as `found` says."""

    known: Literal["none", "silent", "told"]
    found: tuple[Gpu, ...] = ()


def gpus(*, wanted: bool) -> Gpus:
    """Asks `nvidia-smi`. wanted: whether any worker computes on CUDA; nothing is asked else."""
    if not wanted:
        return Gpus(known="none")
    program = shutil.which("nvidia-smi")
    if program is None:
        return Gpus(known="silent")
    try:
        done = subprocess.run(  # noqa: S603 - a program of the driver, nothing of anybody in its arguments
            [program, f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"], capture_output=True, text=True,
            check=True, timeout=TAKES_AT_MOST_S,
        )
        return Gpus(known="told", found=parse(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return Gpus(known="silent")


def parse(text: str) -> tuple[Gpu, ...]:
    """Lines of `nvidia-smi --format=csv,noheader,nounits`; "[N/A]" and the like are None. Raises ValueError."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        index, name, used, total, busy, celsius = (each.strip() for each in line.split(","))
        found.append(Gpu(index=int(index), name=name, used=_times(used, MIB), total=_times(total, MIB),
                         busy=_times(busy), celsius=_times(celsius)))
    return tuple(found)


def _times(text: str, unit: int = 1) -> int | None:
    return int(text) * unit if text.isdecimal() else None
