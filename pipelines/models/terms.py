"""Names of labels as model authors write them -> coded concepts (PS3.16 CID 7192, 7151 and 7159).

"kidney_right", "Right Kidney" and "right-kidney" are one structure. A name that the standard does not know gets a
private code with the author's own words: said as it was said, never guessed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from pydicom.sr.codedict import codes

from radnode.pipelines.findings import Code

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LEFT, RIGHT = Code("7771000", "SCT", "Left"), Code("24028007", "SCT", "Right")
BOTH = Code("51440002", "SCT", "Right and left")
PRIVATE = "99RADNODE"
FINDING = Code("121071", "DCM", "Finding")
PRESENT, ABSENT = Code("52101004", "SCT", "Present"), Code("272519000", "SCT", "Absent")
COMPOSITION = Code("129715009", "SCT", "Breast composition")
# The four letters of BI-RADS (5th edition) in the words of CID 6000.
_COMPOSITIONS = {
    "A": Code("129716005", "SCT", "Almost entirely fat"), "B": Code("129717001", "SCT", "Scattered fibroglandular densities"),
    "C": Code("129718006", "SCT", "Heterogeneously dense"), "D": Code("129719003", "SCT", "Extremely dense"),
}

_STRUCTURES, _ABNORMAL = ("CID7192", "CID7151"), ("CID7159",)
_SIDES = {"left": LEFT, "right": RIGHT, "l": LEFT, "r": RIGHT, "lt": LEFT, "rt": RIGHT}
# What authors write for what the standard calls otherwise; the right side is a code meaning of these context groups.
_ALSO_CALLED = {
    "urinary bladder": "bladder", "oesophagus": "esophagus", "gall bladder": "gallbladder", "kideny": "kidney",
    "small bowel": "small intestine", "brain stem": "brainstem", "autochthon": "",
    "portal vein and splenic vein": "", "postcava": "inferior vena cava",
    "tumor": "neoplasm", "tumour": "neoplasm", "lesion": "lesion", "cancer": "neoplasm",
    "adrenal": "adrenal gland",
}
_TUMOURS = ("tumor", "tumour", "neoplasm", "cancer", "lesion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """What a label means. site: where, for an abnormal structure."""

    label: str
    category: Code
    type: Code
    site: Code | None = None
    laterality: Code | None = None

    @property
    def key(self) -> str:
        """The label as a word, as findings name themselves; empty for a label of no letters."""
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")


def term(name: str) -> Term:
    """The concept of a label's name."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = " ".join(re.split(r"[\s_\-./()]+", words)).strip().lower()
    side = next((_SIDES[word] for word in words.split() if word in _SIDES), None)
    without_side = " ".join(word for word in words.split() if word not in _SIDES)
    label = name.replace("_", " ").strip()
    for said in (words, without_side):
        if found := _structure(said):
            laterality = side if said == without_side else None
            return Term(label=label, category=ANATOMY, type=found, laterality=laterality)
    if found := _meanings(_ABNORMAL).get(_ALSO_CALLED.get(without_side, without_side)):
        return Term(label=label, category=ABNORMAL, type=found, laterality=side)
    if where := next((_structure(without_side.removesuffix(f" {word}").removesuffix("ic"))
                      or _structure(without_side.removesuffix(f" {word}"))
                      for word in _TUMOURS if without_side.endswith(f" {word}")), None):
        return Term(label=label, category=ABNORMAL, type=_meanings(_ABNORMAL)["neoplasm"], site=where, laterality=side)
    return Term(label=label, category=ANATOMY, type=Code(_private(words), PRIVATE, label[:64]), laterality=side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a classification answers. answers: the code of each class that has another than its own name's."""

    name: Code
    answers: Mapping[str, Code]


def question(classes: Iterable[str], about: str) -> Question:
    """The question that the classes answer. about: what the authors say of their model, in words."""
    if "breast density" in about.lower() and {each.upper() for each in classes} == set(_COMPOSITIONS):
        return Question(name=COMPOSITION, answers=_COMPOSITIONS)
    return Question(name=FINDING, answers={})


def known(names: Iterable[str]) -> list[str]:
    """Those of the names that the standard knows."""
    return [name for name in names if term(name).type.scheme != PRIVATE]


def _structure(words: str) -> Code | None:
    return _meanings(_STRUCTURES).get(_ALSO_CALLED.get(words, words))


def _private(words: str) -> str:
    """Up to 16 characters (VR SH), the same for the same words and others for other words."""
    value = re.sub(r"[^A-Z0-9]+", "_", words.upper()).strip("_")
    return value if 0 < len(value) <= 16 else f"{value[:9]}_{hashlib.sha256(words.encode()).hexdigest()[:6].upper()}"


@lru_cache
def _meanings(groups: tuple[str, ...]) -> dict[str, Code]:
    found: dict[str, Code] = {}
    for group in groups:
        for keyword in getattr(codes, group).dir():
            concept = getattr(getattr(codes, group), keyword)
            code = Code(str(concept.value), str(concept.scheme_designator), str(concept.meaning))
            found.setdefault(code.meaning.lower(), code)
    return found
