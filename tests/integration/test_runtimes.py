"""Models of any runtime: a description in the model's folder, DICOM in, the same segmentation as plain torch out."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
import torch
from monai.inferers.utils import sliding_window_inference
from support import described, validators
from support.chest import write_chest
from support.node import RADNODE

from radnode.pipelines.contract import RunState
from radnode.pipelines.inspection import try_pipeline
from radnode.pipelines.models import store

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from support.chest import Series

pytestmark = pytest.mark.peer

AS_TRAINED = 1e-5
"""Of two answers whose difference is smaller another runtime may choose the other: sums in another order."""


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    return write_chest(tmp_path_factory.mktemp("ct"), slices=20, size=40)


def plain_torch(series: Series) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Classes (slices, rows, columns) by the network itself; and where two classes are as good as equal."""
    hounsfield = np.stack([pydicom.dcmread(path).pixel_array for path in series.files]).astype(np.float32)
    in_ras = torch.from_numpy(np.clip((hounsfield + 1000) / 1400, 0, 1)[:, ::-1, ::-1].transpose(2, 1, 0).copy())
    with torch.inference_mode():
        answer = sliding_window_inference(in_ras[None, None], described.PATCH, 1, described.Tiny(), mode="gaussian")
    probabilities = torch.softmax(torch.as_tensor(answer), dim=1)[0].numpy().transpose(0, 3, 2, 1)[:, :, ::-1, ::-1]
    two_best = np.sort(probabilities, axis=0)[-2:]
    return probabilities.argmax(axis=0), two_best[1] - two_best[0] < AS_TRAINED


def label_map(path: Path, series: Series) -> NDArray[np.int_]:
    """Segment numbers (slices, rows, columns) of a written SEG; 0 where there is none."""
    seg = pydicom.dcmread(path)
    places = {str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID): number
              for number, file in enumerate(series.files)}
    found = np.zeros((len(places), seg.Rows, seg.Columns), np.int_)
    for group, frame in zip(seg.PerFrameFunctionalGroupsSequence, np.atleast_3d(seg.pixel_array), strict=True):
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[places[str(source.ReferencedSOPInstanceUID)]][frame > 0] = number
    return found


@pytest.mark.parametrize("runtime", described.RUNTIMES)
def test_the_same_network_gives_the_same_segmentation_in_every_runtime(
    runtime: str, series: Series, tmp_path: Path
) -> None:
    if runtime == "onnx":
        pytest.importorskip("onnxruntime")
    models = tmp_path / "models"
    store.add(models, described.write_model(tmp_path / "tiny", runtime), name="tiny")

    report = try_pipeline("tiny", series.files[0].parent, ["SEG", "TID1500"], tmp_path / "out", models=models,
                          device="cpu")

    assert report.state is RunState.FINDINGS, report.reason
    wanted, doubtful = plain_torch(series)
    assert doubtful.mean() < 0.01
    found = label_map(tmp_path / "out" / "SEG-1.dcm", series)
    np.testing.assert_array_equal(found[~doubtful], wanted[~doubtful])
    assert set(np.unique(found)) == {0, 1, 2}
    # What is written does not depend on the runtime: one of them is shown to every validator.
    for produced in report.objects if runtime == "torchscript" else ():
        validators.validate(tmp_path / "out" / f"{produced.name}-1.dcm",
                            "SEG" if produced.form == "SEG" else "TID1500")
    seg = pydicom.dcmread(tmp_path / "out" / "SEG-1.dcm")
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("tiny", "1.2.3")


def test_the_check_says_in_one_line_for_each_model_whether_it_can_be_used(tmp_path: Path) -> None:
    config = tmp_path / "radnode.yaml"
    config.write_text("node:\n  data: data\npeers: {}\nroutes: []\n")
    models = tmp_path / "data" / "models"
    for name in ("sound", "changed", "weightless", "mistaken"):
        folder = described.write_model(tmp_path / name)
        if name == "weightless":
            (folder / "model.pt").unlink()
        if name == "mistaken":
            (folder / "model.yaml").write_text("name: Nothing else\n")
        store.add(models, folder, name=name)
    (models / "changed" / "model.pt").write_bytes(b"other weights")
    checked = subprocess.run([RADNODE, "models", "check", "--config", config], capture_output=True, text=True,
                             timeout=300, check=False)
    assert checked.returncode == 1
    lines = dict(line.split(": ", 1) for line in checked.stdout.splitlines())
    assert lines["sound"].endswith(", as added, opens")
    assert "not those that were added" in lines["changed"]
    assert "model.pt is not in its folder; download it" in lines["weightless"]
    assert "missing `version`" in lines["mistaken"]
