"""Headers of any bytes: what the header process answers, and whom the intake says an object is.

Both may refuse, with the exceptions they name; what they accept is short, finite and the same person to both.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from radnode.node import header_process
from radnode.node.intake.header_walk import is_uid, walk
from radnode.node.intake.refusals import DataSetRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTRUMENTED = ("radnode.node.header_process", "radnode.node.intake", "pydicom")
LONGEST = 4096
_MOST_ATTRIBUTES = header_process.MOST_ELEMENTS * 2
_WORDS = ("the header cannot be read: ", "the header needs more memory")
_META = 132
"""Bytes of preamble and prefix (PS3.10 7.1)."""

_file = -1


def seeds() -> Iterator[bytes]:
    """What pydicom has for its own tests: odd, broken and ordinary; only files on this disk."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()[:LONGEST]
        if content[128:132] == b"DICM" or path.suffix == ".dcm":
            yield content


def one_input(data: bytes) -> None:
    """Read it both ways."""
    path = _written(data)
    answer = header_process._answer(path)
    said = json.dumps(answer, allow_nan=False)
    if "error" in answer:
        assert answer["error"].startswith(_WORDS), said
        return
    attributes = answer["attributes"]
    assert len(attributes) <= _MOST_ATTRIBUTES
    for value in attributes.values():
        for each in value if isinstance(value, list) else [value]:
            assert not isinstance(each, str) or len(each) <= header_process.LONGEST_TEXT
    for implicit_vr in (False, True):
        _walk(data, implicit_vr=implicit_vr)


def _walk(data: bytes, *, implicit_vr: bool) -> None:
    try:
        identity = walk(_file, min(_META, len(data)), len(data), implicit_vr=implicit_vr)
    except DataSetRefused:
        return
    for uid in (identity.sop_instance_uid, identity.series_instance_uid, identity.study_instance_uid):
        assert is_uid(uid.encode())


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
