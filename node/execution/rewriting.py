"""Kept findings written again, in the forms that a destination takes. No model runs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import structlog

from radnode.node.execution.base import WorkerLost
from radnode.node.execution.orders import RESULTS, keep_object, made_by, remember, work_order
from radnode.pipelines.contract import RunState
from radnode.storage import jobs, results, rewrites

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from radnode.node.execution.worker_process import WorkerProcess
    from radnode.pipelines.contract import Manifest, RunReport
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore
    from radnode.storage.jobs import LeasedJob
    from radnode.storage.rewrites import Rewrite

log = structlog.get_logger(__name__)


class Rewriter:
    """`step` writes what waits, one job at a time, in a worker process of its own that ends afterwards."""

    def __init__(
        self,
        *,
        database: Database,
        store: FileStore,
        worker: WorkerProcess,
        work_folder: Path,
        manifests: Callable[[], Mapping[str, Manifest]],
        content_qualification: str,
        node_version: str,
        now: Callable[[], datetime],
        on_rewritten: Callable[[], None],
    ) -> None:
        self._database = database
        self._store = store
        self._worker = worker
        self._work_folder = work_folder
        self._manifests = manifests
        self._content_qualification = content_qualification
        self._node_version = node_version
        self._now = now
        self._on_rewritten = on_rewritten
        self._stopping = False

    def step(self) -> bool:
        """Write one job's findings again. False when nothing waits."""
        if self._stopping:
            return False
        with self._database.begin() as session:
            rewrite = rewrites.next_rewrite(session)
        if rewrite is None:
            self._worker.stop()
            return False
        folder = self._work_folder / f"rewrite-{rewrite.rewrite_id}"
        try:
            self._write(rewrite, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def stop(self) -> None:
        """End the worker; what it was writing is written after the next start."""
        self._stopping = True
        self._worker.kill("the node is stopping")

    def _write(self, rewrite: Rewrite, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with self._database.read() as session:
            job = jobs.get(session, rewrite.job_id)
            sent_before = results.sent_before(session, rewrite.job_id)
        findings = self._store.path(job.findings_digest or "", RESULTS)
        if why_not := self._why_not(job, findings):
            self._failed(rewrite, why_not, again=False)
            return
        order = work_order(
            job, self._store, rewrite.names, folder=folder, device="cpu",
            content_qualification=self._content_qualification, node_version=self._node_version,
            model_digest=self._manifests()[job.pipeline].model_digest,
            # The language of its run, whatever is configured meanwhile: one job speaks one language.
            language=job.report.get("language", "en"), sent_before=sent_before, findings=str(findings),
        )
        try:
            report = self._worker.execute(order, lambda _: None)
        except WorkerLost as lost:
            if not self._stopping:
                self._failed(rewrite, str(lost), again=True)
            return
        if report.state not in (RunState.FINDINGS, RunState.NOTHING_FOUND):
            self._failed(rewrite, report.reason, again=False)
            return
        self._record(rewrite, report)

    def _why_not(self, job: LeasedJob, findings: Path) -> str:
        """Why these findings cannot be written any more; empty if they can."""
        if not findings.is_file():
            return "its findings are no longer kept"
        manifest = self._manifests().get(job.pipeline)
        if manifest is None:
            return f"the pipeline {job.pipeline} is no longer installed"
        if made_by(manifest, self._content_qualification) != job.report.get("made_by"):
            return f"{job.pipeline} was changed since it found this, so a result would name the wrong maker"
        return ""

    def _record(self, rewrite: Rewrite, report: RunReport) -> None:
        objects = [keep_object(self._store, produced) for produced in report.objects]
        with self._database.begin() as session:
            rewrites.rewritten(session, rewrite, objects, self._now())
        remember(self._store, objects)
        log.info("result.rewritten", job=rewrite.job_id, destination=rewrite.destination,
                 objects=[each.name for each in objects])
        self._on_rewritten()

    def _failed(self, rewrite: Rewrite, reason: str, *, again: bool) -> None:
        log.error("result.not_rewritten", job=rewrite.job_id, destination=rewrite.destination, reason=reason)
        with self._database.begin() as session:
            rewrites.not_rewritten(session, rewrite, reason, self._now(), again=again)
