"""The header of a kept file depends on the object alone."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radnode.node.intake import p10
from radnode.pipelines.results.identity import IMPLEMENTATION_CLASS_UID


def _header(instance: str = "1.2.3", syntax: str = ExplicitVRLittleEndian) -> bytes:
    return p10.header(
        sop_class_uid=CTImageStorage.encode(),
        sop_instance_uid=instance.encode(),
        transfer_syntax_uid=syntax.encode(),
    )


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34"], ids=["odd", "even"])
def test_a_reader_finds_class_instance_and_transfer_syntax(instance: str) -> None:
    meta = pydicom.dcmread(BytesIO(_header(instance, ImplicitVRLittleEndian))).file_meta
    assert meta.MediaStorageSOPClassUID == CTImageStorage
    assert meta.MediaStorageSOPInstanceUID == instance
    assert meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert meta.ImplementationClassUID == p10.IMPLEMENTATION_CLASS_UID


def test_the_group_length_covers_the_group() -> None:
    header = _header()
    meta = pydicom.dcmread(BytesIO(header)).file_meta
    assert meta.FileMetaInformationGroupLength == len(header) - 132 - 12


def test_the_header_of_an_object_never_changes() -> None:
    """Else an object that is sent again after an update would have another digest: a conflict."""
    assert hashlib.sha256(_header()).hexdigest() == ("b2931729aa36e2820f421bf734ce8da5e0bb5af4fb6eac2ba09db0cafe31be7a")


def test_received_and_produced_files_name_the_same_implementation() -> None:
    assert p10.IMPLEMENTATION_CLASS_UID == IMPLEMENTATION_CLASS_UID
