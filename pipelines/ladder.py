"""What is tried when memory runs out, one rung after the other, and what is said of it. Pure but for the attempts.

    other models make room                        the same numbers
    fewer windows at once, down to one            the same numbers
    the network in half precision (device only)   numbers that differ in the third digit; said in the result
    windows put together on the CPU               the same numbers; in half precision only if full still fails
    all of it on the CPU                          the same numbers, slowly

"The same" is within the rounding of single precision: sums are made in another order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Outcome = TypeVar("Outcome")

_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "bytes": 1}
# torch on a device, torch on the CPU, numpy
_ASKED_FOR = re.compile(r"(?:Tried to allocate|tried to allocate|Unable to allocate) ([\d.]+) ?(bytes|[KMGT]iB|B)?")
_ALLOCATION_FAILED = ("allocate memory", "out of memory", "ALLOC_FAILED")
_DEVICE_ERRORS = ("CUDA error", "cuDNN error", "HIP error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to run a network.

    windows: how many of a sliding window at once, None if there is none. half: in half precision although the model
    asks for full. stitched_on_cpu: the answer is put together in the CPU's memory. on_cpu: everything is.
    """

    windows: int | None = None
    half: bool = False
    stitched_on_cpu: bool = False
    on_cpu: bool = False

    def __str__(self) -> str:
        parts = [] if self.windows is None else [f"{self.windows} window{'s' * (self.windows > 1)} at once"]
        parts += ["in half precision"] * self.half
        parts += ["put together on the CPU"] * self.stitched_on_cpu
        parts += ["on the CPU"] * self.on_cpu
        return ", ".join(parts) or "as the model asks"


def rungs(device: str, *, windows: int | None, half_asked: bool) -> tuple[Rung, ...]:
    """The ways to run a model on this device, the one it asks for first.

    windows: as its inferer has it, None without a sliding window. half_asked: it computes in half precision by itself.
    """
    batches = [windows]
    while batches[-1] is not None and batches[-1] > 1:
        batches.append(batches[-1] // 2)
    found = [Rung(windows=each) for each in batches]
    if device == "cpu":
        return tuple(found)
    least = batches[-1]
    if not half_asked:
        found.append(Rung(windows=least, half=True))
    if least is not None:
        found.append(Rung(windows=least, stitched_on_cpu=True))
        if not half_asked:
            found.append(Rung(windows=least, half=True, stitched_on_cpu=True))
    return (*found, Rung(windows=least, on_cpu=True))


def climb(
    ways: Sequence[Rung], attempt: Callable[[Rung], Outcome | None], make_room: Callable[[], bool]
) -> tuple[Outcome, Rung] | None:
    """The first way that works, and its outcome; None if none does.

    attempt: None when memory ran out. make_room: asked once, before anything else is tried; when it says that it
    freed something, the same way is tried again.
    """
    made = False
    for way in ways:
        outcome = attempt(way)
        if outcome is None and not made:
            made = True
            outcome = attempt(way) if make_room() else None
        if outcome is not None:
            return outcome, way
    return None


def remark(way: Rung) -> str:
    """What the result has to say of the way it was made; empty if the numbers are the model's own."""
    return "The network computed in half precision, because the device has too little memory." if way.half else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Python's, numpy's and torch's (on a device by class or by the words of its libraries, on the CPU by its words).

    MONAI wraps what a transform said, so causes count as well.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, MemoryError) or type(found).__name__ == "OutOfMemoryError":
            return True
        if isinstance(found, RuntimeError) and any(words in str(found) for words in _ALLOCATION_FAILED):
            return True
        found = found.__cause__
    return False


def is_device_lost(error: BaseException) -> bool:
    """CUDA's errors but for memory: by class in torch from 2.8, by their first words before."""
    return not is_out_of_memory(error) and (
        type(error).__name__ == "AcceleratorError"
        or (isinstance(error, RuntimeError) and str(error).startswith(_DEVICE_ERRORS))
    )


def asked_for(error: BaseException) -> int:
    """The bytes of the allocation that failed; 0 where the error does not say."""
    found: BaseException | None = error
    while found is not None:
        if said := _ASKED_FOR.search(str(found)):
            return int(float(said[1]) * _UNITS[said[2] or ""])
        found = found.__cause__
    return 0


def exhausted(step: str, tried: Sequence[str], needed: int, usable: int, device: str) -> str:
    """Why a run failed for lack of memory: what was tried, and what the thriftiest way would have needed."""
    said = f"out of memory in the step {step}; tried: {'; '.join(tried)}"
    if needed:
        said += f". At least {_gigabytes(needed)} are needed on {device}"
        said += f", it has {_gigabytes(usable)} for this worker" if usable else ""
    return said


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
