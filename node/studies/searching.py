"""A page of studies: what was searched for, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node.studies.states import StudyState, state_of
from radnode.storage import study_search
from radnode.storage.study_facts import StudyFacts, facts
from radnode.storage.study_search import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from radnode.storage.study_search import Key

PAGE = 50
MOST_LOOKED_AT = 400
"""Studies whose state is looked at for one page; the page says how far back that was."""
AT_ONCE = 175


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A study and its state."""

    study: StudyFacts
    state: StudyState


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """wanted: what was searched for, with the Patient IDs that were merged into that one. studies: at most PAGE. after:
    where the next page begins, None where nothing is left. exhausted: the page is not full because enough was looked at
    for one answer, so that more may be behind `after`.
    """

    wanted: Wanted
    studies: tuple[Listed, ...]
    after: Key | None = None
    exhausted: bool = False


def newest(session: Session, number: int) -> list[Listed]:
    """The studies of which an image came last, the newest first."""
    return [listed for _, listed in _listed(session, Wanted(), None, number)]


def search(session: Session, wanted: Wanted, after: Key | None = None) -> Page:
    """The next page."""
    wanted = study_search.with_former_ids(session, wanted)
    found: list[Listed] = []
    looked_at = 0
    last = after
    for key, each in _candidates(session, wanted, after):
        if len(found) == PAGE:
            return Page(wanted=wanted, studies=tuple(found), after=last)
        if looked_at == MOST_LOOKED_AT:
            return Page(wanted=wanted, studies=tuple(found), after=last, exhausted=True)
        looked_at, last = looked_at + 1, key
        if not wanted.state or each.state == wanted.state:
            found.append(each)
    return Page(wanted=wanted, studies=tuple(found))


def _candidates(session: Session, wanted: Wanted, after: Key | None) -> Iterator[tuple[Key, Listed]]:
    at_once = PAGE + 1
    while True:
        some = _listed(session, wanted, after, at_once)
        yield from some
        if len(some) < at_once:
            return
        after, at_once = some[-1][0], AT_ONCE


def _listed(session: Session, wanted: Wanted, after: Key | None, most: int) -> list[tuple[Key, Listed]]:
    keys = study_search.newest(session, wanted, after=after, limit=most)
    known = facts(session, [key.study_id for key in keys])
    return [(key, Listed(study=known[key.study_id], state=state_of(known[key.study_id]))) for key in keys]
