"""multipart/related in pieces of any size: the same parts, and of a body that is cut no part too many."""

from __future__ import annotations

import contextlib
import gzip
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stow import BOUNDARY, file, multipart

from radnode.node.dicomweb import media
from radnode.node.dicomweb.answer import Outcome, http_status
from radnode.node.dicomweb.http import inflated
from radnode.node.dicomweb.multipart import Begins, Ends, Malformed, Multipart
from radnode.node.intake import p10
from radnode.node.intake.refusals import NotAFile
from radnode.node.statuses import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

TEMPTING = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", f"\r\n--{BOUNDARY[:-1]}".encode(), b"\0", b"x"])).map(
    b"".join
)


def taken_apart(pieces: Iterable[bytes]) -> tuple[list[bytes], str]:
    """The whole parts, and what was wrong (empty if nothing)."""
    multipart, whole, part = Multipart(BOUNDARY), [], b""
    try:
        for piece in pieces:
            for event in multipart.feed(piece):
                if isinstance(event, Begins):
                    part = b""
                elif isinstance(event, Ends):
                    whole.append(part)
                else:
                    assert event, "no empty piece"
                    part += event
        multipart.finish()
    except Malformed as error:
        return whole, str(error)
    return whole, ""


@given(st.lists(TEMPTING, min_size=1, max_size=4), st.lists(st.integers(1, 40), min_size=1, max_size=9))
def test_pieces_of_any_size_give_the_parts_byte_by_byte(parts: list[bytes], sizes: list[int]) -> None:
    body, pieces, at = multipart(*parts), [], 0
    while at < len(body):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(body[at : at + size])
        at += size
    assert taken_apart(pieces) == (parts, "")


def test_a_body_cut_at_any_byte_has_no_part_too_many_and_is_wrong() -> None:
    parts = [b"the first part", b"the second\r\n", b""]
    body = multipart(*parts)
    after, position = [], 0
    for part in parts:
        position = body.index(part + f"\r\n--{BOUNDARY}".encode(), position) + len(part)
        after.append(position + len(f"\r\n--{BOUNDARY}"))
        position += 2
    end = len(body) - len("\r\n")
    for cut in range(end):
        for pieces in ([body[:cut]], [body[at : at + 1] for at in range(cut)]):
            whole, wrong = taken_apart(pieces)
            assert wrong, cut
            assert whole == parts[: sum(cut >= each for each in after)], cut
    assert taken_apart([body[:end]]) == (parts, "")


@given(st.binary(max_size=300))
def test_any_bytes_are_parts_or_malformed(content: bytes) -> None:
    together = taken_apart([content])
    assert taken_apart(content[at : at + 1] for at in range(len(content))) == together


@pytest.mark.parametrize("boundary", ["", " ends-with-blank ", "quote\"", "line\r\nend", "ä", "x" * 300])
def test_a_boundary_that_cannot_be_one_is_refused(boundary: str) -> None:
    with pytest.raises(Malformed):
        Multipart(boundary)


@pytest.mark.parametrize(("text", "name", "parameters"), [
    ("application/dicom", "application/dicom", {}),
    ('Multipart/Related; TYPE="application/dicom"; boundary=a', "multipart/related",
     {"type": "application/dicom", "boundary": "a"}),
    ("multipart/related;type=application/dicom;boundary=\"a b\\\"c\"", "multipart/related",
     {"type": "application/dicom", "boundary": 'a b"c'}),
])
def test_a_media_type_is_read_with_its_parameters(text: str, name: str, parameters: dict[str, str]) -> None:
    assert media.parse(text) == media.MediaType(name, parameters)


@pytest.mark.parametrize("text", ["", "dicom", "a/b/c", "a/b;", "a/b; c", "a/b; c=1; C=2", "a/b; c=\"1", "a/b; c=1 d"])
def test_what_is_no_media_type_is_none(text: str) -> None:
    assert media.parse(text) is None


@pytest.mark.parametrize(("accept", "answer"), [
    ("", media.JSON), ("*/*", media.JSON), ("application/dicom+json", media.JSON), ("application/json", media.JSON),
    ("application/dicom+xml", media.XML), ("text/html, application/dicom+xml;q=0.5", media.XML),
    ("application/dicom+xml, application/dicom+json", media.JSON), ("text/html", None),
    ('multipart/related; type="application/dicom"', None),
])
def test_the_answer_is_of_a_type_that_is_accepted(accept: str, answer: str | None) -> None:
    assert media.answer_for(accept) == answer


@pytest.mark.parametrize(("codes", "status"), [
    ([0], 200), ([0, 0], 200), ([0, 0xA900], 202), ([0, 0xA700], 202), ([0xA900], 409), ([0xA900, 0xC122], 409),
    ([0xA700], 503), ([0xA900, 0x0110], 503),
])
def test_the_http_status_sums_up_what_became_of_the_instances(codes: list[int], status: int) -> None:
    outcomes = [Outcome(sop_class_uid="1.2", sop_instance_uid="1.3", status=Status(code, "")) for code in codes]
    assert http_status(outcomes) == status


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_what_was_compressed_comes_out_as_it_was(content: bytes, size: int) -> None:
    packed = gzip.compress(content)
    assert b"".join(inflated(packed[at : at + size] for at in range(0, len(packed), size))) == content
    for cut in {0, 1, len(packed) // 2, len(packed) - 1}:
        with pytest.raises(Malformed):
            list(inflated([packed[:cut]]))


def test_the_head_of_a_file_is_found_at_any_cut_or_more_is_asked_for() -> None:
    content = file(1)
    found = p10.file_meta(content, whole=True)
    assert found is not None
    assert (found.sop_instance_uid, found.transfer_syntax_uid) == (b"1.2.3.1", "1.2.840.10008.1.2.1")
    for cut in range(len(content)):
        said = p10.file_meta(content[:cut], whole=False)
        assert said == (found if cut >= found.length + 2 else None), cut
    for cut in range(140, found.length):
        with contextlib.suppress(NotAFile):
            said = p10.file_meta(content[:cut], whole=True)
            assert said is not None
            assert said.length in (cut - 1, cut), "it ends between two of its elements, or a byte after"
    with pytest.raises(NotAFile):
        p10.file_meta(content[:144] + (b"\2\0\1\0OB\0\0" + b"\xff\xff\xff\x7f") + bytes(p10.LONGEST_LOOK), whole=False)
