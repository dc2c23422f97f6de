"""Which warm models give way when another one is to be loaded. Pure: what was measured in, names out.

Memory is counted in bytes on one device. What a model needs is what was measured when it last ran on images of that
size; before the first run, what its manifest says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEADROOM = 1.1
"""A little more than was measured: allocators keep blocks that fit nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What one model was seen to take. loaded: its weights; running: size class -> the most a run took above them."""

    loaded: int = 0
    load_s: float = 0.0
    running: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A model that is loaded. held: its weights; load_s: what loading it again would cost; idle_s: since its run."""

    name: str
    held: int
    load_s: float
    idle_s: float


def size_class(voxels: int) -> int:
    """Images of one class differ in size by less than a factor of two: the number of binary digits of the voxels."""
    return max(voxels, 0).bit_length()


def running_need(footprint: Footprint | None, wanted: int, declared: int) -> int:
    """What a run on images of the class `wanted` takes above the weights, as far as anybody knows.

    Measured at this size; else at the next larger one; else at the largest smaller one, doubled for each class between
    them (a network's memory grows no faster than its images). declared: of the manifest, before the first run.
    """
    seen = footprint.running if footprint else {}
    if larger := [size for size in seen if size >= wanted]:
        return seen[min(larger)]
    if seen:
        nearest = max(seen)
        return seen[nearest] << (wanted - nearest)
    return declared


def with_run(footprint: Footprint, size: int, took: int) -> Footprint:
    """The footprint after one more run: the most that was ever seen at this size."""
    running = {**footprint.running, size: max(took, footprint.running.get(size, 0))}
    return Footprint(loaded=footprint.loaded, load_s=footprint.load_s, running=running)


def to_evict(residents: Sequence[Resident], needed: int, free: int) -> tuple[str, ...]:
    """The models to drop so that `needed` bytes fit where `free` are, least valuable first; all if nothing helps less.

    A model is worth the seconds that it would take to load again, the less the longer nobody asked for it. One that
    turns out not to be in the way, because a larger one has to go as well, stays.
    """
    lacking = needed * HEADROOM - free
    if lacking <= 0:
        return ()
    chosen: list[Resident] = []
    for each in sorted(residents, key=lambda one: (one.load_s / (one.idle_s + 1.0), one.name)):
        if lacking <= sum(one.held for one in chosen):
            break
        chosen.append(each)
    for each in reversed(chosen[:-1]):
        if sum(one.held for one in chosen) - each.held >= lacking:
            chosen.remove(each)
    return tuple(each.name for each in chosen)
