"""Attributes of which a file does not say clearly what they are: there twice, or out of the ascending order of tags.

PS3.5 7.1 has each tag once, in ascending order. Of two values one reader takes the first and another the last, and a
tag out of its place is found by one reader and passed over by another: neither choice may be made silently.
"""

from __future__ import annotations

PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, Double Float and plain Pixel Data."""

_COMPARED = frozenset({0x00080016, 0x00080018, 0x00100020, 0x0020000D, 0x0020000E})
"""SOP Class and Instance UID, Patient ID, Study and Series Instance UID: intake refuses an object where two of them
differ."""


class UntilPixels:
    """For pydicom's `stop_when`: stops at the pixels. ambiguous: tags; pixels: whether there are any."""

    def __init__(self) -> None:
        self.ambiguous: set[int] = set()
        self.pixels = False
        self._highest = -1

    def __call__(self, tag: int, _vr: str | None, length: int) -> bool:
        """Called for each element at the top level, before its value is read."""
        number = int(tag)
        if number in PIXELS:
            self.pixels = length > 0
            return True
        if number > self._highest:
            self._highest = number
        elif number not in _COMPARED and number & 0xFFFF:  # group lengths are retired and mean nothing
            self.ambiguous.add(number)
        return False
