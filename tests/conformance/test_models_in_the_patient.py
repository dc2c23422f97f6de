"""Where a model's segment lies in the patient: by the images' headers, and by the SEG as dcmqi and ITK read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import bundles, grids, validators

from radnode.pipelines import inspection
from radnode.pipelines.models import store

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.peer

SPACING = {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [0.5, 0.5, 0.5], "mode": "nearest"}
PADDING = {"_target_": "SpatialPadd", "keys": "@image_key", "spatial_size": [60, 60, 60]}


def above_threshold(files: list[Path]) -> NDArray[np.float64]:
    """Centres of the voxels above the threshold, LPS millimetres, straight from the headers (PS3.3 C.7.6.2.1.1)."""
    found = []
    for path in files:
        image = pydicom.dcmread(path)
        row, column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        down, across = (float(each) for each in image.PixelSpacing)
        hounsfield = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        at = np.argwhere(hounsfield > bundles.THRESHOLD_HU)
        found.append(np.array(image.ImagePositionPatient, float) + at[:, :1] * down * column + at[:, 1:] * across * row)
    return np.concatenate(found)


def in_order(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points[np.lexsort(np.round(points, 2).T)]


@pytest.mark.parametrize("inverted", [True, False], ids=["with Invertd", "by where it lies"])
@pytest.mark.parametrize("name", ["coronal", "sagittal", "doubly oblique", "numbered at random"])
def test_a_segment_lies_in_the_patient_where_the_images_say(tmp_path: Path, name: str, *, inverted: bool) -> None:
    config = bundles.inference(axcodes="LSA", transforms=[SPACING, PADDING])
    config["postprocessing"]["transforms"][1]["nearest_interp"] = True
    if not inverted:
        del config["postprocessing"]["transforms"][1]
    store.add(tmp_path / "models", bundles.write_bundle(tmp_path / "threshold", config=config), name="threshold")
    files = grids.write(grids.GRIDS[name], tmp_path / "images")
    report = inspection.try_pipeline(
        "threshold", tmp_path / "images", ["SEG"], tmp_path / "out", models=tmp_path / "models", device="cpu"
    )
    assert not report.reason
    (produced,) = report.objects
    segments = validators.dcmqi_segments(tmp_path / "out" / "SEG-1.dcm", tmp_path / "read")
    assert produced.path.endswith("SEG-1.dcm")
    wanted = above_threshold(files)
    assert len(segments[1]) == len(wanted)
    np.testing.assert_allclose(in_order(segments[1]), in_order(wanted), atol=2e-3)
