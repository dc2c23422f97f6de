"""What the node knows, as plain data: for the command line, the HTTP API and the demonstration. Reads only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import func, select

from radnode.node import routing
from radnode.node.alarming.kinds import kind_of, subject_of
from radnode.node.messaging import showing
from radnode.pipelines.sources import choice
from radnode.storage import alarms as kept
from radnode.storage import leases, ledger, silences
from radnode.storage.database import Database
from radnode.storage.errors import DatabaseUnavailable
from radnode.storage.files import content_address
from radnode.storage.outbox import DeliveryState, Proof
from radnode.storage.quarantine import Quarantine
from radnode.storage.tables import (
    DeliveryRow,
    EventRow,
    InstanceRow,
    JobRow,
    ResultObjectRow,
    RoutingRow,
    SeriesRow,
    StudyRoutingRow,
    StudyRow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarm, Alarms
    from radnode.node.delivery.outages import Outage

NEWEST = 500

Row = TypeVar("Row", SeriesRow, EventRow)


class Answers:
    """Answers about one database; `running` tells what the workers of this process do, `outages` who is away."""

    def __init__(
        self, database: Database, alarms: Alarms | None, running: Callable[[], list[dict[str, Any]]],
        outages: Callable[[], list[Outage]], quarantine: Quarantine,
    ) -> None:
        self._quarantine = quarantine
        self._database = database
        self._alarms = alarms
        self._running = running
        self._outages = outages

    @classmethod
    def open(cls, configuration: Configuration) -> Answers:
        """For a command beside a running node: the same database, no alarms, no workers."""
        settings = configuration.settings
        quarantine = Quarantine(settings.data / "quarantine")
        return cls(Database(settings.effective_database_url), None, list, list, quarantine)

    def health(self) -> dict[str, Any]:
        """`healthy` is False when the ledger does not balance or the database does not answer."""
        alarms = self.alarms()
        try:
            balance = self.ledger()
        except DatabaseUnavailable as error:
            return {"healthy": False, "reason": str(error), "alarms": alarms}
        return {"healthy": balance["holds"], "ledger": balance, "alarms": alarms}

    def status(self) -> dict[str, Any]:
        """Ledger, series, jobs and deliveries by state, what runs, destinations that do not answer, alarms."""
        with self._database.read() as session:
            return {
                "ledger": _balance(session),
                "series": _by_state(session, SeriesRow),
                "jobs": _by_state(session, JobRow),
                "deliveries": _by_state(session, DeliveryRow),
                "running": self._running(),
                "outages": [
                    {
                        "destination": outage.destination,
                        "since": _time(outage.since),
                        "failures": outage.failures,
                        "reason": outage.reason,
                        "next_attempt_at": _time(outage.next_attempt_at),
                    }
                    for outage in self._outages()
                ],
                "alarms": self.alarms(),
            }

    def ledger(self) -> dict[str, Any]:
        """Acknowledged instances and their states."""
        with self._database.read() as session:
            return _balance(session)

    def jobs(self) -> list[dict[str, Any]]:
        """The newest jobs, newest first."""
        with self._database.read() as session:
            rows = session.execute(
                select(JobRow, SeriesRow.series_instance_uid)
                .join(SeriesRow, SeriesRow.id == JobRow.series_id)
                .order_by(JobRow.id.desc())
                .limit(NEWEST)
            )
            return [_job(job, series_instance_uid) for job, series_instance_uid in rows]

    def deliveries(self, *, failed: bool = False, destination: str | None = None) -> list[dict[str, Any]]:
        """What is on its way, newest first; `failed`: what was given up and waits for an administrator."""
        states = [DeliveryState.DEAD] if failed else list(DeliveryState)
        where: list[ColumnElement[bool]] = [DeliveryRow.state.in_(states)]
        if destination is not None:
            where.append(DeliveryRow.destination == destination)
        with self._database.read() as session:
            rows = session.execute(
                _delivery_rows().where(*where).order_by(DeliveryRow.id.desc()).limit(NEWEST)
            ).all()
            return [_delivery(*row) for row in rows]

    def refused(self) -> list[dict[str, Any]]:
        """Objects that were not taken, and instances that were but cannot be read; newest first.

        status: as the sender was answered; an instance that cannot be read was acknowledged, and is in the ledger.
        """
        found = [
            {"at": _time(each.at), "source": each.source, "status": each.status, "reason": each.reason,
             "file": f"quarantine/{each.digest}.dcm"}
            for each in self._quarantine.refusals()
        ]
        with self._database.read() as session:
            unreadable = session.scalars(
                select(InstanceRow).where(InstanceRow.state == ledger.InstanceState.QUARANTINED)
                .order_by(InstanceRow.id.desc()).limit(NEWEST)
            )
            found += [
                {"at": _time(row.received_at), "source": row.source, "status": "0x0000", "reason": row.reason,
                 "file": content_address(row.digest)}
                for row in unreadable
            ]
        return sorted(found, key=lambda each: each["at"] or "", reverse=True)[:NEWEST]

    def study(self, study_instance_uid: str) -> dict[str, Any] | None:
        """Everything that happened to a study; None when it was never received."""
        with self._database.read() as session:
            study = session.scalar(select(StudyRow).where(StudyRow.study_instance_uid == study_instance_uid))
            if study is None:
                return None
            asked = session.get(StudyRoutingRow, study.id)
            return {
                "study_instance_uid": study.study_instance_uid,
                "conflict": study.conflict,
                "order": showing.order_of(session, study.id),
                "merged": showing.merged_of(session, study.id),
                "study_pending": bool(asked and asked.pending),
                "study_routes": asked.explanations if asked else [],
                "first_received_at": _time(study.first_received_at),
                "last_received_at": _time(study.last_received_at),
                "series": [_series(session, row) for row in _of_study(session, SeriesRow, study.id)],
                "jobs": [
                    _job(job, series_instance_uid)
                    for job, series_instance_uid in session.execute(
                        select(JobRow, SeriesRow.series_instance_uid)
                        .join(SeriesRow, SeriesRow.id == JobRow.series_id)
                        .where(JobRow.study_id == study.id)
                        .order_by(JobRow.id)
                    )
                ],
                "deliveries": _deliveries(session, study.id),
                "events": [
                    {"at": _time(event.at), "kind": event.kind, "detail": event.detail}
                    for event in _of_study(session, EventRow, study.id)
                ],
            }

    def alarms(self, *, history: bool = False) -> list[dict[str, Any]]:
        """What is wrong, oldest first; `history`: also what was cleared within 90 days.

        What this process has found since the last round of the watch is there already; without a database it is all.
        Raises :class:`DatabaseUnavailable` beside a node.
        """
        since = datetime.min.replace(tzinfo=UTC)
        try:
            with self._database.read() as session:
                rows = kept.known(session, since) if history else kept.standing(session)
                silent = silences.silenced(session, datetime.now(UTC))
        except DatabaseUnavailable:
            if self._alarms is None:
                raise  # beside the node nothing else is known, and silence would look like health
            rows, silent = [], {}
        found = [_alarm(row, silent.get(row.name)) for row in rows]
        known = {each["name"] for each in found if each["cleared_at"] is None}
        reported = self._alarms.raised() if self._alarms else []
        return found + [_fresh(alarm) for alarm in reported if alarm.name not in known]

    def watched(self) -> bool:
        """Whether a node works on this database now, so that its alarms are those of this minute."""
        with self._database.read() as session:
            return leases.held(session, leases.DATABASE_LEASE, datetime.now(UTC))

    def explain(self, study_instance_uid: str) -> str | None:
        """Why each route did or did not run, for each series, in sentences; None for an unknown study."""
        study = self.study(study_instance_uid)
        if study is None:
            return None
        order = filter(None, [showing.render(study["order"]), showing.render_merged(study["merged"])])
        return "\n\n".join([*order, *map(_explain, study["series"]), *_explain_study(study)])


def _explain(series: dict[str, Any]) -> str:
    lines = [
        f"series {series['series_instance_uid']} ({series['modality'] or 'modality unknown'}), "
        f"revision {series['revision']}, {series['instances']} instances: {series['state']}"
    ]
    if series["reason"]:
        lines.append(f"  {series['reason']}")
    lines += [f"  because {ground['text']}" for ground in series["grounds"]]
    if series["routes"]:
        lines.append(routing.render(series["routes"]))
    elif series["state"] == "OPEN":
        lines.append("  routes are asked once the series is complete")
    return "\n".join(lines)


def _explain_study(study: dict[str, Any]) -> list[str]:
    """Why pipelines that read several series did or did not run."""
    lines = ["the study waits until all its series are complete and nothing new comes"] * study["study_pending"]
    lines += [_explain_pipeline(each) for each in study["study_routes"]]
    return [f"study {study['study_instance_uid']}, for pipelines that read several series:\n" + "\n".join(lines)] \
        if lines else []


def _explain_pipeline(explained: Mapping[str, Any]) -> str:
    """Takes what :meth:`radnode.node.study_closing.Plan.explained` gave."""
    routes = ", ".join(explained["routes"])
    answer = f"refused: {explained['refused']}" if explained["refused"] else (
        explained.get("lacking") or "every input was found")
    return f"  pipeline {explained['pipeline']} (route {routes}): {answer}\n{choice.render(explained['inputs'])}"


def _balance(session: Session) -> dict[str, Any]:
    balance = ledger.balance(session)
    return {
        "acknowledged": balance.acknowledged,
        "receptions": balance.receptions,
        "states": balance.states,
        "difference": balance.difference,
        "holds": balance.holds,
    }


def _by_state(session: Session, table: type[SeriesRow | JobRow | DeliveryRow]) -> dict[str, int]:
    return dict(session.execute(select(table.state, func.count()).group_by(table.state)).all())


def _of_study(session: Session, table: type[Row], study_id: int) -> list[Row]:
    return list(session.scalars(select(table).where(table.study_id == study_id).order_by(table.id)))


def _series(session: Session, series: SeriesRow) -> dict[str, Any]:
    routing_row = session.scalar(
        select(RoutingRow).where(RoutingRow.series_id == series.id).order_by(RoutingRow.revision.desc()).limit(1)
    )
    states = dict(
        session.execute(
            select(InstanceRow.state, func.count())
            .where(InstanceRow.series_id == series.id)
            .group_by(InstanceRow.state)
        )
        .all()
    )
    return {
        "series_instance_uid": series.series_instance_uid,
        "source": series.source,
        "modality": series.modality,
        "state": series.state,
        "reason": series.reason,
        "revision": series.revision,
        "instances": series.received,
        "instance_states": states,
        "grounds": series.grounds,
        "routes": routing_row.explanations if routing_row else [],
        "queried_count": series.queried_count,
        "first_received_at": _time(series.first_received_at),
        "last_received_at": _time(series.last_received_at),
        "closed_at": _time(series.closed_at),
    }


def _job(job: JobRow, series_instance_uid: str) -> dict[str, Any]:
    return {
        "job": job.id,
        "key": job.key,
        "pipeline": job.pipeline,
        "pipeline_version": job.pipeline_version,
        "state": job.state,
        "reason": job.reason,
        "revision": job.revision,
        "series_instance_uid": series_instance_uid,
        "routes": job.route_names,
        "destinations": job.destinations,
        "shadow": job.shadow,
        "attempts": job.attempts,
        "crashes": job.crashes,
        "report": job.report,
        "created_at": _time(job.created_at),
        "due_at": _time(job.due_at),
        "started_at": _time(job.started_at),
        "ended_at": _time(job.ended_at),
    }


def _deliveries(session: Session, study_id: int) -> list[dict[str, Any]]:
    rows = session.execute(_delivery_rows().where(JobRow.study_id == study_id).order_by(DeliveryRow.id)).all()
    return [_delivery(*row) for row in rows]


def _delivery_rows() -> Select[DeliveryRow, ResultObjectRow, str]:
    return (
        select(DeliveryRow, ResultObjectRow, StudyRow.study_instance_uid)
        .join(ResultObjectRow, ResultObjectRow.id == DeliveryRow.result_object_id)
        .join(JobRow, JobRow.id == DeliveryRow.job_id)
        .join(StudyRow, StudyRow.id == JobRow.study_id)
    )


def _delivery(delivery: DeliveryRow, result_object: ResultObjectRow, study_instance_uid: str) -> dict[str, Any]:
    waits = delivery.state == DeliveryState.WAITING
    return {
        "delivery": delivery.id,
        "job": delivery.job_id,
        "study_instance_uid": study_instance_uid,
        "name": result_object.name,
        "form": result_object.form,
        "sop_instance_uid": result_object.sop_instance_uid,
        "digest": result_object.digest,
        "destination": delivery.destination,
        "target": delivery.target,
        "state": delivery.state,
        "status": None if delivery.status is None else f"0x{delivery.status:04X}",
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "since": _time(delivery.created_at),
        "due_at": _time(delivery.due_at),
        "next_attempt_at": _time(delivery.due_at) if waits else None,
        "sent_at": _time(delivery.sent_at),
        "confirmed_at": _time(delivery.confirmed_at),
        "confirmed_how": delivery.confirmed_how,
        "proof": _proof(delivery),
    }


def _proof(delivery: DeliveryRow) -> str:
    """How the arrival of a delivery is proven, or what its proof waits for; empty where nothing is waited for."""
    if delivery.confirmed_at is not None:
        return f"{delivery.confirmed_how}, {_time(delivery.confirmed_at)}"
    if delivery.state != DeliveryState.SENT or delivery.proof is None:
        return ""
    since = f" since {_time(delivery.asked_at)}" if delivery.proof == Proof.REPORT else ""
    return f"{_WAITS_FOR[Proof(delivery.proof)]}{since}"


_WAITS_FOR = {Proof.REPORT: "asked for storage commitment", Proof.LISTING: "looked for by C-FIND"}


def _alarm(alarm: kept.KeptAlarm, silence: silences.Silence | None = None) -> dict[str, Any]:
    kind = kind_of(alarm.name)
    return {
        "name": alarm.name,
        "kind": kind.name,
        "subject": subject_of(alarm.name),
        "severity": alarm.severity,
        "text": alarm.text,
        "says": kind.says,
        "remedy": kind.remedy,
        "since": _time(alarm.since),
        "last_seen_at": _time(alarm.last_seen_at),
        "cleared_at": _time(alarm.cleared_at),
        "silenced": silence and {"until": _time(silence.until), "who": silence.who, "reason": silence.reason},
        "told": {
            sink: {"event": telling.event, "at": _time(telling.told_at)} for sink, telling in alarm.tellings.items()
        },
    }


def _fresh(alarm: Alarm) -> dict[str, Any]:
    return _alarm(kept.KeptAlarm(
        alarm_id=0, name=alarm.name, severity=kind_of(alarm.name).severity, text=alarm.text, since=alarm.since,
        last_seen_at=alarm.since, cleared_at=None,
    ))


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
