"""Names of labels as model authors write them -> coded concepts of the standard's lists (PS3.16; `labels.yaml`).

"kidney_right", "Right Kidney" and "right-kidney" are one structure. A name that the standard does not know gets a
private code with the author's own words: said as it was said, never guessed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from ruamel.yaml import YAML

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
UNDETERMINED = Code("373068000", "SCT", "Undetermined")
COMPOSITION = Code("129715009", "SCT", "Breast composition")
# The four letters of BI-RADS (5th edition) in the words of CID 6000.
_COMPOSITIONS = {
    "A": Code("129716005", "SCT", "Almost entirely fat"),
    "B": Code("129717001", "SCT", "Scattered fibroglandular densities"),
    "C": Code("129718006", "SCT", "Heterogeneously dense"), "D": Code("129719003", "SCT", "Extremely dense"),
}

# The lists that a name is looked up in, in this order: what a segment may be called, then parts of organs by subject
# (brain, prostate, chest, bones and muscles).
_STRUCTURES, _ABNORMAL = (7192, 7151, 7140, 6300, 6102, 8134, 8135), (7159, 7194)
# What is found on images of the chest, with the lists of pleural and cardiac findings.
_FINDINGS = (6102, 6104, 6105, 8134, 12248, 3700)
_CHEST = re.compile(r"chest|thora|lung|pulmon", re.IGNORECASE)
_SIDES = {"left": LEFT, "right": RIGHT, "l": LEFT, "r": RIGHT, "lt": LEFT, "rt": RIGHT}
_LABELS = Path(__file__).with_name("labels.yaml")


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
    """The concept of a label's name.

    A side becomes the laterality, unless the concept itself has it ("Left ventricle"). Of what has a number (rib 4) the
    concept is the kind, and the label keeps the number.
    """
    words = _words(name)
    sides = [_SIDES[word] for word in words.split() if word in _SIDES]
    side = sides[0] if len(set(sides)) == 1 else None
    bare = " ".join(word for word in words.split() if word not in _SIDES)
    label = " ".join(name.replace("_", " ").split())
    if abnormal := _abnormal(bare):
        meant, where = abnormal
        return Term(label=label, category=ABNORMAL, type=meant, site=where, laterality=side)
    if sides and (found := _structure(_labels()["one_sided"].get(words, words))):
        return Term(label=label, category=ANATOMY, type=found)
    listed = _labels()["one_sided"].get(bare) or _labels()["structures"].get(bare)
    if found := _structure(listed or _counted(bare)):
        return Term(label=label, category=ANATOMY, type=found, laterality=side)
    return Term(label=label, category=ANATOMY, type=Code(_private(words), PRIVATE, label[:64]), laterality=side)


def finding(name: str, about: str) -> Code:
    """The concept of a finding that an image may have, by its author's name; as :func:`term` where no list has it.

    about: what the authors say of their model: an effusion is one of the pleura only where they speak of the chest.
    """
    if not _CHEST.search(about):
        return term(name).type
    bare = _words(name)
    return _meanings(_FINDINGS).get(_words(_labels()["findings"].get(bare, bare))) or term(name).type


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


def _structure(said: str) -> Code | None:
    return _meanings(_STRUCTURES).get(_words(said))


def _abnormal(bare: str) -> tuple[Code, Code | None] | None:
    """What an abnormal structure is and where: "kidney cyst" is a cyst of the kidney."""
    known = _meanings(_ABNORMAL)
    listed = _labels()["abnormal"].get(bare)
    if listed:
        return known[_words(listed["is"])], _structure(listed["of"]) if "of" in listed else None
    if bare in known:
        return known[bare], None
    place, _, what = bare.rpartition(" ")
    what = _words(_labels()["abnormal"].get(what, {}).get("is", what))
    where = _structure(_labels()["structures"].get(place, place)) if place else None
    return (known[what], where) if what in known and where else None


def _counted(bare: str) -> str:
    """Vertebrae and ribs by their names: the standard knows every vertebra from C1 to L5, and ribs without a number."""
    vertebra = re.fullmatch(r"vertebrae? ([ctls])(\d+)", bare)
    if vertebra:
        named = f"{vertebra[1]}{vertebra[2]} vertebra"
        return named if _structure(named) else "vertebra"
    return "rib" if re.fullmatch(r"rib \d+", bare) else bare


def _words(name: str) -> str:
    """In lower case, with one space for all that separates words: "kidney_right", "KidneyRight" and "Kidney-Right"."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.split(r"[^A-Za-z0-9]+", apart)).strip().lower()


def _private(words: str) -> str:
    """Up to 16 characters (VR SH), the same for the same words and others for other words."""
    value = re.sub(r"[^A-Z0-9]+", "_", words.upper()).strip("_")
    return value if 0 < len(value) <= 16 else f"{value[:9]}_{hashlib.sha256(words.encode()).hexdigest()[:6].upper()}"


@lru_cache
def _labels() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(_LABELS)
    return found


@lru_cache
def _meanings(groups: tuple[int, ...]) -> dict[str, Code]:
    found: dict[str, Code] = {}
    for group in groups:
        for concept in codes_of(group):
            found.setdefault(_words(concept.meaning), concept)
    return found


def codes_of(group: int) -> list[Code]:
    """The concepts of a context group of PS3.16, from pydicom's tables."""
    keywords: Any = cid_concepts[group]
    tables: Any = concepts
    return [
        Code(value, scheme, meaning)
        for scheme, names in keywords.items() for name in names
        for value, (meaning, lists) in tables[scheme][name].items() if group in lists
    ]
