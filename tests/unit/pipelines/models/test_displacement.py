"""Registration: the moving series lies on the fixed one afterwards, in the patient, whichever way the network looks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from support import bundle_kinds, mr_study
from support.mr_study import T1, T2, Sweep

from radnode.pipelines import inspection
from radnode.pipelines.contract import NotProcessed, RunContext, RunFailed, RunState, StudyImages
from radnode.pipelines.geometry import SourceFrame, Volume, to_patient
from radnode.pipelines.models import description, store
from radnode.pipelines.models.bundle import BundlePipeline

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Findings

pytestmark = [
    pytest.mark.filterwarnings("ignore:inverse has been called:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning"),  # MONAI of numpy 1
]
LEFT_BACK_UP = np.array([6.0, 4.0, -5.0])
"""Where the moving series shows everything, seen from the fixed one, LPS mm."""
SHAPE = (24, 30, 28)
PLACE = np.array([3.0, -2.0, 8.0])


def volume(shift: NDArray[np.float64], *, oblique: bool, brightness: float = 1000.0) -> Volume:
    """A soft ball at PLACE, shifted, on a grid of unequal spacing."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1.5], [0, 2.0, 0], [3.0, 0, 0]])
    if oblique:
        angle = np.deg2rad(25)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = -affine[:3, :3] @ (np.array(SHAPE) - 1) / 2
    points = mr_study.grid(affine, SHAPE)
    distance = np.linalg.norm(points - PLACE - shift, axis=1)
    voxels = (brightness * np.clip((12 - distance) / 6, 0, 1)).reshape(SHAPE).astype(np.float32)
    frames = tuple(SourceFrame(sop_class_uid="1.2.840.10008.5.1.4.1.1.4", sop_instance_uid=f"2.25.{number + 1}")
                   for number in range(SHAPE[0]))
    return Volume(voxels=voxels, affine=affine, frames=frames, valid=np.ones(SHAPE, np.bool_),
                  series_instance_uid="2.25.900", frame_of_reference_uid="2.25.901")


def run(folder: Path, *, oblique: bool = False) -> Findings:
    images = StudyImages(volume=volume(np.zeros(3), oblique=oblique), modality="MR", excluded={},
                         others={"moving-t2": volume(LEFT_BACK_UP, oblique=oblique, brightness=800.0)})
    return BundlePipeline(folder).run(images, RunContext(device="cpu", stage=lambda _: None))


def centre(values: NDArray[Any], affine: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """The centre of mass of what is brighter, LPS mm."""
    bright = np.clip(values - least, 0, None)
    index = np.argwhere(bright > 0)
    return np.average(to_patient(affine, index), axis=0, weights=bright[bright > 0])


@pytest.mark.parametrize(("axcodes", "spacing", "oblique"), [
    ("RAS", None, False), ("LPS", [2.0, 2.5, 1.5], False), ("PIL", [2.0, 2.5, 1.5], True), ("SAR", None, True)])
def test_a_known_shift_in_the_patient_is_undone_whichever_way_the_network_looks(
    tmp_path: Path, axcodes: str, spacing: list[float] | None, oblique: bool
) -> None:
    resampled = [{"_target_": "Spacingd", "keys": "@image_key", "pixdim": spacing}] if spacing else []
    bundle = bundle_kinds.write_registration(tmp_path / "mover", axcodes=axcodes, least=300.0, transforms=resampled)
    found = run(bundle, oblique=oblique)
    assert found.derived is not None
    wanted = volume(np.zeros(3), oblique=oblique, brightness=800.0)
    np.testing.assert_allclose(centre(found.derived.values, wanted.affine, 300.0), PLACE, atol=0.4)
    assert np.abs(found.derived.values - wanted.voxels).mean() < 4  # in the moving scanner's own numbers
    (said,) = re.findall(r"moved it by ([\d.]+) mm", " ".join(found.remarks))
    assert float(said) == pytest.approx(np.linalg.norm(LEFT_BACK_UP), abs=0.3)


def test_what_was_moved_is_a_series_on_the_fixed_one_and_says_so(tmp_path: Path) -> None:
    """From DICOM to DICOM: fixed T1, moving T2 in which the patient lies 6 mm to the left, 4 back, 5 down."""
    motion = np.eye(4)
    motion[:3, 3] = LEFT_BACK_UP
    fixed = Sweep(name="t1_se_tra", shows="T1c", time="100500", more=T1)
    moving = Sweep(name="Ax T2 TSE", shows="T2", time="100800", step_mm=(5.0, 3.0, 4.0), shape=(28, 52, 34), more=T2,
                   motion=motion)
    mr_study.write(tmp_path / "mr", fixed, moving)
    store.add(tmp_path / "models", bundle_kinds.write_registration(tmp_path / "mover"), name="mover")
    report = inspection.try_pipeline("mover", tmp_path / "mr", ["IMAGES"], tmp_path / "out", models=tmp_path / "models",
                                     device="cpu")
    assert report.state == RunState.FINDINGS, report.reason
    slices = sorted((pydicom.dcmread(each.path) for each in report.objects), key=lambda each: each.InstanceNumber)
    assert {str(each.FrameOfReferenceUID) for each in slices} == {mr_study.FRAME}
    assert [each.ImagePositionPatient for each in slices] == [
        each.ImagePositionPatient for each in mr_study.headers(fixed)]
    stored = np.stack([each.pixel_array for each in slices]).astype(float)
    np.testing.assert_allclose(centre(stored, fixed.affine, 0.7 * stored.max()), mr_study.TUMOUR_MM, atol=1.0)
    assert slices[0].DerivationCodeSequence[0].CodeMeaning == "Deformed for Registration"
    assert not slices[0].EchoTime  # that of the fixed series would be wrong
    assert "Read as moving-t2: Ax T2 TSE" in " ".join(report.remarks)
    assert "field itself is not sent" in " ".join(report.remarks)


@pytest.mark.parametrize(("changes", "error", "why"), [
    ({"unit": "mm"}, NotProcessed, "field is in 'mm'; read are voxels"),
    ({"post": [{"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"}]},
     RunFailed, "Invertd, which moves vectors without turning them"),
    ({"names": ("T2", "T1")}, RunFailed, "does not say which of its inputs is moved"),
    ({"altered": "field * float('nan')"}, RunFailed, "no numbers"),
    ({"altered": "field[..., ::2]"}, RunFailed, "not that of the images that the network saw"),
], ids=["millimetres", "inverted", "no roles", "NaN", "other grid"])
def test_a_field_that_cannot_be_placed_in_the_patient_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], why: str
) -> None:
    others = {name: volume(LEFT_BACK_UP, oblique=False) for name in ("moving-t2", "t1")}
    images = StudyImages(volume=volume(np.zeros(3), oblique=False), modality="MR", excluded={}, others=others)
    bundle = bundle_kinds.write_registration(tmp_path / "mover", **changes)
    with pytest.raises(error, match=why):
        BundlePipeline(bundle).run(images, RunContext(device="cpu", stage=lambda _: None))


def test_a_field_that_folds_is_said_to_show_no_anatomy_there(tmp_path: Path) -> None:
    folds = "field * (torch.arange(x.shape[-1]) % 2)"
    found = run(bundle_kinds.write_registration(tmp_path / "mover", least=300.0, altered=folds))
    assert "folds over itself at" in " ".join(found.remarks)


def test_images_of_two_modalities_are_not_moved_onto_each_other(tmp_path: Path) -> None:
    folder = bundle_kinds.write_registration(tmp_path / "mover", names=("moving MR T2", "fixed CT"))
    pin = store.Pin(name="mover", folder="mover", sha256="0" * 64, series_number=1)
    with pytest.raises(store.StoreError, match="moves MR images onto CT images"):
        description.manifest(folder, pin)
