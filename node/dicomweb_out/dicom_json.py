"""The header of a file as DICOM JSON (PS3.18 Annex F). For the image process alone: it parses what was received.

Images of one series mostly say the same, so the text of an element is remembered by the bytes it came from.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_partial
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset, FileDataset
    from pydicom.sequence import Sequence
    from pydicom.tag import BaseTag

INLINE_BYTES = 1024
"""Longer binary values, and pixels of any length, are fetched by their BulkDataURI (PS3.18 F.2.6)."""
DEFERRED_BYTES = 1 << 16
BULK_MARK = "\x01"
"""Stands for the address of the instance before the path of a value; a byte that JSON text cannot hold."""
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_CHARACTER_SET = 0x00080005
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED_BYTES = 4096
_DEEPEST = 32

_remembered: dict[tuple[object, ...], str | None] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the uncompressed frames of a file lie: frame n (from 1) at `offset + (n - 1) * frame_bytes`."""

    offset: int
    frame_bytes: int
    frames: int


def header_of(path: Path) -> tuple[str, Layout | None]:
    """The metadata of a file, and where its frames lie if they can be read without decoding.

    Attributes whose value cannot be read are left out; pixels and long binary values are a BulkDataURI that begins with
    :data:`BULK_MARK`. Raises whatever pydicom raises for a broken file.
    """
    with path.open("rb") as file:
        pixels: list[tuple[int, int]] = []

        def stop(tag: BaseTag, _vr: str | None, length: int) -> bool:
            if int(tag) in PIXELS:
                pixels.append((int(tag), length))
                return True
            return False

        dataset = read_partial(file, stop_when=stop, defer_size=DEFERRED_BYTES)
        at = file.tell()
    texts = dict(_elements(dataset, "", 0))
    texts[_CHARACTER_SET] = json.dumps({"vr": "CS", "Value": ["ISO_IR 192"]})
    if pixels:
        tag, _ = pixels[0]
        vr = {0x7FE00008: "OF", 0x7FE00009: "OD"}.get(tag, "OW")
        texts[tag] = json.dumps({"vr": vr, "BulkDataURI": "@"}).replace("@", f"{BULK_MARK}/bulkdata/{tag:08X}")
    members = ",".join(f'"{tag:08X}":{text}' for tag, text in sorted(texts.items()))
    return f"{{{members}}}", _layout(dataset, path, pixels, at)


def _layout(dataset: FileDataset, path: Path, pixels: list[tuple[int, int]], stopped_at: int) -> Layout | None:
    """Only of whole bytes in the byte order that is served; read_partial stops before the tag of the pixels."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not pixels or syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        return None
    tag, length = pixels[0]
    frames = int(dataset.get("NumberOfFrames") or 1)
    bits = int(dataset.get("Rows", 0)) * int(dataset.get("Columns", 0)) * int(dataset.get("SamplesPerPixel", 1)) * int(
        dataset.get("BitsAllocated", 0))
    if length in (0, 0xFFFFFFFF) or bits <= 0 or bits % 8 or frames < 1:
        return None
    head = 8 if syntax == ImplicitVRLittleEndian else 12
    offset = stopped_at + head
    if frames * bits // 8 > length or offset + length > path.stat().st_size or not _begins(path, stopped_at, tag):
        return None
    return Layout(offset=offset, frame_bytes=bits // 8, frames=frames)


def _begins(path: Path, at: int, tag: int) -> bool:
    """Whether the element of this tag begins there."""
    with path.open("rb") as file:
        file.seek(at)
        return file.read(4) == (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")


def _elements(dataset: Dataset, where: str, depth: int) -> Iterator[tuple[int, str]]:
    context = _context(dataset)
    for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset decodes every element
        number = int(tag)
        if number & 0xFFFF and (text := _remember(dataset, tag, where, depth, context)) is not None:
            yield number, text


def _context(dataset: Dataset) -> tuple[str, ...]:
    """What else than its own bytes decides how a value reads: character set, signs, and who made a private block."""
    return tuple(str(dataset.get(keyword, "")) for keyword in ("SpecificCharacterSet", "PixelRepresentation"))


def _remember(
    dataset: Dataset, tag: BaseTag, where: str, depth: int, context: tuple[str, ...]
) -> str | None:
    raw: Any = dataset.get_item(tag, keep_deferred=True)
    if depth or not isinstance(raw, RawDataElement) or raw.value is None or tag.is_private:
        return _element(dataset, tag, where, depth)
    if len(raw.value) > _LONGEST_REMEMBERED_BYTES:
        return _element(dataset, tag, where, depth)
    key = (*context, int(tag), raw.VR, raw.value, raw.is_implicit_VR, raw.is_little_endian)
    if key not in _remembered:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[key] = _element(dataset, tag, where, depth)
    return _remembered[key]


def _element(dataset: Dataset, tag: BaseTag, where: str, depth: int) -> str | None:
    raw: Any = dataset.get_item(tag, keep_deferred=True)
    path = f"{where}{int(tag):08X}"
    if isinstance(raw, RawDataElement) and raw.value is None and raw.length > DEFERRED_BYTES and (
        raw.VR in _BINARY or raw.VR is None or raw.VR == "UN"
    ):
        return _bulk(raw.VR or "UN", path)
    try:
        element = dataset[tag]
        if element.VR == "SQ":
            return _sequence(element.value, path, depth)
        if element.VR in _BINARY or isinstance(element.value, bytes):
            return _binary(element.VR, element.value, path)
        return _dumped(element.to_json_dict(None, 0))
    except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, OverflowError, RecursionError):
        return None


def _sequence(items: Sequence, path: str, depth: int) -> str | None:
    if depth >= _DEEPEST:
        return None
    texts = []
    for number, item in enumerate(items):
        members = sorted(_elements(item, f"{path}/{number}/", depth + 1))
        texts.append("{" + ",".join(f'"{tag:08X}":{text}' for tag, text in members) + "}")
    return f'{{"vr":"SQ","Value":[{",".join(texts)}]}}' if texts else '{"vr":"SQ"}'


def _binary(vr: str, value: object, path: str) -> str:
    if not value:
        return json.dumps({"vr": vr})
    if not isinstance(value, bytes):
        raise TypeError("a binary value that is no bytes")
    vr = vr if vr in _BINARY else "UN"
    if len(value) > INLINE_BYTES:
        return _bulk(vr, path)
    return json.dumps({"vr": vr, "InlineBinary": b64encode(value).decode("ascii")})


def _bulk(vr: str, path: str) -> str:
    return f'{{"vr":"{vr}","BulkDataURI":"{BULK_MARK}/bulkdata/{path}"}}'


def _dumped(value: dict[str, Any]) -> str:
    """Numbers that JSON has no word for are left out of a value as null."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        values = [None if isinstance(each, float) and not math.isfinite(each) else each for each in value["Value"]]
        return json.dumps({**value, "Value": values}, ensure_ascii=False, separators=(",", ":"))


def value_at(dataset: Dataset, path: str) -> bytes:
    """The binary value at a path of tags and item numbers. Raises LookupError when there is none."""
    steps = path.split("/")
    for tag, item in zip(steps[:-1:2], steps[1:-1:2], strict=True):
        dataset = dataset[int(tag, 16)].value[int(item)]
    value = dataset[int(steps[-1], 16)].value
    if not isinstance(value, bytes):
        raise LookupError("no binary value")  # noqa: TRY004 - it is not there
    return value
