"""Text of a received header as Unicode, without guessing silently.

pydicom decodes what the header declares. Left to do here (PS3.5 6.1, PS3.3 C.12.1.1.2):

- pydicom 3.0 leaves the escape sequence of ISO 2022 IR 58 in the text;
- GB18030 and GBK use the byte of the backslash inside a character, where pydicom splits the value;
- headers that declare no set, an unknown one, a multi-byte set where only code extensions are legal, or a code
  extension whose escape sequence the writer left out: pydicom then reads Latin-1, which keeps every byte, so the text
  can be read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.charset import python_encoding
from pydicom.dataelem import RawDataElement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom import Dataset
    from pydicom.tag import BaseTag

_IR_58_ESCAPE = "\x1b$)A"
_WHOLE_SETS = {"GB18030": "gb18030", "GBK": "gbk", "ISO_IR 192": "utf-8"}
# Code extensions that some writers use as if the set were a whole one: the bytes without the escape (PS3.5 6.1.2.5).
_EXTENSIONS = {"ISO 2022 IR 58": "gb18030", "ISO 2022 IR 149": "euc_kr"}


class Undecodable(ValueError):
    """The bytes are no text in the declared character set."""


class TextReader:
    """Reads the text of one header.

    guess: None when the declared character set is legal; otherwise what the text is read as, in words.
    """

    def __init__(self, declared: Iterable[str] | str | None) -> None:
        names = [declared] if isinstance(declared, str) else list(declared or [])
        self._whole = next((_WHOLE_SETS[name] for name in names if name in _WHOLE_SETS), None)
        self._misplaced = self._whole is not None and names[0] not in _WHOLE_SETS
        self._unknown = not any(names) or not all(name in python_encoding for name in names)
        # With an empty first value the default repertoire has 7 bits: an eighth bit without an escape is a mistake.
        ascii_first = len(names) > 1 and names[0] in ("", "ISO 2022 IR 6")
        extensions = [_EXTENSIONS[name] for name in names if name in _EXTENSIONS] if ascii_first else []
        self._unescaped = extensions[0] if extensions else None
        self.guess: str | None = None

    def raw(self, dataset: Dataset, tag: BaseTag) -> str | None:
        """The text of an element with a single value that pydicom would split inside a character; else
        None.
        """
        element: object = dataset.get_item(tag)
        if not self._whole or not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
            return None
        if b"\\" not in element.value:
            return None
        try:
            return element.value.decode(self._whole).rstrip(" \0")
        except UnicodeDecodeError as error:
            raise Undecodable(str(tag)) from error

    def text(self, decoded: str) -> str:
        """What pydicom decoded, made right. Raises :class:`Undecodable`."""
        if (self._unknown or self._misplaced) and not decoded.isascii():
            decoded = self._again(decoded, (self._whole or "gb18030") if self._misplaced else "utf-8")
        elif self._unescaped and any("\x80" <= character <= "\xff" for character in decoded):
            decoded = self._again(decoded, self._unescaped)
        decoded = decoded.replace(_IR_58_ESCAPE, "")
        if "\ufffd" in decoded or "\x1b" in decoded:
            raise Undecodable(repr(decoded.encode("ascii", "replace")))
        return decoded

    def _again(self, decoded: str, encoding: str) -> str:
        try:
            again = decoded.encode("latin-1").decode(encoding)
        except UnicodeError:
            self.guess = "Latin-1"
            return decoded
        self.guess = encoding.upper()
        return again
