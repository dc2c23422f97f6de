"""Headers of any bytes: what the header process answers, and whom the intake says an object is.

Both may refuse, with the exceptions they name; what they accept is short and finite.

The first byte of an input says how the others are meant, so that most of them are a data set and not its wrapping: as a
whole file, or after the header that the node writes itself, in one of the transfer syntaxes it stores.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from radnode.node import header_process
from radnode.node.intake.header_walk import is_uid, walk
from radnode.node.intake.p10 import header
from radnode.node.intake.refusals import DataSetRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTRUMENTED = (
    "radnode.node.header_process", "radnode.node.intake.header_walk", "radnode.pipelines.sources", "pydicom.filereader",
    "pydicom.values",
)  # fmt: skip
LONGEST = 1024
_MOST_ATTRIBUTES = header_process.MOST_ELEMENTS * 2
_WORDS = ("the header cannot be read: ", "the header needs more memory")
_META = 132
"""Bytes of preamble and prefix (PS3.10 7.1)."""
FILE = 0
_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
"""Implicit, explicit, big endian and deflated (PS3.5 A); what a compressed image says of itself is explicit."""
_IMPLICIT, _EXPLICIT, _BIG, _DEFLATED = range(1, 5)

_file = -1


def seeds() -> Iterator[bytes]:
    """What pydicom has for its own tests: odd, broken and ordinary; only files on this disk."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()[: 4 * LONGEST]
        if content[128:132] != b"DICM" and path.suffix != ".dcm":
            continue
        yield (bytes([FILE]) + content)[:LONGEST]
        try:
            meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
            how = _SYNTAXES.index(str(meta.TransferSyntaxUID)) + 1
            begin = 144 + meta.FileMetaInformationGroupLength
        except (AttributeError, ValueError, pydicom.errors.InvalidDicomError):
            continue
        if how != _DEFLATED:
            yield (bytes([how]) + content[begin:])[:LONGEST]


def one_input(data: bytes) -> None:
    """Read it both ways."""
    how, rest = (data[0] % 5, data[1:]) if data else (FILE, b"")
    start, content = (min(_META, len(rest)), rest) if how == FILE else _stored(how, rest)
    answer = header_process._answer(_written(content))
    said = json.dumps(answer, allow_nan=False)
    if "error" in answer:
        assert answer["error"].startswith(_WORDS), said
    else:
        attributes = answer["attributes"]
        assert len(attributes) <= _MOST_ATTRIBUTES
        for value in attributes.values():
            for each in value if isinstance(value, list) else [value]:
                assert not isinstance(each, str) or len(each) <= header_process.LONGEST_TEXT
    if how not in (_BIG, _DEFLATED):
        _walk(start, len(content), implicit_vr=how == _IMPLICIT)


def _walk(start: int, end: int, *, implicit_vr: bool) -> None:
    try:
        identity = walk(_file, start, end, implicit_vr=implicit_vr)
    except DataSetRefused:
        return
    for uid in (identity.sop_instance_uid, identity.series_instance_uid, identity.study_instance_uid):
        assert is_uid(uid.encode())


def _stored(how: int, data_set: bytes) -> tuple[int, bytes]:
    """Where it begins in its file, and the file."""
    before = header(sop_class_uid=b"1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=b"1.2.3",
                    transfer_syntax_uid=_SYNTAXES[how - 1].encode())
    if how == _DEFLATED:
        deflate = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
        data_set = deflate.compress(data_set) + deflate.flush()
    return len(before), before + data_set


def _written(data: bytes) -> str:
    """A path whose file holds these bytes, in memory."""
    global _file  # noqa: PLW0603 - one for the whole run
    if _file < 0:
        header_process.warnings.simplefilter("ignore")
        pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
        header_process.signal.signal(header_process.signal.SIGPROF, header_process._give_up)
        _file = os.memfd_create("header")
    os.ftruncate(_file, 0)
    os.pwrite(_file, data, 0)
    return f"/proc/self/fd/{_file}"
