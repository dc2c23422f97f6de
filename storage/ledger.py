"""The account in which every acknowledged instance has exactly one state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import func, insert, select, update

from radnode.storage.tables import InstanceRow, LedgerEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.orm import InstrumentedAttribute, Session

Value = TypeVar("Value")

AT_ONCE = 500
"""Instances in one statement; SQLite and PostgreSQL limit the parameters of one."""


class InstanceState(StrEnum):
    """What became of an acknowledged instance."""

    RECEIVED = "RECEIVED"
    IN_JOB = "IN_JOB"
    PROCESSED = "PROCESSED"
    NOT_PROCESSED = "NOT_PROCESSED"
    FAILED = "FAILED"
    NOT_ROUTED = "NOT_ROUTED"
    OWN_RESULT = "OWN_RESULT"
    INCOMPLETE = "INCOMPLETE"
    CONFLICT = "CONFLICT"
    QUARANTINED = "QUARANTINED"
    EXPIRED = "EXPIRED"


FILE_MISSING = "its file is missing; have the source send it again"
"""Why an instance is in quarantine that a rebuilt ledger knows and the instance store has not."""

_ENDED = frozenset(
    {InstanceState.PROCESSED, InstanceState.NOT_PROCESSED, InstanceState.FAILED, InstanceState.NOT_ROUTED}
)
_OPEN = frozenset({InstanceState.RECEIVED, InstanceState.INCOMPLETE})

# To -> from. A late image opens its series again, so whatever ended may enter the job of a new revision.
ALLOWED: Mapping[InstanceState, frozenset[InstanceState]] = {
    InstanceState.RECEIVED: frozenset({InstanceState.INCOMPLETE, InstanceState.QUARANTINED}),
    InstanceState.IN_JOB: _OPEN | _ENDED,
    InstanceState.PROCESSED: frozenset({InstanceState.IN_JOB}),
    InstanceState.NOT_PROCESSED: frozenset({InstanceState.IN_JOB}),
    InstanceState.FAILED: frozenset({InstanceState.IN_JOB}),
    InstanceState.NOT_ROUTED: _OPEN | _ENDED,
    InstanceState.OWN_RESULT: _OPEN,
    InstanceState.INCOMPLETE: _OPEN | _ENDED,
    InstanceState.CONFLICT: _OPEN | _ENDED,
    InstanceState.QUARANTINED: frozenset({InstanceState.RECEIVED}),
    InstanceState.EXPIRED: frozenset(InstanceState) - {InstanceState.EXPIRED, InstanceState.IN_JOB},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Two independent counts: acknowledgements in the journal, and instances by state.

    receptions: arrivals including identical ones. difference: acknowledged minus the sum of states.
    """

    acknowledged: int
    states: dict[str, int]
    receptions: int
    difference: int

    @property
    def holds(self) -> bool:
        """Whether nothing is missing and nothing is counted twice."""
        return self.difference == 0


def move(
    session: Session, instance_ids: Collection[int], to: InstanceState, *, reason: str, now: datetime
) -> int:
    """Move those instances that may go to `to`, and write each into the journal; returns how many."""
    moved = 0
    for some in portions(instance_ids):
        changed = list(
            session.scalars(
                update(InstanceRow)
                .where(InstanceRow.id.in_(some), InstanceRow.state.in_(ALLOWED[to]))
                .values(state=to, reason=reason)
                .returning(InstanceRow.id)
                .execution_options(synchronize_session=False)
            )
        )
        if changed:
            session.execute(
                insert(LedgerEvent),
                [{"instance_id": each, "at": now, "kind": to, "reason": reason} for each in changed],
            )
        moved += len(changed)
    return moved


def _counts(column: InstrumentedAttribute[str], values: Iterable[str]) -> Select[Any]:
    """How many rows have each value: by one search of the index each; SQLite groups at half the speed."""
    return select(*(select(func.count()).where(column == each).scalar_subquery() for each in values))


_STATES = tuple(InstanceState)
_BY_STATE = _counts(InstanceRow.state, _STATES)
_ARRIVALS = _counts(LedgerEvent.kind, ("acknowledged", "received again"))


def balance(session: Session) -> Balance:
    """The proof, at this instant."""
    numbers = zip(_STATES, session.execute(_BY_STATE).one(), strict=True)
    states = {str(state): number for state, number in sorted(numbers) if number}
    acknowledged, again = session.execute(_ARRIVALS).one()
    return Balance(
        acknowledged=acknowledged,
        states=states,
        receptions=acknowledged + again,
        difference=acknowledged - sum(states.values()),
    )


def portions(values: Iterable[Value], at_once: int = AT_ONCE) -> Iterator[list[Value]]:
    """The values in lists short enough for one statement, each read when it is wanted."""
    left = iter(values)
    while some := list(islice(left, at_once)):
        yield some
