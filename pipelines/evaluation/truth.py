"""What a reference says of a case, in the coordinates and words of findings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Code, InPatient, OnImage

_SIDES = {"l": "left", "lt": "left", "r": "right", "rt": "right"}


class ReferenceRefused(Exception):
    """A reference that cannot be compared; the message says what is wrong, where, and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A region as somebody drew it.

    voxels: a bool mask, or a label map that several share, of which this one is `value`; shape of the pipeline's
    volume. It may be empty. type, laterality: codes, where the reference has them.
    """

    label: str
    voxels: NDArray[Any]
    value: int = 1
    type: Code | None = None
    laterality: Code | None = None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Where it is, bool."""
        return self.voxels if self.voxels.dtype == np.bool_ else np.asarray(self.voxels == self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place where there is something. radius: millimetres in the patient, pixels on an image; None if not said."""

    at: InPatient | OnImage
    radius: float | None = None
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The right answer to a question, by the words or the code of both."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """The right value of a measurement. of: what was measured. unit: UCUM."""

    of: str
    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of one case. marks: None where nobody looked for any; empty where there are none."""

    structures: tuple[Structure, ...] = ()
    marks: tuple[Mark, ...] | None = None
    answers: tuple[Answer, ...] = ()
    numbers: tuple[Number, ...] = ()
    notes: tuple[str, ...] = field(default=())


def words(text: str) -> str:
    """The same for "Left lung", "lung-left" and "Lung_L": small letters, sides spelled out, words in order."""
    found = re.findall(r"[^\W_]+", text.casefold())
    return " ".join(sorted(_SIDES.get(word, word) for word in found))


def merged(truths: Iterable[tuple[str, Truth]]) -> Truth:
    """All that is known of one case. truths: (which reference, what it says).

    Raises ReferenceRefused where two references speak of the same: which one is right is not for us to say.
    """
    said: dict[tuple[str, str], str] = {}
    whole = Truth()
    for source, truth in truths:
        for about in _abouts(truth):
            if about in said and said[about] != source:
                raise ReferenceRefused(f"{said[about]} and {source} both speak of {about[0]} {about[1]!r} of this "
                                       "case; keep the one that is to count")
            said[about] = source
        whole = Truth(
            structures=whole.structures + truth.structures,
            marks=whole.marks if truth.marks is None else (whole.marks or ()) + truth.marks,
            answers=whole.answers + truth.answers,
            numbers=whole.numbers + truth.numbers,
            notes=whole.notes + truth.notes,
        )
    return whole


def _abouts(truth: Truth) -> set[tuple[str, str]]:
    found = {("the structure", words(each.label)) for each in truth.structures}
    found |= {("the answer", words(each.name)) for each in truth.answers}
    found |= {("the measurement", f"{words(each.of)}, {words(each.name)}") for each in truth.numbers}
    return found if truth.marks is None else found | {("the marks", "")}
