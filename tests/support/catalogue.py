"""Which cases of tests/catalogue/cases.yaml a test proves: by its name (`test_D7_...`) or by its marker."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CASES = Path(__file__).resolve().parent.parent / "catalogue" / "cases.yaml"

_NAMED = re.compile(r"test_((?:[A-Z][0-9]+_)+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """sections: title -> id -> case. untested: id -> why there is no test."""

    sections: Mapping[str, Mapping[str, str]]
    untested: Mapping[str, str]

    @property
    def ids(self) -> set[str]:
        """Every case."""
        return {each for cases in self.sections.values() for each in cases}


def read() -> Catalogue:
    """The file of the cases."""
    document = YAML(typ="safe", pure=True).load(CASES)
    untested = document.pop("untested")
    return Catalogue(sections=document, untested=untested)


def cases_of(item: pytest.Item) -> list[str]:
    """The ids that a collected test names, each once, in their order."""
    named = _NAMED.match(item.originalname if isinstance(item, pytest.Function) else item.name)
    ids = named[1].rstrip("_").split("_") if named else []
    for mark in item.iter_markers("catalogue"):
        ids += [str(each) for each in mark.args]
    return list(dict.fromkeys(ids))


def trace(items: Sequence[pytest.Item]) -> None:
    """Make cases selectable (`pytest -k D7_`, `-m catalogue`) and write them into junit reports.

    Raises pytest.UsageError for an id that is no case.
    """
    known = read().ids
    for item in items:
        ids = cases_of(item)
        if unknown := [each for each in ids if each not in known]:
            raise pytest.UsageError(f"{item.nodeid} names {unknown}, which {CASES.name} does not know")
        if ids:
            item.add_marker(pytest.mark.catalogue(*ids))
            item.extra_keyword_matches.update(f"{each}_" for each in ids)
            item.user_properties += [("test", item.nodeid), ("cases", " ".join(ids))]
