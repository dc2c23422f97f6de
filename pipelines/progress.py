"""How far a run is, and how long each part of it took."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydicom import Dataset

    Emit = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True, kw_only=True)
class Progress:
    """What it knows is in the report however the run ends. seconds: each second counts for one part only."""

    emit: Emit
    stage: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    headers: Sequence[Dataset] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)
    observed: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One part of the run, after the other; what it reports to :meth:`took` is taken from its own time."""
        self.stage = name
        self.emit({"stage": name})
        self.seconds.setdefault(name, 0.0)
        began, apart = time.perf_counter(), self._others(name)
        try:
            yield
        finally:
            inside = self._others(name) - apart
            self.took(name, time.perf_counter() - began - inside)

    def within(self, part: str) -> None:
        """What a pipeline says about how far it is."""
        self.emit({"stage": f"{self.stage}: {part}"})

    def took(self, part: str, seconds: float) -> None:
        """So many seconds more for this part."""
        self.seconds[part] = round(self.seconds.get(part, 0.0) + seconds, 3)

    def _others(self, name: str) -> float:
        return sum(seconds for part, seconds in self.seconds.items() if part != name)
