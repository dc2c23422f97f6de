"""Recording what was received: one transaction for whatever arrived together.

    same bytes again                  no new row: `receptions` + 1                    (resend)
    same bytes of what has expired    as above, and the file is to be removed again
    same bytes of what has expired    looked at again, as long as the node itself fetches this study
    same bytes of what was missing    as above, and the instance and its series are looked at again
    same SOP Instance UID, new bytes  a second row in CONFLICT, the first stays       (edited or recompressed)
    SOP Instance UID in two series    a second row in CONFLICT
    one study, two patients           the new instance in CONFLICT, the study marked
    new instance of a decided series  the series is open again, one revision later
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from radnode.storage.fetch_tables import FetchRow, FetchState
from radnode.storage.ledger import FILE_MISSING, InstanceState
from radnode.storage.tables import EventRow, InstanceRow, LedgerEvent, RemovalRow, SeriesRow, StudyRow, plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """One object as it arrived. source: the peer's name. digest: SHA-256 of the file's bytes."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    transfer_syntax_uid: str
    digest: str
    size_bytes: int
    source: str
    association: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of a reception."""

    instance_id: int
    series_id: int
    duplicate: bool = False
    conflict: bool = False


class _Held(NamedTuple):
    """An instance that is known already."""

    instance_id: int
    series_id: int
    digest: str
    state: str
    reason: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(slots=True)
class _Series:
    """A series row locked by this transaction. fresh: its new instances; found_again: those that were missing."""

    series_id: int
    study_id: int
    state: str
    last_at: datetime
    fresh: int = 0
    found_again: int = 0


# Written once as Core statements: this is the path of every image, and each statement built anew costs more than its
# execution.
_STUDIES = cast("Table", StudyRow.__table__)
_SERIES = cast("Table", SeriesRow.__table__)
_INSTANCES = cast("Table", InstanceRow.__table__)
_INSERT_INSTANCE = insert(_INSTANCES).returning(_INSTANCES.c.id)
_INSERT_JOURNAL = insert(cast("Table", LedgerEvent.__table__))
_INSERT_EVENT = insert(cast("Table", EventRow.__table__))
_INSERT_REMOVAL = insert(cast("Table", RemovalRow.__table__))
_FIND_KNOWN = (
    select(
        _INSTANCES.c.sop_instance_uid, _INSTANCES.c.id, _INSTANCES.c.series_id, _INSTANCES.c.digest, _INSTANCES.c.state,
        _INSTANCES.c.reason, _SERIES.c.series_instance_uid, _STUDIES.c.study_instance_uid,
    )
    .join(_SERIES, _SERIES.c.id == _INSTANCES.c.series_id)
    .join(_STUDIES, _STUDIES.c.id == _SERIES.c.study_id)
    .where(_INSTANCES.c.sop_instance_uid.in_(bindparam("uids", expanding=True)))
    .order_by(_INSTANCES.c.id)
)
_COUNT_AGAIN = (
    update(_INSTANCES)
    .where(_INSTANCES.c.id == bindparam("instance_id"))
    .values(receptions=_INSTANCES.c.receptions + 1)
)
_READ_AGAIN = (
    update(_INSTANCES)
    .where(_INSTANCES.c.id == bindparam("instance_id"))
    .values(state=InstanceState.RECEIVED, reason="", indexed=False)
)
_KEEP_AGAIN = (
    update(_INSTANCES)
    .where(_INSTANCES.c.id == bindparam("instance_id"))
    .values(state=InstanceState.RECEIVED, reason="", indexed=False, received_at=bindparam("now"))
)
_FETCHED = (
    select(FetchRow.id)
    .where(FetchRow.study_instance_uid == bindparam("uid"), FetchRow.state == FetchState.RUNNING)
    .limit(1)
)
_MARK_STUDY = update(_STUDIES).where(_STUDIES.c.id == bindparam("study_id")).values(conflict=bindparam("why"))
_OPEN_AGAIN = (
    update(_SERIES)
    .where(_SERIES.c.id == bindparam("series_id"))
    .values(state="OPEN", revision=_SERIES.c.revision + 1, reason="", queried_count=None)
)


def _upserts(dialect_insert: Any) -> tuple[Any, Any]:
    study = dialect_insert(_STUDIES)
    series = dialect_insert(_SERIES)
    return (
        study.on_conflict_do_update(
            index_elements=["study_instance_uid"], set_={"last_received_at": study.excluded.last_received_at}
        ).returning(_STUDIES.c.id, _STUDIES.c.patient_id),
        series.on_conflict_do_update(
            index_elements=["study_id", "series_instance_uid"],
            set_={"last_received_at": series.excluded.last_received_at,
                  "received": _SERIES.c.received + series.excluded.received},
        ).returning(_SERIES.c.id, _SERIES.c.state),
    )


_UPSERTS = {"sqlite": _upserts(sqlite.insert), "postgresql": _upserts(postgresql.insert)}


def record(connection: Connection, receptions: Sequence[Reception]) -> list[Recorded]:
    """Enter receptions into the catalog and the ledger; the answers are in the same order.

    Upserting a series row locks it, so that two receivers, or a receiver and the closing of the series, take turns.
    """
    _lock_uids(connection, receptions)
    known = _known(connection, receptions)
    studies = _upsert_studies(connection, receptions)
    series = _upsert_series(connection, receptions, studies, _fresh(receptions, known))
    answers = []
    for reception in receptions:
        study_id, patient_id = studies[reception.study_instance_uid]
        owner = series[study_id, reception.series_instance_uid]
        answers.append(_record_one(connection, reception, owner, known[reception.sop_instance_uid], patient_id))
    for each in series.values():
        _open_again(connection, each)
    return answers


def _record_one(
    connection: Connection, reception: Reception, series: _Series, known: list[_Held], patient_id: str
) -> Recorded:
    for held in known:
        if held.series_id == series.series_id and held.digest == reception.digest:
            connection.execute(_COUNT_AGAIN, {"instance_id": held.instance_id})
            _journal(connection, held.instance_id, "received again", "", reception.received_at)
            if held.state == InstanceState.EXPIRED and _is_fetched(connection, reception):
                connection.execute(_KEEP_AGAIN, {"instance_id": held.instance_id, "now": reception.received_at})
                _journal(connection, held.instance_id, InstanceState.RECEIVED, "fetched again", reception.received_at)
                series.found_again += 1
                series.last_at = reception.received_at
            elif held.state == InstanceState.EXPIRED:
                connection.execute(_INSERT_REMOVAL, {"instance_id": held.instance_id})
            elif held.reason == FILE_MISSING:
                connection.execute(_READ_AGAIN, {"instance_id": held.instance_id})
                _journal(connection, held.instance_id, InstanceState.RECEIVED, "its file came", reception.received_at)
                series.found_again += 1
                series.last_at = reception.received_at
            return Recorded(instance_id=held.instance_id, series_id=held.series_id, duplicate=True)
    reason = _contradiction(reception, series, known, patient_id)
    instance_id = _insert_instance(connection, reception, series, reason)
    _journal(connection, instance_id, "acknowledged", "", reception.received_at)
    if reason:
        _journal(connection, instance_id, InstanceState.CONFLICT, reason, reception.received_at)
    if reason == _TWO_PATIENTS:
        connection.execute(_MARK_STUDY, {"study_id": series.study_id, "why": reason})
    known.append(_Held(instance_id, series.series_id, reception.digest, InstanceState.RECEIVED, reason,
                       reception.series_instance_uid, reception.study_instance_uid))
    series.fresh += 1
    series.last_at = reception.received_at
    return Recorded(instance_id=instance_id, series_id=series.series_id, conflict=bool(reason))


def _is_fetched(connection: Connection, reception: Reception) -> bool:
    return connection.execute(_FETCHED, {"uid": reception.study_instance_uid}).first() is not None


def _insert_instance(connection: Connection, reception: Reception, series: _Series, reason: str) -> int:
    row = {
        "series_id": series.series_id,
        "sop_instance_uid": reception.sop_instance_uid,
        "sop_class_uid": reception.sop_class_uid,
        "transfer_syntax_uid": reception.transfer_syntax_uid,
        "digest": reception.digest,
        "size_bytes": reception.size_bytes,
        "source": reception.source,
        "association": reception.association,
        "received_at": reception.received_at,
        "receptions": 1,
        "state": InstanceState.CONFLICT if reason else InstanceState.RECEIVED,
        "reason": reason,
        "indexed": False,
    }
    return int(connection.execute(_INSERT_INSTANCE, row).scalar_one())


_TWO_PATIENTS = "the study has instances of two Patient IDs"


def _contradiction(reception: Reception, series: _Series, known: list[_Held], patient_id: str) -> str:
    if plain(reception.patient_id) != patient_id:
        return _TWO_PATIENTS
    if any(held.series_id != series.series_id for held in known):
        return "the SOP Instance UID belongs to another series as well"
    if known:
        return "the SOP Instance UID was received with other content"
    return ""


def _journal(connection: Connection, instance_id: int, kind: str, reason: str, now: datetime) -> None:
    connection.execute(_INSERT_JOURNAL, {"instance_id": instance_id, "at": now, "kind": kind, "reason": reason})


_LOCK_UIDS = text("SELECT count(pg_advisory_xact_lock(key)) FROM unnest(CAST(:keys AS bigint[])) AS key")


def _lock_uids(connection: Connection, receptions: Sequence[Reception]) -> None:
    """One SOP Instance UID under two studies at once: no row is common to both, and neither would see the other (U4).

    SQLite has one writer at a time anyway. Two UIDs with one key only wait for each other.
    """
    if connection.dialect.name != "postgresql":
        return
    keys = {
        int.from_bytes(blake2b(each.sop_instance_uid.encode(), digest_size=8).digest(), signed=True)
        for each in receptions
    }
    connection.execute(_LOCK_UIDS, {"keys": sorted(keys)})


def _upsert_studies(connection: Connection, receptions: Sequence[Reception]) -> dict[str, tuple[int, str]]:
    """Study Instance UID -> (id, Patient ID of its first instance)."""
    upsert, _ = _UPSERTS[connection.dialect.name]
    found = {}
    # Sorted here and below, so that two transactions lock the same rows in the same order.
    for uid, reception in sorted({each.study_instance_uid: each for each in reversed(receptions)}.items()):
        row = connection.execute(
            upsert,
            {
                "study_instance_uid": uid,
                "patient_id": reception.patient_id,
                "conflict": "",
                "first_received_at": reception.received_at,
                "last_received_at": reception.received_at,
            },
        ).one()
        found[uid] = (row.id, row.patient_id)
    return found


def _upsert_series(
    connection: Connection, receptions: Sequence[Reception], studies: dict[str, tuple[int, str]],
    fresh: Counter[tuple[str, str]],
) -> dict[tuple[int, str], _Series]:
    _, upsert = _UPSERTS[connection.dialect.name]
    wanted = {(studies[each.study_instance_uid][0], each.series_instance_uid): each for each in reversed(receptions)}
    found = {}
    for (study_id, uid), reception in sorted(wanted.items(), key=lambda item: item[0]):
        row = connection.execute(
            upsert,
            {
                "study_id": study_id,
                "series_instance_uid": uid,
                "source": reception.source,
                "state": "OPEN",
                "revision": 1,
                "received": fresh[reception.study_instance_uid, uid],
                "reason": "",
                "grounds": [],
                "first_received_at": reception.received_at,
                "last_received_at": reception.received_at,
            },
        ).one()
        found[study_id, uid] = _Series(
            series_id=row.id, study_id=study_id, state=row.state, last_at=reception.received_at
        )
    return found


def _known(connection: Connection, receptions: Sequence[Reception]) -> dict[str, list[_Held]]:
    """SOP Instance UID -> the instances that have it."""
    known: dict[str, list[_Held]] = defaultdict(list)
    for uid, *held in connection.execute(_FIND_KNOWN, {"uids": [each.sop_instance_uid for each in receptions]}):
        known[uid].append(_Held(*held))
    return known


def _fresh(receptions: Sequence[Reception], known: dict[str, list[_Held]]) -> Counter[tuple[str, str]]:
    """By Study and Series Instance UID, how many instances are new. Nobody else can add one: the UIDs are locked."""
    seen = {(held.study_instance_uid, held.series_instance_uid, uid, held.digest)
            for uid, several in known.items() for held in several}
    new = {(each.study_instance_uid, each.series_instance_uid, each.sop_instance_uid, each.digest)
           for each in receptions} - seen
    return Counter((study, series) for study, series, _, _ in new)


def _open_again(connection: Connection, series: _Series) -> None:
    """What was decided on fewer instances is to be decided anew."""
    if series.state == "OPEN" or not (series.fresh or series.found_again):
        return
    connection.execute(_OPEN_AGAIN, {"series_id": series.series_id})
    connection.execute(
        _INSERT_EVENT,
        {
            "kind": "series opened again",
            "at": series.last_at,
            "study_id": series.study_id,
            "series_id": series.series_id,
            "detail": {"late_instances": series.fresh + series.found_again, "was": series.state},
        },
    )
