"""Source headers whose text is raw bytes of a character set, as modalities send them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
from pydicom.dataelem import DataElement

from support import result_samples as samples

if TYPE_CHECKING:
    from pydicom import Dataset

# Placeholders of the length of the bytes, so that the header is encoded by nobody who knows the character
# set.
_NAME, _DESCRIPTION = 0x00100010, 0x00081030


@dataclass(frozen=True, slots=True)
class Text:
    """A declared character set, the bytes of a name in it, and what the bytes mean."""

    declared: str
    name: bytes
    meant: str


def _gb2312(text: str) -> bytes:
    return b"\x1b$)A" + text.encode("gb2312")


def _korean(text: str) -> bytes:
    return b"\x1b$)C" + text.encode("euc_kr")


def _japanese(text: str) -> bytes:
    return text.encode("iso2022_jp")


TEXTS = {
    "ISO_IR 100": Text("ISO_IR 100", "Müller^Änne".encode("latin-1"), "Müller^Änne"),
    "ISO_IR 192": Text("ISO_IR 192", "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東"),
    "GB18030": Text("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    "GBK": Text("GBK", "Wang^XiaoDong=王^小东".encode("gbk"), "Wang^XiaoDong=王^小东"),
    "GB18030, backslash inside": Text("GB18030", "乗^俓".encode("gb18030"), "乗^俓"),
    "ISO 2022 IR 87": Text(
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou="
        + _japanese("山田")
        + b"^"
        + _japanese("太郎")
        + b"="
        + _japanese("やまだ")
        + b"^"
        + _japanese("たろう"),
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "ISO_IR 13 and ISO 2022 IR 87": Text(
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=".encode("shift_jis") + b"\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    ),
    "ISO 2022 IR 149": Text(
        "\\ISO 2022 IR 149",
        b"Hong^Gildong="
        + _korean("洪")
        + b"^"
        + _korean("吉洞")
        + b"="
        + _korean("홍")
        + b"^"
        + _korean("길동"),
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "ISO 2022 IR 58": Text(
        "\\ISO 2022 IR 58",
        b"Wang^XiaoDong=" + _gb2312("王") + b"^" + _gb2312("小东"),
        "Wang^XiaoDong=王^小东",
    ),
}


def header_in(text: Text, header: Dataset) -> Dataset:
    """The header as read from a file in which its name and description are the bytes of `text`."""
    return pydicom.dcmread(io.BytesIO(encoded_in(text, header)))


def encoded_in(text: Text, header: Dataset) -> bytes:
    """A file of the header in which its name and description are the bytes of `text`."""
    name, declared = _even(text.name), _even(text.declared.encode())
    del header.SpecificCharacterSet
    header[_NAME] = DataElement(_NAME, "PN", "N" * len(name))
    header[_DESCRIPTION] = DataElement(_DESCRIPTION, "LO", "D" * len(name))
    content = samples.encoded(header)
    for placeholder in (b"N" * len(name), b"D" * len(name)):
        assert content.count(placeholder) == 1
        content = content.replace(placeholder, name)
    if declared:
        # Image Type (0008,0008) is the first element after Specific Character Set (0008,0005).
        first = content.index(b"\x08\x00\x08\x00CS")
        element = b"\x08\x00\x05\x00CS" + len(declared).to_bytes(2, "little") + declared
        content = content[:first] + element + content[first:]
    return content


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)
