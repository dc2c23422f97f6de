"""The model's part of a run: make room, load, run, and one rung down when memory ran out (:mod:`pipelines.ladder`)."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from radnode.pipelines import ladder
from radnode.pipelines.contract import DevicePipeline, RunContext, RunFailed, TellsOfItsNetwork
from radnode.pipelines.ladder import Rung

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.contract import StudyImages
    from radnode.pipelines.findings import Findings
    from radnode.pipelines.progress import Progress
    from radnode.pipelines.warm import Warm

_ON_CPU = Rung(on_cpu=True)


def infer(name: str, device: str, images: StudyImages, warm: Warm, progress: Progress) -> Findings:
    """What the pipeline says about the images.

    A result that was computed in half precision for lack of memory says so. Raises RunFailed, with all that was tried,
    when no way was found; PipelineError as the pipeline does.
    """
    return _Run(name=name, device=device, images=images, warm=warm, progress=progress).findings()


@dataclass(slots=True, kw_only=True)
class _Run:
    name: str
    device: str
    images: StudyImages
    warm: Warm
    progress: Progress
    dropped: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    lacking: list[int] = field(default_factory=list)
    took: int = 0

    @property
    def voxels(self) -> int:
        if self.images.projections:
            return max(each.shape[0] * each.shape[1] for each in self.images.projections)
        return sum(int(each.voxels.size) for each in (self.images.volume, *self.images.others.values()))

    def findings(self) -> Findings:
        warm, name, device = self.warm, self.name, self.device
        self.dropped += warm.fit(name, device, self.voxels)
        ways = self._ways()
        asked = ways[0]
        if (known := warm.way(name, device, self.voxels)) in ways:
            ways = ways[ways.index(known):]
        climbed = ladder.climb(ways, self._attempt, self._make_room)
        self._say(climbed[1] if climbed else None, asked)
        if climbed is None:
            warm.drop([name], device)
            needed = min(self.lacking, default=0)
            raise RunFailed(
                ladder.exhausted(self.progress.stage, self.tried, needed, warm.meter.usable(device), device))
        (findings,), way = climbed
        warm.ran(name, device, self.voxels, self.took, way)
        if said := ladder.remark(way):
            findings = replace(findings, remarks=(*findings.remarks, said))
        return findings

    def _ways(self) -> Sequence[Rung]:
        """How the model can run here; a network for which the device has no place at all runs on the CPU."""
        known = self.warm.way(self.name, self.device, self.voxels)
        if known is not None and known.on_cpu:
            return (known,)
        climbed = ladder.climb((Rung(), _ON_CPU), self._load, self._make_room)
        if climbed is None:
            return (_ON_CPU,)
        ways, way = climbed
        return (_ON_CPU,) if way.on_cpu else ways

    def _load(self, way: Rung) -> Sequence[Rung] | None:
        try:
            if self.warm.loaded(self.name):
                pipeline = self.warm.pipeline(self.name, self.device)
            else:
                with self.progress.step("load"):
                    pipeline = self.warm.pipeline(self.name, self.device, to="cpu" if way.on_cpu else "")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code
            self._note(error, f"loading it {way}" if way.on_cpu else "loading it")
            return None
        return pipeline.rungs(self.device) if isinstance(pipeline, DevicePipeline) else (Rung(),)

    def _attempt(self, way: Rung) -> tuple[Findings] | None:
        """None when memory ran out: an exception would hold on to the frames, and so to what is to be freed."""
        meter, device = self.warm.meter, self.device
        try:
            pipeline = self.warm.pipeline(self.name, device, to="cpu" if way.on_cpu else "")
            meter.restart(device)
            before = meter.held(device)
            with self.progress.step("infer"):
                context = RunContext(device="cpu" if way.on_cpu else device, stage=self.progress.within, way=way,
                                     took=self.progress.took)
                findings = pipeline.run(self.images, context)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code
            self._note(error, str(way), on_device=not way.on_cpu)
        else:
            self.took = max(meter.highest(device) - before, 0)
            return (findings,)
        meter.release(device)
        return None

    def _note(self, error: BaseException, tried: str, *, on_device: bool = True) -> None:
        """Raises the error again unless it was for lack of memory."""
        if not ladder.is_out_of_memory(error):
            raise error
        print(f"{self.name}: out of memory, {tried}", file=sys.stderr)  # noqa: T201 - the worker's log
        traceback.print_tb(error.__traceback__)
        self.tried.append(tried)
        if on_device and (asked := ladder.asked_for(error)):
            self.lacking.append(self.warm.meter.held(self.device) + asked)

    def _make_room(self) -> bool:
        """Unload what else is warm; a pipeline that knows no other way is loaded anew itself."""
        names = self.warm.others(self.name)
        self.dropped += names
        pipeline = self.warm.loaded(self.name)
        anew = pipeline is not None and not isinstance(pipeline, DevicePipeline)
        self.warm.drop([*names, self.name] if anew else names, self.device)
        if names or anew:
            self.tried.append("with nothing else loaded")
        return bool(names) or anew

    def _say(self, way: Rung | None, asked: Rung) -> None:
        """Into the report: megabytes, and what was done about them."""
        footprint, usable = self.warm.footprint(self.name, self.device), self.warm.meter.usable(self.device)
        said: dict[str, Any] = {
            "device": self.device, "model_mb": _megabytes(footprint.loaded), "run_mb": _megabytes(self.took),
            "usable_mb": _megabytes(usable),
        }
        pipeline = self.warm.loaded(self.name)
        if isinstance(pipeline, TellsOfItsNetwork) and (network := pipeline.network()):
            said["network"] = dict(network)
        if self.dropped:
            said["made_room"] = list(dict.fromkeys(self.dropped))
        if self.tried:
            said["ran_out"] = list(self.tried)
        if way is not None and way != asked:
            said["way"] = str(way)
        self.progress.memory = said


def _megabytes(size: int) -> float:
    return round(size / 1e6, 1)
