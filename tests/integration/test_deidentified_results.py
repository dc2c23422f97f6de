"""Results of the node's own without a patient: still what validators accept, on the images that the outside has."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING

import pydicom
import pytest
from support import dcmtk, validators
from support import result_samples as samples
from support.network import free_port, listening
from support.outbound import Outbound, destination
from support.waiting import eventually

from radnode.config.deidentification import Deidentification
from radnode.node.deidentifying.holding import Held
from radnode.node.deidentifying.lanes import Lanes
from radnode.node.deidentifying.outward import outward
from radnode.node.deidentifying.profile import Profile
from radnode.node.deidentifying.pseudonyms import Pseudonyms
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset
    from support.orthanc import Orthanc

pytestmark = pytest.mark.peer

FORMS = ("SEG", "LABELMAP", "RTSTRUCT", "TID1500", "COMPREHENSIVE", "KEY-OBJECTS", "GSPS", "SC")
PROFILE = Profile(retain=frozenset({"modified-dates"}), clean=frozenset({"descriptors", "structured-content"}))
OUTSIDE = Pseudonyms("0123456789abcdef" * 4, "OUTSIDE")


def test_every_form_that_leaves_is_valid_and_refers_to_the_images_outside(tmp_path: Path) -> None:
    sample = samples.sample()
    header = sample.headers[0]
    image, _ = outward(_written(header, tmp_path / "image.dcm"), PROFILE, OUTSIDE, ())
    outside = pydicom.dcmread(BytesIO(image))
    left, held = {}, {}
    for result in write(sample.findings, sample.source, sample.provenance, FORMS):
        path = _written(result.dataset, tmp_path / f"{result.wanted.name}.dcm")
        try:
            content, _ = outward(path, PROFILE, OUTSIDE, ())
        except Held as reason:
            held[result.wanted.form] = str(reason)
        else:
            left[result.wanted.form] = path.with_suffix(".out.dcm")
            left[result.wanted.form].write_bytes(content)
    assert held.keys() == {"GSPS", "SC"}
    assert left.keys() == set(FORMS) - {"GSPS", "SC"}
    known = {OUTSIDE.uid(each.SOPInstanceUID) for each in sample.headers}
    assert outside.SOPInstanceUID in known
    for path in left.values():
        validators.dciodvfy(path)
        sent = pydicom.dcmread(path)
        assert (sent.PatientID, sent.StudyInstanceUID) == (outside.PatientID, outside.StudyInstanceUID)
        assert known & {each.value for each in sent.iterall() if each.VR == "UI" and each.VM == 1}
        assert str(header.SOPInstanceUID).encode() not in path.read_bytes()
    for form in ("TID1500", "COMPREHENSIVE", "KEY-OBJECTS"):
        validators.dsrdump(left[form])


@pytest.mark.parametrize("name", ["ct-chest", "mr-brain"])
def test_real_images_leave_with_the_same_voxels_in_the_same_place(
    real_data: Callable[[str], Path], name: str
) -> None:
    paths = sorted(real_data(name).rglob("*.dcm"))[::20]
    assert paths
    seen = set()
    for path in paths:
        content, _ = outward(path, PROFILE, OUTSIDE, ())
        original, sent = pydicom.dcmread(path), pydicom.dcmread(BytesIO(content))
        assert (sent.pixel_array == original.pixel_array).all()
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Modality"):
            assert sent[keyword].value == original[keyword].value
        assert str(original.StudyInstanceUID).encode() not in content
        seen.add((sent.PatientID, sent.StudyInstanceUID, sent.FrameOfReferenceUID))
    assert len(seen) == 1


def test_a_destination_outside_gets_a_result_without_its_patient_and_none_without_the_secret(tmp_path: Path) -> None:
    port = free_port()
    listener = dcmtk.storescp(port, tmp_path / "stored", ae_title="OUTSIDE")
    lane = Deidentification(secret_file=tmp_path / "secret", clean=("structured-content",))
    bench = Outbound(tmp_path, destination(port, name="OUTSIDE", ae_title="OUTSIDE", deidentify=lane))
    lanes = Lanes(bench.database, tmp_path / "lane", bench.clock.now)
    bench.sender._lanes = lanes
    bench.patient.PatientName, bench.patient.PatientID = "Canaria^Serinus", "CANARY-0001"
    try:
        eventually(lambda: listening(port))
        bench.produce(("SEG", "TID1500"), to=("OUTSIDE",))
        bench.deliver()
        assert bench.states() == ["WAITING", "WAITING"]
        assert "secret" in bench.deliveries()[0].reason
        (tmp_path / "secret").write_text("0123456789abcdef" * 4)
        bench.later(timedelta(minutes=1))
        bench.later(timedelta(hours=1))
        states = bench.states()
        stored = sorted((tmp_path / "stored").iterdir())
    finally:
        lanes.close()
        bench.close()
        listener.stop()
    assert states == ["SENT", "SENT"], [row.reason for row in bench.deliveries()]
    assert len(stored) == 2
    for path in stored:
        assert b"Canaria" not in path.read_bytes()
        assert pydicom.dcmread(path).PatientIdentityRemoved == "YES"
    assert not list((tmp_path / "lane").rglob("*.dcm"))


def test_a_destination_outside_gets_results_by_stow_rs_without_their_patient(
    start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    orthanc = start_orthanc(ae_title="OUTSIDE")
    for name, content in (("secret", "0123456789abcdef" * 4), ("password", "test")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    web = {"url": f"http://127.0.0.1:{orthanc.http_port}/dicom-web", "user": "test",
           "password_file": tmp_path / "password"}
    lane = Deidentification(secret_file=tmp_path / "secret", clean=("structured-content",))
    bench = Outbound(tmp_path, destination(104, name="OUTSIDE", dicomweb=web, deidentify=lane))
    lanes = Lanes(bench.database, tmp_path / "lane", bench.clock.now)
    bench.sender._lanes = lanes
    bench.patient.PatientName, bench.patient.PatientID = "Canaria^Serinus", "CANARY-0001"
    try:
        bench.produce(("SEG", "TID1500"), to=("OUTSIDE",))
        bench.deliver()
        assert bench.states() == ["SENT", "SENT"], [row.reason for row in bench.deliveries()]
        stored = [orthanc.get(f"/instances/{each}/simplified-tags") for each in orthanc.get("/instances")]
    finally:
        lanes.close()
        bench.close()
    assert len(stored) == 2
    for each in stored:
        assert each["PatientIdentityRemoved"] == "YES"
        assert "Canaria" not in str(each)
        assert "CANARY-0001" not in str(each)


def _written(dataset: Dataset, path: Path) -> Path:
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path
