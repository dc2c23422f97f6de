"""What a study costs around the model, here and by MONAI's own means, on the same machine, in one run.

    python tests/bench/against_monai.py --out bench-results

MONAI's way: the series to NIfTI (LoadImage, SaveImage), the bundle as its authors wrote it, the answer to a DICOM
segmentation by highdicom; by `monai.bundle.run` in a process that has imported everything, and in a process of its
own for each study, as `python -m monai.bundle run` is. Ours: one job of a warm worker process, from the same files to a
segmentation that passed the gate. The two take turns. What is compared leaves out the network's forward passes; and
once all of MONAI's inferer around them (the sliding window, the same code in both).

Both answers are compared voxel by voxel. NIfTI keeps the place of the images in single precision, so MONAI resamples at
places that differ in the eighth figure, and a voxel whose two classes are that near to each other falls to the other
one. That it is this and nothing else is checked: on the affine that stands in the NIfTI file, no voxel may differ.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import highdicom
import monai.bundle
import nibabel
import numpy as np
import pydicom
from monai.data.image_reader import PydicomReader
from monai.transforms import LoadImage, SaveImage
from pydicom.sr.codedict import codes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import bundles
from support.orders import order_over

from radnode.node.execution.worker_process import WorkerProcess
from radnode.pipelines.contract import RunContext, StudyImages
from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series
from radnode.pipelines.inspection import _volume
from radnode.pipelines.models import bundle as model
from radnode.pipelines.models import grids, store
from radnode.pipelines.results.decoding import masks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine, Volume

SIZE = 512
CLOCK = "RADNODE_BENCH_CLOCK"
PARTS = ("network", "inferer")
# The network of the tests, with clocks: it and the inferer write what they took.
_NETWORK = """\
import json
import os
import time
import torch
from monai.inferers import SlidingWindowInferer


def clocked(part, function, *args, **options):
    began = time.perf_counter()
    found = function(*args, **options)
    with open(os.environ["RADNODE_BENCH_CLOCK"], "a") as file:
        file.write(json.dumps([part, time.perf_counter() - began]) + "\\n")
    return found


class Threshold(torch.nn.Module):
    def __init__(self, channels=2):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, channels, 1)

    def forward(self, x):
        return clocked("network", self.conv, x)


class Clocked(SlidingWindowInferer):
    def __call__(self, *args, **options):
        return clocked("inferer", super().__call__, *args, **options)
"""
_TRANSFORMS = (
    {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
    {"_target_": "ScaleIntensityRanged", "keys": "@image_key", "a_min": -1000, "a_max": 1000, "b_min": -1000.0,
     "b_max": 1000.0, "clip": True},
)  # fmt: skip


def write_model(folder: Path) -> Path:
    """A bundle in the zoo's layout: orientation, spacing, intensities, windows of 96, softmax, inversion, argmax."""
    config = bundles.inference(transforms=_TRANSFORMS)
    config["inferer"] = {"_target_": "scripts.net.Clocked", "roi_size": [96, 96, 96], "sw_batch_size": 4,
                         "overlap": 0.25}
    config["device"] = "$torch.device('cpu')"
    config["handlers"] = config["handlers"][:1]
    return bundles.write_bundle(folder, config=config, network=_NETWORK)


class Round:
    """Seconds of the parts of one run. work: a folder of its own."""

    def __init__(self, work: Path) -> None:
        work.mkdir(parents=True)
        self.work = work
        self.seconds: dict[str, float] = {}
        self._clock = Path(os.environ[CLOCK])
        self._clock.write_text("")
        self._began = time.perf_counter()

    def took(self, part: str) -> None:
        """The part that ends now began when the last one ended."""
        now = time.perf_counter()
        self.seconds[part], self._began = now - self._began, now

    def done(self) -> dict[str, float]:
        """With what lies around the network and around the inferer."""
        whole = sum(self.seconds.values())
        clocked = [json.loads(line) for line in self._clock.read_text().splitlines()]
        inside = {part: sum(seconds for name, seconds in clocked if name == part) for part in PARTS}
        return {**self.seconds, **inside, "around the network": whole - inside["network"],
                "around the inferer": whole - inside["inferer"]}


def theirs(bundle: Path, series: Path, work: Path, *, process: bool) -> tuple[dict[str, float], Path, Path]:
    """Seconds of each part of MONAI's way, its NIfTI of the images and its segmentation.

    process: the bundle in a process of its own, as from a command line.
    """
    measured = Round(work)
    image = LoadImage(reader=PydicomReader(), ensure_channel_first=True, image_only=True)(series)
    SaveImage(output_dir=work / "nifti", output_postfix="", separate_folder=False, print_log=False)(
        image, meta_data={**image.meta, "filename_or_obj": "image"})
    (nifti,) = (work / "nifti").rglob("*.nii.gz")
    measured.took("to NIfTI")
    options: dict[str, Any] = {
        "run_id": "run", "init_id": "initialize", "config_file": str(bundle / "configs" / "inference.json"),
        "bundle_root": str(bundle), "dataset_dir": str(work), "datalist": [str(nifti)],
        "output_dir": str(work / "answer"), "dataloader#num_workers": 0, "dataset#progress": False,
    }  # fmt: skip
    if process:
        call = "import json, sys, monai.bundle; monai.bundle.run(**json.loads(sys.argv[1]))"  # as -m, without fire
        subprocess.run([sys.executable, "-c", call, json.dumps(options)], check=True, capture_output=True,
                       env={**os.environ, "PYTHONPATH": str(bundle)})
    else:
        monai.bundle.run(**options)
    measured.took("bundle")
    (path,) = (work / "answer").rglob("*.nii.gz")
    answer: Any = nibabel.loadsave.load(path)
    labels = np.asarray(answer.dataobj).reshape(answer.shape[:3])
    sources = sorted((pydicom.dcmread(each) for each in series.glob("*.dcm")),
                     key=lambda each: float(each.ImagePositionPatient[2]))
    mask = np.ascontiguousarray(labels.transpose(2, 1, 0) > 0)
    segmentation(sources, mask).save_as(work / "theirs.dcm")
    measured.took("to SEG")
    return measured.done(), nifti, work / "theirs.dcm"


def segmentation(sources: Sequence[pydicom.Dataset], mask: NDArray[np.bool_]) -> highdicom.seg.Segmentation:
    """As highdicom's documentation has it."""
    return highdicom.seg.Segmentation(
        source_images=list(sources), pixel_array=mask.astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[highdicom.seg.SegmentDescription(
            segment_number=1, segment_label="Spleen", segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Spleen, algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL)],
        series_instance_uid=highdicom.UID(), series_number=1, sop_instance_uid=highdicom.UID(), instance_number=1,
        manufacturer="m", manufacturer_model_name="m", software_versions="1", device_serial_number="1",
    )  # fmt: skip


def measure(slices: int, times: int) -> dict[str, Any]:
    """All three in turn, on the same files; medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ[CLOCK] = str(folder / "clock")
        bundle, series = write_model(folder / "threshold"), folder / "series"
        files = list(write_series(chest_phantom(slices=slices, size=SIZE), series))
        store.add(folder / "store", bundle, name="threshold")
        sys.path.insert(0, str(bundle))
        order = replace(order_over(files, folder / "out", pipeline="threshold"), forms=("SEG",))
        worker = WorkerProcess(device="cpu", memory_limit_bytes=2**34, time_limit_s=600, models=folder / "store")
        try:
            worker.execute(order, lambda _: None)  # a worker is warm before its second study
            print("warm", flush=True)
            rounds: dict[str, list[dict[str, float]]] = {"ours": [], "run": [], "command": []}
            for number in range(times):
                measured = Round(folder / f"round {number}")
                report = worker.execute(order, lambda _: None)
                measured.took("whole")
                rounds["ours"].append({**report.seconds, **measured.done()})
                for way in ("run", "command"):
                    seconds, nifti, answer = theirs(bundle, series, measured.work / way, process=way == "command")
                    rounds[way].append(seconds)
        finally:
            worker.stop()
        print("measured; now voxel by voxel", flush=True)
        volume = _volume(series)
        found = {way: medians(each) for way, each in rounds.items()}
        return {
            "slices": slices, "size": SIZE, "seconds": found,
            "times faster": {f"{way}, {around}": round(found[way][around] / found["ours"][around], 1)
                             for way in ("run", "command") for around in ("around the network", "around the inferer")},
            "voxels": voxels(volume, bundle, Path(report.objects[0].path), nifti, answer),
        }


def voxels(volume: Volume, bundle: Path, ours: Path, nifti: Path, answer: Path) -> dict[str, Any]:
    """How many differ between both segmentations, and why. Raises SystemExit if it is not for the reason known."""
    mine, their = (masks(pydicom.dcmread(path), volume.affine, volume.voxels.shape)[1] for path in (ours, answer))
    kept: Affine = nibabel.loadsave.load(nifti).affine  # type: ignore[attr-defined]
    exact = grids.ras_affine(volume)
    with mock.patch.object(grids, "ras_affine", return_value=kept):
        rounded = in_this_process(volume, bundle)
    with mock.patch.object(model, "axis_by_axis", nullcontext):
        by_monai = in_this_process(volume, bundle)
    corner = np.array([*volume.voxels.shape[::-1], 1]) - [1, 1, 1, 0]
    found = {
        "of": int(mine.size), "differ": int((mine != their).sum()),
        "differ on the affine of the NIfTI file": int((rounded != their).sum()),
        "differ by resampling otherwise than MONAI": int((mine != by_monai).sum()),
        "that affine is off by mm": float(np.abs((kept - exact) @ corner).max()),
    }
    others = found["differ on the affine of the NIfTI file"] + found["differ by resampling otherwise than MONAI"]
    if others or found["differ"] > 1e-5 * found["of"]:
        raise SystemExit(f"the answers differ, and not for the reason known: {found}")
    return found


def in_this_process(volume: Volume, bundle: Path) -> NDArray[np.bool_]:
    """Our mask, without files."""
    images = StudyImages(volume=volume, modality="CT", excluded={})
    found = model.BundlePipeline(bundle).run(images, RunContext(device="cpu", stage=lambda _: None))
    return found.segments[0].mask


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each part."""
    return {part: round(statistics.median(each[part] for each in rounds), 2) for part in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--slices", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found = measure(asked.slices, asked.rounds)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "against-monai.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
