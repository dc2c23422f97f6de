"""What a study costs around the model, here and by MONAI's own means, on the same machine, in one run.

    python tests/bench/against_monai.py --out bench-results

MONAI's way: the series to NIfTI (LoadImage, SaveImage), `monai.bundle.run` of the bundle as its authors wrote it, the
answer to a DICOM segmentation by highdicom. Ours: one job of a warm worker, from the same files to a segmentation that
passed the gate. Each forward pass of the network is timed apart, so that what is compared is all else. Interpreters are
started and libraries imported before the clock runs, in both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

from radnode.pipelines import registry
from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series
from radnode.pipelines.inspection import _volume
from radnode.pipelines.models import store
from radnode.pipelines.results.decoding import masks
from radnode.pipelines.runner import run
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SIZE, ROUNDS = 512, 3
# The network of the tests, with a clock.
_NETWORK = bundles._NETWORK.replace("import torch\n", "import time\nimport torch\nimport radnode_clock\n", 1).replace(
    "        return self.conv(x)",
    "        began = time.perf_counter()\n        y = self.conv(x)\n"
    "        radnode_clock.seconds += time.perf_counter() - began\n        return y",
)
_TRANSFORMS = (
    {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
    {"_target_": "ScaleIntensityRanged", "keys": "@image_key", "a_min": -1000, "a_max": 1000, "b_min": -1000.0,
     "b_max": 1000.0, "clip": True},
)  # fmt: skip


class Clock:
    """What the network took; it imports this as a module."""

    seconds = 0.0


def write_model(folder: Path) -> Path:
    """A bundle in the zoo's layout: orientation, spacing, intensities, windows of 96, softmax, inversion, argmax."""
    config = bundles.inference(transforms=_TRANSFORMS)
    config["inferer"] |= {"roi_size": [96, 96, 96], "sw_batch_size": 4, "overlap": 0.25}
    config["device"] = "$torch.device('cpu')"
    config["handlers"] = config["handlers"][:1]
    return bundles.write_bundle(folder, config=config, network=_NETWORK)


def theirs(bundle: Path, series: Path, work: Path) -> tuple[dict[str, float], NDArray[np.bool_]]:
    """Seconds of each part of MONAI's way, and the mask (slices, rows, columns) in the segmentation."""
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    image = LoadImage(reader=PydicomReader(), ensure_channel_first=True, image_only=True)(series)
    SaveImage(output_dir=work / "nifti", output_postfix="", separate_folder=False, print_log=False)(
        image, meta_data={**image.meta, "filename_or_obj": "image"})
    (nifti,) = (work / "nifti").rglob("*.nii.gz")
    seconds["to NIfTI"] = time.perf_counter() - began
    began = time.perf_counter()
    Clock.seconds = 0.0
    monai.bundle.run(
        run_id="run", init_id="initialize", config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle), dataset_dir=str(work), datalist=[str(nifti)],
        output_dir=str(work / "answer"), **{"dataloader#num_workers": 0, "dataset#progress": False},
    )  # fmt: skip
    seconds["bundle"] = time.perf_counter() - began - Clock.seconds
    seconds["network"] = Clock.seconds
    began = time.perf_counter()
    (path,) = (work / "answer").rglob("*.nii.gz")
    answer: Any = nibabel.loadsave.load(path)
    labels = np.asarray(answer.dataobj).reshape(answer.shape[:3])
    sources = sorted((pydicom.dcmread(each) for each in series.glob("*.dcm")),
                     key=lambda each: float(each.ImagePositionPatient[2]))
    mask = np.ascontiguousarray(labels.transpose(2, 1, 0) > 0)
    segmentation(sources, mask).save_as(work / "theirs.dcm")
    seconds["to SEG"] = time.perf_counter() - began
    return seconds, mask


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


def measure(slices: int) -> dict[str, Any]:
    """Both in turn, on the same files; medians."""
    sys.modules["radnode_clock"] = Clock  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = write_model(folder / "threshold")
        files = list(write_series(chest_phantom(slices=slices, size=SIZE), folder / "series"))
        store.add(folder / "store", bundle, name="threshold")
        sys.path.insert(0, str(bundle))
        warm = Warm(lambda: registry.installed((), models=folder / "store"))
        order = replace(order_over(files, folder / "out", pipeline="threshold"), forms=("SEG",))
        run(order, warm, lambda _: None)  # a worker is warm before its second study
        rounds_of_ours, rounds_of_theirs, agree = [], [], []
        for number in range(ROUNDS):
            work = folder / f"round {number}"
            work.mkdir()
            Clock.seconds = 0.0
            began = time.perf_counter()
            report = run(order, warm, lambda _: None)
            rounds_of_ours.append({**report.seconds, "network": Clock.seconds,
                                   "around": time.perf_counter() - began - Clock.seconds})
            seconds, mask = theirs(bundle, folder / "series", work)
            rounds_of_theirs.append({**seconds, "around": sum(seconds.values()) - seconds["network"]})
            agree.append(same(Path(report.objects[0].path), files, mask))
    ours, others = median(rounds_of_ours), median(rounds_of_theirs)
    return {"slices": slices, "size": SIZE, "ours_s": ours, "theirs_s": others,
            "times_faster": round(others["around"] / ours["around"], 1), "voxels_that_differ": max(agree)}


def same(path: Path, files: Sequence[Path], mask: NDArray[np.bool_]) -> int:
    """How many voxels of our segmentation are not those of the other."""
    volume = _volume(files[0].parent)
    ours = masks(pydicom.dcmread(path), volume.affine, volume.voxels.shape)[1]
    return int((ours != mask).sum())


def median(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each part."""
    return {part: round(statistics.median(each[part] for each in rounds), 2) for part in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--slices", type=int, default=150)
    asked = parser.parse_args()
    found = measure(asked.slices)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "against-monai.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
