"""Which of what is accepted is given."""

from __future__ import annotations

import pytest
from pydicom.uid import MPEG2MPML, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from radnode.node.dicomweb_out.accept import (
    Given,
    NotAcceptable,
    accepted,
    choose,
    choose_frames,
    choose_instances,
)

DICOM = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
PICTURES = ["image/jpeg", "image/png"]


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("", "image/jpeg"),
        ("*/*", "image/jpeg"),
        ("image/*, image/png", "image/png"),
        ("image/jpeg;q=0.5, image/png;q=0.9", "image/png"),
        ("text/html, image/png;q=0.1", "image/png"),
    ],
)
def test_the_range_of_the_highest_quality_decides_and_of_equals_the_closer_one(header: str, kind: str) -> None:
    assert choose(accepted(header), PICTURES) == kind


@pytest.mark.parametrize(
    "header", ["text/html", "image/png;q=0", "image/png;q=2", 'multipart/related; type="image/png"']
)
def test_what_is_not_accepted_is_not_given(header: str) -> None:
    with pytest.raises(NotAcceptable, match="image/jpeg"):
        choose(accepted(header), PICTURES)


@pytest.mark.parametrize(
    ("header", "stored_in", "given"),
    [
        ("*/*", {ExplicitVRLittleEndian}, (True, True)),
        (DICOM, {JPEGLSLossless}, (True, False)),
        (f"{DICOM}; transfer-syntax=*", {JPEGLSLossless}, (True, True)),
        ("multipart/related; type=application/dicom; transfer-syntax=*", {JPEGLSLossless}, (True, True)),
        (f"{DICOM}; transfer-syntax={JPEGLSLossless}", {JPEGLSLossless}, (True, True)),
        ("application/dicom; transfer-syntax=*", {JPEGLSLossless}, (False, True)),
        (f"{DICOM}; transfer-syntax={JPEG2000Lossless}; q=0.9, {DICOM}; q=0.1", {JPEGLSLossless}, (True, False)),
        (f"{DICOM}; transfer-syntax=*", {MPEG2MPML}, (True, True)),
    ],
)
def test_instances_come_as_stored_when_that_is_accepted_else_in_explicit_little_endian(
    header: str, stored_in: set[str], given: tuple[bool, bool]
) -> None:
    found = choose_instances(accepted(header), stored_in, single=True)
    assert (found.multipart, found.stored) == given


@pytest.mark.parametrize(
    ("header", "stored_in", "single"),
    [
        (f"{DICOM}; transfer-syntax={JPEG2000Lossless}", JPEGLSLossless, True),
        (DICOM, MPEG2MPML, True),
        ("application/dicom", ExplicitVRLittleEndian, False),
    ],
)
def test_instances_that_cannot_be_given_so_are_not_given(header: str, stored_in: str, single: bool) -> None:
    with pytest.raises(NotAcceptable):
        choose_instances(accepted(header), {stored_in}, single=single)


@pytest.mark.parametrize(
    ("header", "stored_in", "given"),
    [
        (OCTETS, JPEGLSLossless, ("application/octet-stream", True, False)),
        (f"{OCTETS}; transfer-syntax=*", JPEGLSLossless, ("application/octet-stream", True, True)),
        (f"{OCTETS}; transfer-syntax=*", ExplicitVRLittleEndian, ("application/octet-stream", True, False)),
        ('multipart/related; type="image/jls"', JPEGLSLossless, ("image/jls", True, True)),
        ('multipart/related; type="image/jp2", application/octet-stream;q=0.2', JPEGLSLossless,
         ("application/octet-stream", False, False)),
        ("*/*", JPEG2000Lossless, ("application/octet-stream", True, False)),
    ],
)
def test_frames_come_uncompressed_unless_what_is_stored_is_asked_for(
    header: str, stored_in: str, given: tuple[str, bool, bool]
) -> None:
    kind, multipart, stored = given
    found = choose_frames(accepted(header), stored_in, single=True)
    assert found == Given(type=kind, multipart=multipart, stored=stored)


@pytest.mark.parametrize("header", ['multipart/related; type="image/jp2"', f"{OCTETS}; transfer-syntax=1.2.3"])
def test_frames_in_another_compression_are_not_given(header: str) -> None:
    with pytest.raises(NotAcceptable, match="image/jls"):
        choose_frames(accepted(header), JPEGLSLossless, single=True)
