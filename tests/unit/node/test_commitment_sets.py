"""The data sets of storage commitment: read as they were written, by whomever, and refused where they are cut."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from radnode.node.commitment_sets import Reference, Transaction, Unreadable, encoded, read, written

if TYPE_CHECKING:
    from pydicom import Dataset

CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34")
references = st.lists(
    st.builds(
        Reference, sop_class_uid=st.sampled_from(CLASSES),
        sop_instance_uid=st.integers(1, 10**30).map(lambda number: f"2.25.{number}"),
        failure=st.none() | st.sampled_from([0x0110, 0x0112, 0x0213]),
    ),
    unique_by=lambda each: each.sop_instance_uid, max_size=5,
)
ONE = Transaction(uid="2.25.7", references=(Reference(sop_class_uid=CLASSES[0], sop_instance_uid="2.25.8"),))


def _with_undefined_lengths(dataset: Dataset, *, implicit_vr: bool) -> bytes:
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit_vr, True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


@given(found=references, implicit_vr=st.booleans(), undefined=st.booleans())
def test_what_was_written_is_read_in_either_syntax_and_with_either_kind_of_length(
    found: list[Reference], implicit_vr: bool, undefined: bool
) -> None:
    transaction = Transaction(uid="2.25.7", references=found)
    content = (
        _with_undefined_lengths(written(transaction), implicit_vr=implicit_vr) if undefined
        else encoded(transaction, implicit_vr=implicit_vr)
    )
    again = read(content, implicit_vr=implicit_vr)
    assert (again.uid, set(again.references)) == ("2.25.7", set(found))


def test_what_else_a_peer_says_is_passed_over() -> None:
    dataset = written(ONE)
    dataset.RetrieveAETitle = "ARCHIVE"
    dataset.StorageMediaFileSetID = "TAPE1"
    dataset.ReferencedSOPSequence[0].RetrieveAETitle = "ARCHIVE"
    for implicit_vr in (True, False):
        assert read(_with_undefined_lengths(dataset, implicit_vr=implicit_vr), implicit_vr=implicit_vr) == ONE


def test_what_is_said_to_be_committed_and_failed_has_failed() -> None:
    dataset = written(ONE)
    dataset.FailedSOPSequence = dataset.ReferencedSOPSequence
    dataset.FailedSOPSequence[0].FailureReason = 0x0112
    (reference,) = read(_with_undefined_lengths(dataset, implicit_vr=True), implicit_vr=True).references
    assert reference.failure == 0x0112


@pytest.mark.parametrize("implicit_vr", [True, False])
def test_what_is_cut_is_refused_or_says_less_and_never_another_uid(implicit_vr: bool) -> None:
    content = encoded(ONE, implicit_vr=implicit_vr)
    for length in range(len(content)):
        try:
            found = read(content[:length], implicit_vr=implicit_vr)
        except Unreadable:
            continue
        assert (found.uid, found.references) == ("2.25.7", ())


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(content: bytes, implicit_vr: bool) -> None:
    with contextlib.suppress(Unreadable):
        assert read(content, implicit_vr=implicit_vr).uid
