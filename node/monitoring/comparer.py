"""Compares what waits: corrected objects with the findings they correct, and pairs of jobs; a process for each."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from radnode.node.execution.orders import RESULTS, work_order
from radnode.node.monitoring.giving import scanner_of_job
from radnode.pipelines import child
from radnode.storage import comparisons, corrections, feedback, jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from radnode.storage.corrections import Correction
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore
    from radnode.storage.jobs import LeasedJob
    from radnode.storage.monitoring_tables import ComparisonRow

log = structlog.get_logger(__name__)

TIME_LIMIT_S = 600.0
_GAVE_UP = "the process that compares it was lost each time"


class Comparer:
    """`step` compares one. models: the model store."""

    def __init__(self, database: Database, store: FileStore, models: Path, now: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._models = models
        self._now = now
        self._process: subprocess.Popen[str] | None = None
        self._stopping = False

    def step(self) -> bool:
        """One comparison; False when nothing waits. A try counts before it begins: none is tried for ever."""
        if self._stopping:
            return False
        with self._database.begin() as session:
            correction = corrections.next_waiting(session)
            pair = None if correction else comparisons.next_waiting(session)
            job_ids = [correction.job_id] if correction else [pair.job_id, pair.other_job_id] if pair else []
            of = [jobs.get(session, each) for each in job_ids]
            if pair:
                session.flush()
                session.expunge(pair)
        if correction is not None:
            self._correction(correction, of[0])
        elif pair is not None:
            self._pair(pair, of[0], of[1])
        return correction is not None or pair is not None

    def stop(self) -> None:
        """End the process that compares; it is tried again after the next start."""
        self._stopping = True
        if (process := self._process) is not None:
            process.kill()

    def _correction(self, correction: Correction, job: LeasedJob) -> None:
        answer = self._ask(job, {"object": str(self._store.path(correction.digest))})
        if answer is None:
            if correction.attempts < corrections.MOST_ATTEMPTS or self._stopping:
                return
            answer = {"refused": _GAVE_UP}
        refused = str(answer.get("refused", ""))
        with self._database.begin() as session:
            fresh = corrections.ended(session, correction.correction_id, "REFUSED" if refused else "COMPARED", refused)
            if fresh and not refused:
                feedback.give(
                    session, job.job_id, how="object", who=correction.source, verdict=feedback.CORRECTED, comment="",
                    now=self._now(), scanner_id=scanner_of_job(session, job.job_id, self._now()),
                    structures=answer["structures"], measurements=answer["measurements"],
                )
        log.info("correction.compared", job=job.job_id, source=correction.source, refused=refused)

    def _pair(self, pair: ComparisonRow, one: LeasedJob, other: LeasedJob) -> None:
        answer = self._ask(one, {"other": str(self._store.path(other.findings_digest or "", RESULTS))})
        if answer is None:
            if pair.attempts < comparisons.MOST_ATTEMPTS or self._stopping:
                return
            answer = {"refused": _GAVE_UP}
        refused = str(answer.get("refused", ""))
        with self._database.begin() as session:
            comparisons.ended(session, pair.id, "REFUSED" if refused else "COMPARED", reason=refused,
                              structures=answer.get("structures", ()))
        log.info("pair.compared", job=one.job_id, other=other.job_id, refused=refused)

    def _ask(self, job: LeasedJob, beside: Mapping[str, str]) -> dict[str, Any] | None:
        """None when the process ended without an answer."""
        order = work_order(
            job, self._store, (), folder=self._models, device="cpu", content_qualification="RESEARCH", node_version="",
            model_digest="", language="en", sent_before=(),
        )
        asked = {"order": asdict(order), "models": str(self._models),
                 "findings": str(self._store.path(job.findings_digest or "", RESULTS)), **beside}
        self._process = process = subprocess.Popen(  # noqa: S603 - our own module
            child.command("radnode.pipelines.evaluation.beside"), text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        try:
            said, _ = process.communicate(json.dumps(asked), timeout=TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            said = ""
        finally:
            self._process = None
        if process.returncode != 0 or not said.strip():
            log.warning("comparison.lost", job=job.job_id, status=process.returncode)
            return None
        answer: dict[str, Any] = json.loads(said)
        return answer
