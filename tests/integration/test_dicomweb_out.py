"""Retrieving over DICOMweb: what is given is what was received, whatever the transfer syntax, or nothing."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from sqlalchemy import update
from support import result_samples as samples
from support.chest import write_chest
from support.listed import held, parts, resource

from radnode.pipelines.forms import plan
from radnode.pipelines.results.writers import write
from radnode.storage.tables import JobRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.uid import UID
    from support.listed import Held

OCTETS = 'multipart/related; type="application/octet-stream"'
DICOM = 'multipart/related; type="application/dicom"'
VIEWER = "https://viewer.example"
SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless,
)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Held]:
    """Nothing is held yet."""
    with held(tmp_path / "held", [VIEWER]) as found:
        yield found


def image(folder: Path, name: str = "1", *, syntax: UID = ExplicitVRLittleEndian, **attributes: Any) -> Path:
    """One slice of a chest, changed."""
    path = write_chest(folder, name=name, slices=1, size=32).files[0]
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    if syntax.is_compressed:
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian,
                     little_endian=syntax != ExplicitVRBigEndian, enforce_file_format=True)  # fmt: skip
    return path


def test_files_frames_and_headers_are_those_that_were_received(web: Held, tmp_path: Path) -> None:
    for syntax in SYNTAXES:  # one test: starting the process that opens images takes a second
        _is_given_as_received(web, tmp_path, syntax)


def _is_given_as_received(web: Held, tmp_path: Path, syntax: UID) -> None:
    path = image(tmp_path, syntax.keyword, syntax=syntax)
    web.receive(path)
    sent = pydicom.dcmread(path)
    pixels = pixel_array(path).astype("<i2")
    address = resource(sent)

    stored = web.client.get(address, headers={"Accept": f"{DICOM}; transfer-syntax=*"})
    assert parts(stored) == [(f"application/dicom; transfer-syntax={syntax}", path.read_bytes())]
    assert int(stored.headers["content-length"]) == len(stored.content)
    single = web.client.get(address, headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert single.content == path.read_bytes()

    rewritten = web.client.get(address, headers={"Accept": DICOM})
    if syntax == ExplicitVRBigEndian:
        assert rewritten.status_code == 406
    else:
        kind, plain = parts(rewritten)[0]
        assert kind == f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"
        given = pydicom.dcmread(BytesIO(plain))
        assert given.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert given.PixelData == pixels.tobytes()
        assert given.SOPInstanceUID == sent.SOPInstanceUID

    frames = web.client.get(f"{address}/frames/1", headers={"Accept": OCTETS})
    expected = f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
    assert parts(frames) == [(expected, pixels.tobytes())]
    bulk = web.client.get(f"{address}/bulkdata/7FE00010", headers={"Accept": OCTETS})
    assert parts(bulk) == [(expected, pixels.tobytes())]

    header = web.client.get(f"{address}/metadata").json()[0]
    assert header.pop("7FE00010") == {"vr": "OW", "BulkDataURI": f"http://node{address}/bulkdata/7FE00010"}
    assert header.pop("00080005") == {"vr": "CS", "Value": ["ISO_IR 192"]}
    if syntax.is_compressed:
        _is_given_compressed(web, sent, syntax)
    del sent.PixelData
    assert header == sent.to_json_dict()


def _is_given_compressed(web: Held, sent: Dataset, syntax: UID) -> None:
    """As it is stored, to who asks for that, and in no other compression."""
    codestream = next(pydicom.encaps.generate_frames(sent.PixelData, number_of_frames=1))
    for accepted in (f"{OCTETS}; transfer-syntax=*", f"{OCTETS}; transfer-syntax={syntax}"):
        frames = web.client.get(f"{resource(sent)}/frames/1", headers={"Accept": accepted})
        assert parts(frames) == [(f"application/octet-stream; transfer-syntax={syntax}", codestream)]
    refused = web.client.get(f"{resource(sent)}/frames/1", headers={"Accept": 'multipart/related; type="image/jpx"'})
    assert refused.status_code == 406


def test_frames_of_a_binary_segmentation_begin_at_whole_bytes(web: Held, tmp_path: Path) -> None:
    masks = np.random.default_rng(3).random((5, 7, 9)) > 0.5
    path = image(tmp_path, "bits", Rows=7, Columns=9, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=5,
                 PixelRepresentation=0)  # fmt: skip
    sent = pydicom.dcmread(path)
    sent.PixelData = np.packbits(masks.ravel(), bitorder="little").tobytes() + b"\0"
    sent.save_as(path)
    web.receive(path)
    found = parts(web.client.get(f"{resource(sent)}/frames/2,5", headers={"Accept": OCTETS}))
    assert [body for _, body in found] == [
        np.packbits(masks[number].ravel(), bitorder="little").tobytes() for number in (1, 4)
    ]
    assert web.client.get(f"{resource(sent)}/frames/6").status_code in (404, 406)
    assert web.client.get(f"{resource(sent)}/rendered").status_code == 406, "which of the frames?"
    assert web.client.get(f"{resource(sent)}/frames/2/rendered").status_code == 200


def test_pictures_have_the_window_that_is_asked_for(web: Held, tmp_path: Path) -> None:
    path = image(tmp_path, "picture")
    web.receive(path)
    sent = pydicom.dcmread(path)
    units = sent.pixel_array * float(sent.RescaleSlope) + float(sent.RescaleIntercept)
    answer = web.client.get(f"{resource(sent)}/rendered?window=40,401,linear", headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    shown = np.asarray(Image.open(BytesIO(answer.content)))
    low, high = 40 - 0.5 - 200, 40 - 0.5 + 200
    assert np.abs(shown - np.clip((units - low) / (high - low), 0, 1) * 255).max() <= 1
    small = web.client.get(f"{resource(sent)}/frames/1/rendered?viewport=16,16&quality=50")
    assert (small.headers["content-type"], Image.open(BytesIO(small.content)).size) == ("image/jpeg", (16, 16))
    for level in (f"/dicom-web/studies/{sent.StudyInstanceUID}", resource(sent)):
        assert Image.open(BytesIO(web.client.get(f"{level}/thumbnail").content)).size == (32, 32)
    for wrong in ("window=40", "window=40,0", "window=40,400,sigmoid", "viewport=1,2,3", "quality=0"):
        assert web.client.get(f"{resource(sent)}/rendered?{wrong}").status_code == 400


def test_a_long_private_value_is_bulk_data_and_a_short_one_stands_in_the_header(web: Held, tmp_path: Path) -> None:
    path = image(tmp_path, "private")
    sent = pydicom.dcmread(path)
    block = sent.private_block(0x0029, "MAKER", create=True)
    block.add_new(1, "OB", b"short!")
    item = Dataset()
    item.add_new(0x00291001, "OB", bytes(range(256)) * 8)
    block.add_new(2, "SQ", [item])
    block.add_new(3, "UN", b"\x05" * 70_000)
    sent.save_as(path)
    web.receive(path)
    header = web.client.get(f"{resource(sent)}/metadata").json()[0]
    assert header["00291001"] == {"vr": "OB", "InlineBinary": "c2hvcnQh"}
    for element, value in ((header["00291003"], b"\x05" * 70_000),
                           (header["00291002"]["Value"][0]["00291001"], bytes(range(256)) * 8)):  # fmt: skip
        assert parts(web.client.get(element["BulkDataURI"], headers={"Accept": OCTETS}))[0][1] == value
    for nothing in ("00291009", "00291002/3/00291001", "00100010"):
        assert web.client.get(f"{resource(sent)}/bulkdata/{nothing}").status_code == 404


def test_results_are_retrieved_in_the_study_of_their_images(tmp_path: Path) -> None:
    series = write_chest(tmp_path / "ct", slices=8, size=32)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in series.files]
    sample = samples.sample(headers, samples.lungs(samples.volume_of(headers)), forms=plan(("SEG", "TID1500")))
    results = {}
    for written in write(sample.findings, sample.source, sample.provenance, sample.provenance.order.forms):
        path = tmp_path / f"{written.wanted.name}.dcm"
        written.dataset.save_as(path, enforce_file_format=True)
        results[written.wanted.name] = path
    with held(tmp_path / "node") as web:
        web.receive(*series.files)
        web.produce(results["SEG"], results["TID1500+SEG"])
        study = f"/dicom-web/studies/{series.study_instance_uid}"
        listed = web.client.get(f"{study}/series").json()
        assert sorted(each["00080060"]["Value"][0] for each in listed) == ["CT", "SEG", "SR"]
        for path in results.values():
            result = pydicom.dcmread(path)
            stored = web.client.get(resource(result), headers={"Accept": f"{DICOM}; transfer-syntax=*"})
            assert parts(stored)[0][1] == path.read_bytes()
        whole = parts(web.client.get(study, headers={"Accept": DICOM}))
        assert len(whole) == 10
        # What a late image makes of a result: it is superseded, and gone here.
        web.receive(write_chest(tmp_path / "late", slices=9, size=32).files[8])
        with web.database.begin() as session:
            session.execute(update(JobRow).values(state="SUPERSEDED"))
        assert len(parts(web.client.get(study, headers={"Accept": DICOM}))) == 9
        assert web.client.get(resource(pydicom.dcmread(results["SEG"]))).status_code == 404


def test_a_file_that_is_not_whole_is_not_given_and_says_so(web: Held, tmp_path: Path) -> None:
    path = image(tmp_path, "damaged")
    web.receive(path)
    sent = pydicom.dcmread(path)
    web.store.path(hashlib.sha256(path.read_bytes()).hexdigest()).write_bytes(path.read_bytes()[:-100])
    answer = web.client.get(resource(sent), headers={"Accept": DICOM})
    assert (answer.status_code, "not whole" in answer.json()["detail"]) == (500, True)


def test_pixels_that_are_no_pixels_cost_one_answer(web: Held, tmp_path: Path) -> None:
    path = image(tmp_path, "broken", syntax=JPEG2000Lossless)
    sent = pydicom.dcmread(path)
    sent.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + b"\x2f\x00" * 200])
    sent.save_as(path)
    good = image(tmp_path / "good", "good")
    web.receive(path, good)
    refused = web.client.get(f"{resource(sent)}/frames/1", headers={"Accept": OCTETS})
    assert refused.status_code in (406, 500)
    assert "CANARY" not in refused.text
    assert web.client.get(f"{resource(pydicom.dcmread(good))}/rendered").status_code == 200


def test_an_image_process_that_died_is_replaced(web: Held, tmp_path: Path) -> None:
    path = image(tmp_path, "killed")
    web.receive(path)
    address = f"{resource(pydicom.dcmread(path))}/rendered"
    assert web.client.get(address).status_code == 200
    for process in web.web.images._all:
        if process._process is not None:
            process._process.kill()
            process._process.wait()
    assert web.client.get(address).status_code == 200


def test_a_web_page_of_a_configured_origin_may_ask_and_no_other(web: Held) -> None:
    ask = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    allowed = web.client.options("/dicom-web/studies", headers={**ask, "Origin": VIEWER})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, VIEWER)
    other = web.client.options("/dicom-web/studies", headers={**ask, "Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in web.client.get("/openapi.json", headers={"Origin": VIEWER}).headers


def test_a_search_says_what_it_did_not_follow_and_that_there_is_more(web: Held, tmp_path: Path) -> None:
    web.receive(image(tmp_path / "a", "more a"), image(tmp_path / "b", "more b"))
    answer = web.client.get("/dicom-web/studies?limit=1&fuzzymatching=true&PatientAge=070Y")
    assert len(answer.json()) == 1
    said = " ".join(answer.headers.get_list("warning"))
    for text in ("fuzzymatching", "PatientAge", "additional results"):
        assert text in said
    assert web.client.get("/dicom-web/studies?PatentName=x").status_code == 400
    assert web.client.get("/dicom-web/studies", headers={"Accept": "text/html"}).status_code == 406
    assert json.loads(web.client.get("/dicom-web/studies/1.2.3/series").text) == []
    assert web.client.get("/dicom-web/studies/1.2.3/metadata").status_code == 404
