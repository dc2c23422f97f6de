"""Zip archives (APPNOTE.TXT of PKWARE) as streams of files: bounded before anything is read, names never used."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_DIRECTORY = 32 * 2**20
"""Bytes of the central directory: half a million names. It is read whole."""
_PIECE = 2**18
_END = b"PK\5\6"
_END64 = b"PK\6\6"
_LOCATOR64 = b"PK\6\7"
_LONGEST_COMMENT = 2**16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


class BadZip(Exception):
    """The archive, or one file of it, cannot be read; the sentence says why."""


def is_zip(first: bytes) -> bool:
    """Whether a file that begins so is a zip archive, also an empty one."""
    return first[:4] in (b"PK\3\4", _END)


class Budget:
    """Bytes that may still come out of an archive, whatever it says of itself."""

    def __init__(self, octets: int) -> None:
        self._left = octets

    def take(self, octets: int) -> None:
        """Raises BadZip once it is spent."""
        self._left -= octets
        if self._left < 0:
            raise BadZip("it unpacks to more than `largest` of its folder")


def members(file: IO[bytes], most: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """(name, content in pieces) of each file in an archive; to be read to its end before the next.

    Raises BadZip for the archive, and out of the pieces for one file.
    """
    if _directory_size(file) > LARGEST_DIRECTORY:
        raise BadZip("its table of contents is larger than any that is needed")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError) as error:
        raise BadZip("it is no zip archive that can be read, or not whole") from error
    with archive:
        found = [info for info in archive.infolist() if not info.is_dir()]
        if len(found) > most:
            raise BadZip(f"it holds more than {most} files")
        for info in found:
            yield info.filename, _pieces(archive, info)


def _pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    if info.flag_bits & _ENCRYPTED:
        raise BadZip("it is encrypted")
    if info.compress_type not in _METHODS:
        raise BadZip("it is compressed in another way than deflate")
    try:
        with archive.open(info) as content:
            while piece := content.read(_PIECE):
                yield piece
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error) as error:
        raise BadZip("it is damaged") from error


def _directory_size(file: IO[bytes]) -> int:
    """Bytes of the central directory as the end of the archive says (4.3.14, 4.3.16). Raises BadZip."""
    size = file.seek(0, 2)
    tail_at = max(0, size - _LONGEST_COMMENT - 22)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(_END)
    # A record that does not end the file is that of an archive inside of one that was cut off.
    if at < 0 or len(tail) < at + 22 or len(tail) != at + 22 + struct.unpack_from("<H", tail, at + 20)[0]:
        raise BadZip("it is no zip archive, or not whole")
    octets = int(struct.unpack_from("<L", tail, at + 12)[0])
    if octets == 0xFFFFFFFF and tail[max(0, at - 20) : at][:4] == _LOCATOR64:
        file.seek(struct.unpack_from("<Q", tail, at - 12)[0])
        record = file.read(56)
        if record[:4] != _END64 or len(record) < 56:
            raise BadZip("it is no zip archive, or not whole")
        octets = int(struct.unpack_from("<Q", record, 40)[0])
    file.seek(0)
    return octets
