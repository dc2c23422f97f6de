"""The question in the query of a search (PS3.18 8.3.4). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_keyword, dictionary_VR, tag_for_keyword

from radnode.storage.listing_queries import MATCHED, Criterion, Kind, Level

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_RESULTS = 1000
MOST_OFFSET = 10_000_000
LONGEST_VALUE = 256
MOST_UIDS = 500
_UID = re.compile(r"[0-9.]{1,64}")
_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_TAG = re.compile(r"[0-9a-fA-F]{8}")
_OTHERS = frozenset({"includefield", "accept", "charset"})
_UNSUPPORTED = {
    "fuzzymatching": "The fuzzymatching parameter is not supported. Only literal matching has been performed.",
    "emptyvaluematching": "The emptyvaluematching parameter is not supported.",
    "multiplevaluematching": "The multiplevaluematching parameter is not supported.",
}
"""PS3.18 8.3.4.2, 8.3.4.5, 8.3.4.6."""
_ORDER = (Level.STUDIES, Level.SERIES, Level.INSTANCES)


class BadQuery(Exception):
    """The query cannot be meant so; the message says what is wrong and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is searched for. warnings: what of the query was not followed, for the client (PS3.18 8.3.4.2)."""

    criteria: tuple[Criterion, ...] = ()
    limit: int = MOST_RESULTS
    offset: int = 0
    warnings: tuple[str, ...] = field(default=())


def question(level: Level, parameters: Iterable[tuple[str, str]], fixed: dict[str, str]) -> Question:
    """What the parameters of a search ask for. fixed: UIDs in the path of the resource.

    An attribute that is not matched here matches everything, as in C-FIND (PS3.4 C.2.2.1.3), and the answer says so; a
    name that is none of DICOM's is refused: whoever mistyped one must not be shown everybody. Raises BadQuery.
    """
    criteria = [Criterion(keyword=keyword, values=(uid,)) for keyword, uid in fixed.items()]
    numbers = {"limit": MOST_RESULTS, "offset": 0}
    warnings, ignored = [], set()
    for name, value in parameters:
        if name in numbers:
            numbers[name] = _count(name, value)
        elif name in _UNSUPPORTED:
            warnings += [_UNSUPPORTED[name]] if _truth(name, value) else []
        elif name not in _OTHERS:
            keyword = keyword_of(name)
            if not _is_matched(keyword, level):
                ignored |= {keyword} if value.strip("*") else set()
            elif wanted := criterion(keyword, value):
                criteria.append(wanted)
    if ignored:
        warnings.append(f"Not matched, every value was taken: {', '.join(sorted(ignored))}")
    return Question(
        criteria=tuple(criteria), limit=min(numbers["limit"], MOST_RESULTS), offset=min(numbers["offset"], MOST_OFFSET),
        warnings=tuple(warnings),
    )


def criterion(keyword: str, value: str) -> Criterion | None:
    """What a value asks of an attribute; None for everything. Raises BadQuery."""
    if len(value) > LONGEST_VALUE and MATCHED[keyword][2] != Kind.UID:
        raise BadQuery(f"{keyword}: more than {LONGEST_VALUE} characters")
    kind = MATCHED[keyword][2]
    value = value.strip()
    if not value or (not value.strip("*") and kind in (Kind.TEXT, Kind.NAME)):
        return None
    if kind == Kind.UID:
        uids = tuple(each for each in re.split(r"[,\\]", value) if each)
        if len(uids) > MOST_UIDS or not all(_UID.fullmatch(each) for each in uids):
            raise BadQuery(f"{keyword}: write UIDs, at most {MOST_UIDS}, separated by commas")
        return Criterion(keyword=keyword, values=uids)
    if kind == Kind.NUMBER:
        if not re.fullmatch(r"[+-]?\d{1,12}", value):
            raise BadQuery(f"{keyword}: write a whole number")
        return Criterion(keyword=keyword, values=(value,))
    if kind in (Kind.DATE, Kind.TIME):
        return Criterion(keyword=keyword, values=_ends(keyword, kind, value))
    return Criterion(keyword=keyword, values=(value,))


def included(parameters: Iterable[tuple[str, str]]) -> frozenset[str] | None:
    """Keywords that are wanted beside the usual ones, None for all that is known. Raises BadQuery."""
    names = [name.strip() for key, value in parameters if key == "includefield" for name in value.split(",")]
    if "all" in names:
        return None
    return frozenset(keyword_of(name) for name in names if name)


def keyword_of(name: str) -> str:
    """The keyword of an attribute that is given by keyword or tag; of a path the whole path. Raises BadQuery."""
    keywords = []
    for each in name.split("."):
        tag = int(each, 16) if _TAG.fullmatch(each) else tag_for_keyword(each)
        if tag is None:
            raise BadQuery(f"{each[:64]!r} is no attribute of DICOM; write a keyword or eight hexadecimal digits")
        try:
            keywords.append(dictionary_keyword(tag) or f"{tag:08X}")
        except KeyError:
            keywords.append(f"{tag:08X}")
    return ".".join(keywords)


@lru_cache(maxsize=1024)
def tag_of(keyword: str) -> tuple[str, str]:
    """(tag as eight digits, value representation) of a keyword. Raises LookupError for none."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise LookupError(keyword)
    return f"{tag:08X}", dictionary_VR(tag)


def _is_matched(keyword: str, level: Level) -> bool:
    """An attribute of the level that is searched, or of one above it (relational queries, PS3.18 10.6.1)."""
    return keyword in MATCHED and _ORDER.index(MATCHED[keyword][0]) <= _ORDER.index(level)


def _ends(keyword: str, kind: Kind, value: str) -> tuple[str, str]:
    pattern, example = (_DATE, "20260131 or 20260101-20260131") if kind == Kind.DATE else (_TIME, "0930 or 0930-1700")
    first, dash, last = value.partition("-")
    ends = (first.strip(), last.strip()) if dash else (value, value)
    if not any(ends) or not all(not each or pattern.fullmatch(each) for each in ends):
        raise BadQuery(f"{keyword}: write {example}")
    return ends


def _count(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value):
        raise BadQuery(f"{name}: write a number")
    return int(value)


def _truth(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise BadQuery(f"{name}: write true or false")
    return value == "true"
