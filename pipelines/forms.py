"""The result forms: one finding can be shown in each of these ways, and a destination lists the ones it shows.

A report refers to the segmentation that lies beside it at the destination. So the same form is written once for
each segmentation form it goes with: `TID1500+LABELMAP` for a destination that shows Label Map Segmentations,
`TID1500` alone for one that shows none. Such a name identifies one object of a job, and gives it its UIDs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SEGMENTATIONS = ("LABELMAP", "SEG")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One result form.

    kind: its word in the Series Description. offset: added to the pipeline's series number.
    refers_to: segmentation forms it can refer to, the best first. fallback: the form to send where this one is
    refused; None where nothing says the same.
    """

    name: str
    kind: str
    offset: int
    refers_to: tuple[str, ...] = ()
    fallback: str | None = None


# In send order: what is referred to comes before what refers to it.
FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form(name="LABELMAP", kind="SEG", offset=2, fallback="SEG"),
        Form(name="SEG", kind="SEG", offset=0, fallback="SC"),
        Form(name="FRACTIONAL", kind="SEG prob", offset=3, fallback="SC"),
        Form(name="PM", kind="PM", offset=4),
        Form(name="RTSTRUCT", kind="RTSTRUCT", offset=5, fallback="SC"),
        Form(name="SC", kind="SC", offset=6),
        Form(name="GSPS", kind="PR", offset=7, fallback="SC"),
        Form(name="TID1500", kind="SR", offset=1, refers_to=_SEGMENTATIONS, fallback="COMPREHENSIVE"),
        Form(name="COMPREHENSIVE", kind="SR", offset=8, refers_to=_SEGMENTATIONS, fallback="SC"),
        Form(name="OHIF", kind="SR tools", offset=9, refers_to=_SEGMENTATIONS),
        Form(name="MAMMOGRAPHY-CAD", kind="CAD SR", offset=10, fallback="TID1500"),
        Form(name="CHEST-CAD", kind="CAD SR", offset=11, fallback="TID1500"),
        Form(name="KEY-OBJECTS", kind="KO", offset=12),
        Form(name="PDF", kind="PDF", offset=13, fallback="SC"),
        Form(name="IMAGES", kind="AI image", offset=15),
        Form(name="NOT-PROCESSED", kind="SR not processed", offset=14),
    )
}


MESSAGES = ("ORU", "ORU-NOT-PROCESSED", "FHIR", "FHIR-NOT-PROCESSED")
"""Forms that are no DICOM objects, for destinations of :mod:`radnode.config.messaging`; nothing stands for one."""

REPORTS = frozenset({"TID1500", "COMPREHENSIVE", "OHIF", "MAMMOGRAPHY-CAD", "CHEST-CAD", "NOT-PROCESSED"})
"""The forms that are SR documents, which name the ones they take the place of (PS3.3 C.17.2)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object to write: a form, and the segmentation form it refers to, if any."""

    form: str
    beside: str | None = None

    @property
    def name(self) -> str:
        """`FORM` or `FORM+BESIDE`."""
        return self.form if self.beside is None else f"{self.form}+{self.beside}"

    @classmethod
    def parse(cls, name: str) -> Wanted:
        """The inverse of :attr:`name`. Raises ValueError for a form that nobody writes."""
        if name in MESSAGES:
            return cls(name)
        form, _, beside = name.partition("+")
        if form not in FORMS or (beside and beside not in FORMS[form].refers_to):
            raise ValueError(f"no writer for {name}; there are {list(FORMS)}")
        return cls(form, beside or None)


def plan(profile: Iterable[str]) -> tuple[str, ...]:
    """The names of the objects that a destination gets which shows these forms, in send order.

    Raises ValueError for a form that nobody writes.
    """
    shown = set(profile)
    if unknown := shown - {*FORMS, *MESSAGES}:
        raise ValueError(f"no writer for {sorted(unknown)}; there are {list(FORMS)}")
    wanted = [Wanted(form.name, _first(form.refers_to, shown)) for form in FORMS.values() if form.name in shown]
    return (*(each.name for each in wanted), *(name for name in MESSAGES if name in shown))


def send_order(name: str) -> int:
    """The place of an object among those of its job."""
    return [*FORMS, *MESSAGES].index(Wanted.parse(name).form)


def objects_of(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that are DICOM objects."""
    return tuple(name for name in names if name not in MESSAGES)


def without(profile: Sequence[str], refused: Iterable[str]) -> tuple[str, ...]:
    """The forms to send instead, to a destination that refused some of those it lists.

    Each refused form is replaced by its fallback, or by the fallback's when that is refused too; none remains twice.
    """
    refused = set(refused)
    kept: dict[str, None] = {}
    for listed in profile:
        form: str | None = listed
        while form is not None and form in refused:
            form = FORMS[form].fallback if form in FORMS else None
        if form is not None:
            kept[form] = None
    return tuple(kept)


def _first(candidates: Iterable[str], shown: set[str]) -> str | None:
    return next((each for each in candidates if each in shown), None)
