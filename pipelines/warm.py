"""The pipelines that a worker keeps loaded, and what is known of the memory they take.

A model is loaded when it is first asked for and stays until another one needs its place
(:mod:`radnode.pipelines.packing`) or memory ran out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from radnode.pipelines import packing, registry
from radnode.pipelines.contract import DevicePipeline, RunFailed
from radnode.pipelines.importing import uncollected
from radnode.pipelines.metering import ProcessMeter
from radnode.pipelines.packing import Footprint, Resident

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from radnode.pipelines.contract import Manifest, Pipeline
    from radnode.pipelines.ladder import Rung
    from radnode.pipelines.metering import Meter
    from radnode.pipelines.registry import Registry

_Known = tuple[str, str, str]
"""Pipeline, digest of its model, device: what a measurement is about."""


@dataclass(slots=True, kw_only=True)
class _Loaded:
    pipeline: Pipeline
    known: _Known
    used_at: float


class Warm:
    """The pipelines of this process.

    installed: what there is, asked again when a pipeline or a version of it is wanted that was not there before.
    meter: measures memory; now: a clock in seconds.
    """

    def __init__(
        self, installed: Callable[[], Registry], meter: Meter | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._installed = installed
        self._registry = installed()
        self.meter: Meter = meter or ProcessMeter()
        self._now = now
        self._loaded: dict[str, _Loaded] = {}
        self._footprints: dict[_Known, Footprint] = {}
        self._ways: dict[tuple[_Known, int], tuple[Rung, int]] = {}

    def manifest(self, name: str, model_digest: str = "") -> Manifest:
        """model_digest: of the model that is wanted, if that matters. Raises RunFailed for what is not installed."""
        known = self._registry.manifests.get(name)
        if known is None or model_digest not in ("", known.model_digest):
            self._look_again()
            known = self._registry.manifests.get(name)
        if known is None:
            raise RunFailed(f"pipeline {name} is not installed where this worker runs")
        if model_digest not in ("", known.model_digest):
            raise RunFailed(f"pipeline {name} has another model than the job was made for; run the study again")
        return known

    def _look_again(self) -> None:
        """What is installed now; of what is loaded, only what is still the same stays, whoever asked."""
        self._registry = self._installed()
        for name, each in list(self._loaded.items()):
            manifest = self._registry.manifests.get(name)
            if manifest is None or manifest.model_digest != each.known[1]:
                del self._loaded[name]

    def loaded(self, name: str) -> Pipeline | None:
        """It, if it is loaded."""
        found = self._loaded.get(name)
        return found.pipeline if found else None

    def pipeline(self, name: str, device: str = "cpu", *, to: str = "") -> Pipeline:
        """A loaded pipeline. device: the worker's; to: another one for its network, when that one is too small.

        Raises RunFailed for a pipeline that cannot be loaded.
        """
        known = self._known(name, device)
        began, before = self._now(), self.meter.held(device)
        present = self._loaded.get(name)
        with uncollected():
            pipeline = present.pipeline if present else registry.load(self._registry, name)
            if isinstance(pipeline, DevicePipeline):
                pipeline.load(to or device)
        self._loaded[name] = _Loaded(pipeline=pipeline, known=known, used_at=self._now())
        if present is None and not to:
            footprint = self._footprints.get(known, Footprint())
            loaded = max(self.meter.held(device) - before, footprint.loaded)
            self._footprints[known] = replace(footprint, loaded=loaded, load_s=self._now() - began)
        return pipeline

    def has_room(self, name: str, device: str) -> bool:
        """Whether it can be loaded and run on the smallest images without another one giving way."""
        usable = self.meter.usable(device)
        return not usable or self._needed(name, device, 0) * packing.HEADROOM <= usable - self.meter.held(device)

    def fit(self, name: str, device: str, voxels: int) -> tuple[str, ...]:
        """Drop what stands in the way of a run on so many voxels, least valuable first; returns the names."""
        needed = self._needed(name, device, voxels)
        usable = self.meter.usable(device)
        if not usable or needed * packing.HEADROOM <= usable - self.meter.held(device):
            return ()
        self.meter.release(device)
        free = self.meter.usable(device) - self.meter.held(device)
        found = packing.to_evict(self._residents(name), needed, free)
        self.drop(found, device)
        return found

    def ran(self, name: str, device: str, voxels: int, took: int, way: Rung) -> None:
        """Remember what a run on so many voxels took above what was held before, and which way it went."""
        known, size = self._known(name, device), packing.size_class(voxels)
        if not way.on_cpu:
            self._footprints[known] = packing.with_run(self._footprints.get(known, Footprint()), size, took)
        self._ways[known, size] = way, self.meter.usable(device)

    def way(self, name: str, device: str, voxels: int) -> Rung | None:
        """The way that worked for images of this size; None if there was none yet, or there is more memory now."""
        way, usable = self._ways.get((self._known(name, device), packing.size_class(voxels)), (None, 0))
        return way if self.meter.usable(device) <= usable * packing.HEADROOM else None

    def footprint(self, name: str, device: str) -> Footprint:
        """What is known of the memory it takes."""
        return self._footprints.get(self._known(name, device), Footprint())

    def drop(self, names: Sequence[str], device: str) -> None:
        """Unload these and give their memory back."""
        for name in names:
            self._loaded.pop(name, None)
        self.meter.release(device)

    def others(self, name: str) -> tuple[str, ...]:
        """What is loaded besides it."""
        return tuple(sorted(self._loaded.keys() - {name}))

    def _known(self, name: str, device: str) -> _Known:
        return name, self.manifest(name).model_digest, device

    def _needed(self, name: str, device: str, voxels: int) -> int:
        """Bytes beyond what is held now."""
        footprint = self._footprints.get(self._known(name, device))
        declared = self.manifest(name).device_memory_mb * 2**20
        running = packing.running_need(footprint, packing.size_class(voxels), declared)
        return running + (footprint.loaded if footprint and name not in self._loaded else 0)

    def _residents(self, wanted: str) -> list[Resident]:
        now = self._now()
        found = []
        for name, each in self._loaded.items():
            footprint = self._footprints.get(each.known, Footprint())
            if name != wanted:
                found.append(Resident(name=name, held=footprint.loaded, load_s=footprint.load_s,
                                      idle_s=now - each.used_at))
        return found
