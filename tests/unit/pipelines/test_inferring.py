"""A bundle when memory is short: which way it takes, that its answer stays, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support import bundles
from support.short_memory import DEVICE, PretendedMeter, pretend_device
from support.volumes import placed

from radnode.pipelines import registry
from radnode.pipelines.contract import RunFailed, StudyImages
from radnode.pipelines.inferring import infer
from radnode.pipelines.models import store
from radnode.pipelines.progress import Progress
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.models.bundle import BundlePipeline

GIB = 2**30
HALF_TOLERANCE_HU = 8.0
"""bfloat16 has eight binary digits: it tells 300 from 302."""


def images(shape: tuple[int, int, int] = (10, 14, 11)) -> StudyImages:
    """Noise around the threshold of the bundles, in which every voxel counts."""
    voxels = np.random.default_rng(4).uniform(-1000, 400, shape).astype(np.float32)
    volume = placed(voxels, np.diag([2.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]])
    return StudyImages(volume=volume, modality="CT", excluded={})


class Bench:
    """A worker's models and meter, with the bundles that a test names in its store."""

    def __init__(self, folder: Path, *names: str, amp: bool = False) -> None:
        config = bundles.inference()
        config["inferer"] |= {"roi_size": [8, 8, 8], "sw_batch_size": 4}
        config["evaluator"]["amp"] = amp
        for name in names:
            store.add(folder / "store", bundles.write_bundle(folder / name, config=config), name=name)
        self.meter = PretendedMeter()
        self.seconds = 0.0
        self.warm = Warm(lambda: registry.installed((), models=folder / "store"), self.meter, lambda: self.seconds)
        self.said: list[str] = []
        self.progress = Progress(emit=lambda message: self.said.append(str(message["stage"])))

    def run(self, name: str = "one", of: StudyImages | None = None, device: str = DEVICE) -> Findings:
        self.seconds += 60
        self.said.clear()
        return infer(name, device, of or images(), self.warm, self.progress)


def takes(pipeline: BundlePipeline, windows: torch.Tensor) -> int:
    """What these windows take on the device in the world of these tests: gigabytes."""
    if not pipeline.on_device:
        return 0
    half = torch.is_autocast_enabled("cpu")
    stitched_there = pipeline._evaluator.inferer is not None and _stitched_on_device(pipeline._evaluator.inferer)
    return len(windows) * (1 if half else 2) + (4 if stitched_there else 0)


def _stitched_on_device(inferer: Any) -> bool:
    return getattr(inferer, "_inferer", inferer).device is None


def above(study: StudyImages) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = study.volume.voxels > bundles.THRESHOLD_HU
    return found


@pytest.mark.catalogue("X7")
@pytest.mark.parametrize(("gigabytes", "way"), [
    (12, None),
    (8, "2 windows at once"),
    (6, "1 window at once"),
    (5, "1 window at once, in half precision"),
    (2, "1 window at once, put together on the CPU"),
    (1, "1 window at once, in half precision, put together on the CPU"),
    (0, "1 window at once, on the CPU"),
])  # fmt: skip
def test_on_each_rung_the_mask_is_the_same_and_lowered_precision_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gigabytes: int, way: str | None
) -> None:
    pretend_device(monkeypatch, lambda pipeline, windows: takes(pipeline, windows) > gigabytes)
    bench, study = Bench(tmp_path, "one"), images()

    found = bench.run(of=study)

    assert bench.progress.memory.get("way") == way
    half = way is not None and "half" in way
    assert [each for each in found.remarks if "half precision" in each] == (
        ["The network computed in half precision, because the device has too little memory."] if half else [])
    (segment,) = found.segments
    unsure = np.abs(study.volume.voxels - bundles.THRESHOLD_HU) < HALF_TOLERANCE_HU * half
    np.testing.assert_array_equal(segment.mask[~unsure], above(study)[~unsure])
    assert unsure.mean() < 0.02


def test_a_way_that_worked_is_remembered_for_images_of_that_size_and_for_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_device(monkeypatch, lambda pipeline, windows: takes(pipeline, windows) > 6)
    bench = Bench(tmp_path, "one")
    bench.meter.room = 6 * GIB
    bench.run()
    assert bench.said.count("infer") == 3
    bench.run()
    assert bench.said.count("infer") == 1
    assert bench.progress.memory["way"] == "1 window at once"
    bench.run(of=images((40, 30, 30)))
    assert bench.said.count("infer") == 3


def test_when_there_is_more_memory_than_before_the_models_own_way_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = [6]
    pretend_device(monkeypatch, lambda pipeline, windows: takes(pipeline, windows) > limit[0])
    bench = Bench(tmp_path, "one")
    bench.meter.room = 6 * GIB
    bench.run()
    limit[0], bench.meter.room = 40, 40 * GIB
    bench.run()
    assert "way" not in bench.progress.memory


@pytest.mark.catalogue("X7")
def test_when_nothing_helps_the_reason_says_what_was_tried_and_what_would_be_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_device(monkeypatch, lambda _pipeline, _windows: True)
    bench = Bench(tmp_path, "one")
    bench.meter.room = GIB // 2
    with pytest.raises(RunFailed) as failed:
        bench.run()
    said = str(failed.value)
    assert said.startswith("out of memory in the step infer; tried: 4 windows at once; 2 windows at once; ")
    assert "in half precision" in said
    assert "on the CPU. At least 1.07 GB are needed on cuda:0, it has 0.54 GB for this worker" in said
    assert bench.warm.loaded("one") is None


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_a_model_that_asks_for_half_precision_itself_gets_no_remark_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_device(monkeypatch, lambda pipeline, windows: takes(pipeline, windows) > 5, amp=True)
    bench = Bench(tmp_path, "one", amp=True)
    found = bench.run()
    assert bench.progress.memory["way"] == "1 window at once, put together on the CPU"
    assert found.remarks == ()


def test_other_models_make_room_before_anything_of_this_one_is_lowered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, "one", "two")
    pretend_device(monkeypatch, lambda _pipeline, _windows: bench.warm.loaded("two") is not None
                   and bench.warm.loaded("one") is not None)
    bench.run("two")
    bench.run("one")
    assert bench.progress.memory["made_room"] == ["two"]
    assert "way" not in bench.progress.memory
    assert bench.warm.loaded("two") is None


def test_several_models_stay_on_a_device_and_the_least_valuable_gives_way_to_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_device(monkeypatch, lambda _pipeline, _windows: False)
    names = ("one", "two", "three")
    bench = Bench(tmp_path, *names)
    bench.meter.room = 10 * GIB
    bench.meter.in_use = lambda: sum(2 * GIB for name in names if bench.warm.loaded(name))
    bench.meter.peak = 3 * GIB
    for name in ("one", "two", "one", "three"):
        bench.run(name)
    assert bench.warm.others("") == tuple(sorted(names)), "nothing is known to be too much yet"
    bench.meter.room = 9 * GIB
    bench.run("two")
    assert bench.progress.memory["made_room"] == ["one"], "6 GiB of weights and a run of 3 do not fit with a tenth more"
    assert bench.warm.others("") == ("three", "two")
    assert bench.progress.memory["model_mb"] == round(2 * GIB / 1e6, 1)
    assert bench.progress.memory["run_mb"] == round(3 * GIB / 1e6, 1)


def test_what_a_manifest_declares_makes_room_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_device(monkeypatch, lambda _pipeline, _windows: False)
    bench = Bench(tmp_path, "one", "two")
    bench.meter.room = 4 * GIB
    bench.meter.in_use = lambda: sum(2 * GIB for name in ("one", "two") if bench.warm.loaded(name))
    manifest = bench.warm.manifest
    monkeypatch.setattr(bench.warm, "manifest", lambda name, digest="": _declaring(manifest(name, digest), 3000))
    bench.run("one")
    bench.run("two")
    assert bench.progress.memory["made_room"] == ["one"]


def _declaring(manifest: Any, megabytes: int) -> Any:
    return replace(manifest, device_memory_mb=megabytes)


def test_between_studies_a_warm_model_holds_on_to_no_images(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "one")
    bench.run(device="cpu")
    state = bench.warm.loaded("one")._evaluator.state  # type: ignore[union-attr]
    assert (state.batch, state.output) == (None, None)
