"""What a destination answers to one result, whichever way it was sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STORED, TRANSIENT, PERMANENT = 0x0000, 0xA700, 0x0124
"""Statuses for answers that are none of DICOM: taken; to be tried again; never. None that asks for another form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the destination said to one object. status: of DIMSE, or one of the above; None: it did not answer.

    words: what it said, where it said no status of DIMSE.
    """

    status: int | None
    comment: str = ""
    words: str = ""

    @property
    def said(self) -> str:
        """For an administrator."""
        if self.status is None:
            return self.words or "no answer to C-STORE"
        return self.words or f"status 0x{self.status:04X} {self.comment}".strip()


class Damaged(Exception):
    """The file is not the one that was recorded: it is never sent."""


def intact(path: Path, digest: str) -> bytes:
    """The kept bytes. Raises :class:`Damaged`, OSError."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise Damaged
    return content
