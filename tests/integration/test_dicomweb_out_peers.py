"""The node's DICOMweb as other programs read it: dicomweb-client, and the DICOMweb plug-in of Orthanc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.uid import JPEGLSLossless
from support import dcmtk
from support.chest import write_chest
from support.node import modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.chest import Series
    from support.node import NodeProcess
    from support.orthanc import Orthanc

pytestmark = pytest.mark.peer
SLICES = 10


def test_dicomweb_client_and_orthanc_retrieve_what_the_node_received(
    start_node: Callable[..., NodeProcess], start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    """One test, since each node and each Orthanc takes its time to start."""
    series = write_chest(tmp_path / "ct", slices=SLICES)
    compressed = pydicom.dcmread(series.files[0])
    compressed.compress(JPEGLSLossless, generate_instance_uid=False)
    compressed.save_as(series.files[0])
    node = start_node(peers=[modality()], routes=[])
    dcmtk.dcmsend(node.port, series.files, called="RADNODE")
    token = node.token("radiologist")
    client = DICOMwebClient(
        f"http://127.0.0.1:{node.http_port}/dicom-web", headers={"Authorization": f"Bearer {token}"}
    )
    eventually(
        lambda: len(client.search_for_instances(study_instance_uid=series.study_instance_uid)) == SLICES,
        within=30, why=lambda: f"all images are listed\n{node.log()}",
    )
    _searches(client, series)
    _retrieves(client, series)
    orthanc = start_orthanc(more={"DicomWeb": {
        "Enable": True, "Root": "/dicom-web/", "Servers": {"node": {
            "Url": f"http://127.0.0.1:{node.http_port}/dicom-web/",
            "HttpHeaders": {"Authorization": f"Bearer {token}"},
        }},
    }})
    orthanc.post("/dicom-web/servers/node/retrieve", {"Resources": [{"Study": series.study_instance_uid}]})
    assert len(orthanc.instances(series.study_instance_uid)) == SLICES
    sent = {pydicom.dcmread(path).SOPInstanceUID: pydicom.dcmread(path) for path in series.files}
    for given in orthanc.datasets(series.study_instance_uid):
        assert (given.pixel_array == sent[given.SOPInstanceUID].pixel_array).all()


def _searches(client: DICOMwebClient, series: Series) -> None:
    studies = client.search_for_studies(search_filters={"PatientName": "canaria*"}, fields=["StudyDescription"])
    assert [_value(each, "0020000D") for each in studies] == [series.study_instance_uid]
    assert (_value(studies[0], "00201208"), _value(studies[0], "00080061")) == (SLICES, "CT")
    assert _value(studies[0], "00081030") == "CT chest"
    assert client.search_for_studies(search_filters={"PatientName": "nobody*"}) == []
    found = client.search_for_series(search_filters={"Modality": "CT", "StudyDate": "20260101-20260131"})
    assert [_value(each, "0020000E") for each in found] == [series.series_instance_uid]
    pages = [client.search_for_instances(limit=6, offset=offset) for offset in (0, 6)]
    assert len({_value(each, "00080018") for page in pages for each in page}) == SLICES


def _retrieves(client: DICOMwebClient, series: Series) -> None:
    of_series = (series.study_instance_uid, series.series_instance_uid)
    headers = [
        pydicom.Dataset.from_json(each, lambda _: b"") for each in client.retrieve_series_metadata(*of_series)
    ]
    assert [each.InstanceNumber for each in headers] == list(range(1, SLICES + 1))
    sent = {pydicom.dcmread(path).SOPInstanceUID: pydicom.dcmread(path) for path in series.files}
    for given in (*client.retrieve_study(of_series[0]), *client.retrieve_series(*of_series)):
        assert (given.pixel_array == sent[given.SOPInstanceUID].pixel_array).all()
        assert given.PatientName == sent[given.SOPInstanceUID].PatientName
    for uid, image in sent.items():
        frame = client.retrieve_instance_frames(*of_series, uid, [1])[0]
        assert frame == image.pixel_array.astype("<i2").tobytes()
    uid = next(iter(sent))
    assert client.retrieve_instance(*of_series, uid).SOPInstanceUID == uid
    picture = client.retrieve_instance_rendered(*of_series, uid, media_types=("image/png",))
    assert picture.startswith(b"\x89PNG")


def _value(match: dict[str, Any], tag: str) -> Any:
    return match[tag]["Value"][0]
