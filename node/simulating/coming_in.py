"""When images come in: jobs that begin then share the machine with receiving and reading headers. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

NEAR_S = 5.0
"""A job that begins so long before the first image or after the last one is beside it for most of its time."""


@dataclass(frozen=True, slots=True)
class ComingIn:
    """Times, in seconds, in which something comes in. begins, ends: of each, in order; none touches the next."""

    begins: tuple[float, ...]
    ends: tuple[float, ...]

    @classmethod
    def of(cls, spans: Iterable[tuple[float, float]]) -> Self:
        """spans: first and last image of what was sent, in any order."""
        begins: list[float] = []
        ends: list[float] = []
        for first, last in sorted(spans):
            if ends and first - NEAR_S <= ends[-1]:
                ends[-1] = max(ends[-1], last + NEAR_S)
            else:
                begins.append(first - NEAR_S)
                ends.append(last + NEAR_S)
        return cls(tuple(begins), tuple(ends))

    def at(self, when: float) -> bool:
        """Whether something comes in at this time, or nearly."""
        before = bisect_right(self.begins, when)
        return before > 0 and when <= self.ends[before - 1]
