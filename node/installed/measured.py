"""How long jobs of a pipeline took and how much memory they wanted, from what workers said. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines.contract import RunState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from radnode.storage.job_figures import Ended

WHOLE = "whole"
MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Of `number` values: the one in the middle, and the one that 95 of 100 do not pass (nearest rank)."""

    number: int
    median: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The newest jobs of one version of a pipeline that found something or nothing.

    seconds: part of the job -> spread, the whole first. megabytes: "model_mb" (loaded) and "run_mb" (more for a run) ->
    spread; empty for a pipeline without a network. devices: on which they ran.
    """

    number: int
    seconds: Mapping[str, Spread]
    megabytes: Mapping[str, Spread]
    devices: tuple[str, ...]


def spread(values: Sequence[float]) -> Spread:
    """Raises IndexError of none."""
    ordered = sorted(values)
    return Spread(number=len(ordered), median=ordered[(len(ordered) - 1) // 2],
                  p95=ordered[math.ceil(0.95 * len(ordered)) - 1])


def measured(jobs: Iterable[Ended], pipeline: str, version: str) -> Measured | None:
    """None where no job of this version is among them. A time of another version says nothing of this one."""
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    devices: dict[str, None] = {}
    number = 0
    for job in jobs:
        if (job.pipeline, job.version) != (pipeline, version) or number == MOST:
            continue
        if job.report.get("state") not in _READ or not (parts := job.report.get("seconds")):
            continue
        number += 1
        for part, value in {WHOLE: sum(parts.values()), **parts}.items():
            seconds.setdefault(part, []).append(float(value))
        said = job.report.get("memory") or {}
        for key in ("model_mb", "run_mb"):
            if key in said:
                memory.setdefault(key, []).append(float(said[key]))
        if "device" in said:
            devices[str(said["device"])] = None
    if not number:
        return None
    return Measured(number=number, seconds={part: spread(values) for part, values in seconds.items()},
                    megabytes={key: spread(values) for key, values in memory.items()}, devices=tuple(devices))


_READ = (RunState.FINDINGS.value, RunState.NOTHING_FOUND.value)
"""Whose time is that of a whole run."""
