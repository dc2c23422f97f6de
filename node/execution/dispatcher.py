"""Leases jobs, hands them to the executor and records what came back, always under the lease's fencing token."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from radnode.node.delivery.fallback import forms_for
from radnode.node.execution.base import WorkerGone, WorkerLost
from radnode.node.execution.orders import keep_file, keep_object, made_by, remember, work_order
from radnode.pipelines.contract import RunReport, RunState
from radnode.pipelines.forms import plan
from radnode.storage import by_hand, jobs, priors, results
from radnode.storage.jobs import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from radnode.node.delivery.carrying import Destination
    from radnode.node.execution.base import Executor
    from radnode.node.observability import Metrics
    from radnode.pipelines.contract import Manifest, WorkOrder
    from radnode.pipelines.languages import Language
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore
    from radnode.storage.jobs import LeasedJob

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=30)
HEARTBEAT_EVERY_S = LEASE.total_seconds() / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One place where a job can run: its number in the executor and its torch device."""

    number: int
    device: str


class Dispatcher:
    """One lease at a time for each slot. `run_next` is the step of that slot's activity."""

    def __init__(
        self,
        *,
        database: Database,
        store: FileStore,
        executor: Executor,
        peers: Callable[[], Mapping[str, Destination]],
        manifests: Callable[[], Mapping[str, Manifest]],
        wanted: Callable[[], Sequence[str]],
        work_folder: Path,
        content_qualification: str,
        report_language: Language,
        node_version: str,
        now: Callable[[], datetime],
        metrics: Metrics,
        on_produced: Callable[[], None],
        worker_prefix: str,
        issuers: Mapping[str, str] | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._executor = executor
        self._peers = peers
        self._manifests = manifests
        self._wanted = wanted
        self._work_folder = work_folder
        self._content_qualification = content_qualification
        self._report_language = report_language
        self._node_version = node_version
        self._now = now
        self._metrics = metrics
        self._on_produced = on_produced
        self._worker_prefix = worker_prefix
        self._issuers = issuers or {}
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[int, LeasedJob] = {}
        self._computing: dict[int, LeasedJob] = {}
        self._stages: dict[int, str] = {}
        self._hinted: dict[int, int] = {}

    def run_next(self, slot: Slot) -> bool:
        """Lease and run the job that is most urgent. False when nothing waits, or no worker is there to run it."""
        if self._stopping.is_set():
            return False
        if not self._executor.prepare(slot.number, self._wanted()):
            return False
        with self._database.begin() as session:
            job = jobs.lease_next(
                session, f"{self._worker_prefix}:{slot.number}", self._now(), LEASE, self._manifests()
            )
        if job is None:
            return False
        log.info("job.leased", job=job.job_id, pipeline=job.pipeline, attempt=job.attempts, device=slot.device)
        with self._lock:
            self._running[slot.number] = job
        folder = self._work_folder / f"{job.job_id}-{job.token}"
        try:
            self._run(slot, job, folder)
        except LeaseLost:
            log.warning("job.lease_lost", job=job.job_id, token=job.token)
        finally:
            with self._lock:
                self._running.pop(slot.number, None)
                self._stages.pop(slot.number, None)
                self._hinted.pop(slot.number, None)
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def heartbeat(self) -> bool:
        """Prolong all running leases; a run whose lease is gone is cancelled, somebody else may have the job."""
        with self._lock:
            running = dict(self._running)
        for slot, job in running.items():
            try:
                with self._database.begin() as session:
                    jobs.heartbeat(session, job.job_id, job.token, self._now(), LEASE)
            except LeaseLost:
                self._cancel(slot, job)
        return False

    def _cancel(self, slot: int, job: LeasedJob) -> None:
        """Only while it computes: what was recorded meanwhile has no lease any more, and its worker is needed."""
        with self._lock:
            if self._computing.get(slot) is job:
                self._executor.cancel(slot, "the lease on the job was lost")

    def stop(self) -> None:
        """Lease no more, and end the workers."""
        self._stopping.set()
        self._executor.close()

    def stages(self) -> list[dict[str, Any]]:
        """What runs now: slot, job, pipeline and stage."""
        with self._lock:
            return [
                {"slot": slot, "job": job.job_id, "pipeline": job.pipeline, "stage": self._stages.get(slot, "")}
                for slot, job in self._running.items()
            ]

    def _run(self, slot: Slot, job: LeasedJob, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Once for the order and the record: a form that is refused meanwhile would else be written and go to nobody.
        destinations = self._deliverable(job)
        with self._database.begin() as session:
            sent_before = results.sent_before(session, job.job_id)
            earlier, remarks = priors.given(session, job.job_id, self._now())
            remarks = [*remarks, *by_hand.remarks(session, job.job_id)]
        order = work_order(
            job, self._store, (name for names in destinations.values() for name in names), folder=folder,
            device=slot.device, content_qualification=self._content_qualification, node_version=self._node_version,
            model_digest=self._manifests()[job.pipeline].model_digest,
            language=self._report_language, sent_before=sent_before, earlier=earlier, remarks=remarks,
            issuers=self._issuers,
        )
        try:
            report = self._compute(slot, job, order)
        except WorkerLost as lost:
            if self._stopping.is_set():
                return  # the job is given back at the next start: no fault of its own
            with self._database.begin() as session:
                state = jobs.crashed(session, job.job_id, job.token, str(lost), self._now(),
                                     blameless=isinstance(lost, WorkerGone))
            log.error("job.worker_lost", job=job.job_id, pipeline=job.pipeline, reason=str(lost), state=state)
            self._metrics.jobs.labels(job.pipeline, "worker lost").inc()
            return
        self._record(job, report, destinations)
        self._metrics.jobs.labels(job.pipeline, report.state.value).inc()
        self._metrics.job_seconds.labels(job.pipeline).observe(sum(report.seconds.values()))
        log.info("job.ended", job=job.job_id, pipeline=job.pipeline, state=report.state.value,
                 reason=report.reason, seconds=dict(report.seconds), objects=len(report.objects))

    def _compute(self, slot: Slot, job: LeasedJob, order: WorkOrder) -> RunReport:
        with self._lock:
            self._computing[slot.number] = job
        try:
            return self._executor.execute(
                slot.number, order, lambda stage: self._stage(slot.number, stage), lambda: self._upcoming(slot)
            )
        finally:
            with self._lock:
                del self._computing[slot.number]

    def _upcoming(self, slot: Slot) -> WorkOrder | None:
        """What this slot would be given if it were free now, and no other slot was told of; None if nothing waits.

        The job stays where it is, without a lease: its worker's death is no try of it, and who is more urgent by then
        still comes first.
        """
        with self._lock:
            hinted = set(self._hinted.values())
        manifests = self._manifests()
        with self._database.read() as session:
            job = jobs.next_waiting(session, manifests, self._now(), besides=hinted)
        if job is None:
            return None
        with self._lock:
            self._hinted[slot.number] = job.job_id
        return work_order(
            job, self._store, (), folder=self._work_folder, device=slot.device,
            content_qualification=self._content_qualification, node_version=self._node_version,
            model_digest=manifests[job.pipeline].model_digest, language=self._report_language, sent_before=(),
        )

    def _stage(self, slot: int, stage: str) -> None:
        with self._lock:
            self._stages[slot] = stage

    def _record(self, job: LeasedJob, report: RunReport, destinations: Mapping[str, frozenset[str]]) -> None:
        summary = {
            "state": report.state.value,
            "measurements": list(report.measurements),
            "remarks": list(report.remarks),
            "excluded": dict(report.excluded),
            "repairs": list(report.repairs),
            "seconds": dict(report.seconds),
            "memory": dict(report.memory),
            "observed": dict(report.observed),
            "made_by": made_by(self._manifests()[job.pipeline], self._content_qualification),
            "language": self._report_language,
        }
        objects = [keep_object(self._store, produced) for produced in report.objects]
        if report.state in (RunState.FINDINGS, RunState.NOTHING_FOUND):
            findings_digest = keep_file(self._store, Path(report.findings)) if report.findings else None
            with self._database.begin() as session:
                jobs.produced(
                    session, job.job_id, job.token, objects=objects, destinations=destinations, report=summary,
                    now=self._now(), findings_digest=findings_digest,
                )
        else:
            end = jobs.not_processed if report.state is RunState.NOT_PROCESSED else jobs.failed
            with self._database.begin() as session:
                end(session, job.job_id, job.token, report.reason, summary, self._now(),
                    objects=objects, destinations=destinations)
        if objects:
            remember(self._store, objects)
            self._on_produced()

    def _deliverable(self, job: LeasedJob) -> dict[str, frozenset[str]]:
        """Destination -> the objects it gets. A destination removed meanwhile keeps its deliveries (R16)."""
        peers = self._peers()
        with self._database.read() as session:
            return {
                name: frozenset(plan(forms_for(session, peers[name]))) if name in peers else frozenset()
                for name in job.destinations
            }
