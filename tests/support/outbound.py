"""The sending half of a node, in this process, under a clock that is set by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydicom import Dataset, FileMetaDataset, dcmwrite
from sqlalchemy import func, select

from radnode.config.loading import parse
from radnode.config.peers import Peer
from radnode.node.alarming.kinds import kind_of
from radnode.node.alarming.watch import AlarmWatch
from radnode.node.alarms import Alarms
from radnode.node.answers import Answers
from radnode.node.delivery.committing import Commitments
from radnode.node.delivery.confirmer import Confirmer
from radnode.node.delivery.fallback import Fallback
from radnode.node.delivery.outages import Outages
from radnode.node.delivery.sender import Sender
from radnode.node.delivery.vouching import Voucher
from radnode.node.observability import Metrics
from radnode.pipelines.forms import Wanted, send_order
from radnode.storage import alarms, catalog, jobs, outbox
from radnode.storage.database import Database
from radnode.storage.files import FileStore
from radnode.storage.outbox import DeliveryState
from radnode.storage.results import NewResultObject
from radnode.storage.tables import DeliveryRow
from support import ground
from support.rows import NOW, close_all, insert_job, must_lease, new_job, receive, reception

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from radnode.config.loading import Configuration
    from radnode.node.delivery.carrying import Destination
    from radnode.node.delivery.outages import Outage

CLASSES = {
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "TID1500": "1.2.840.10008.5.1.4.1.1.88.34",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
}
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BOTH = ("SEG", "TID1500+SEG")
CONFIRM_WITHIN = timedelta(minutes=1)


class VirtualClock:
    """`now` stands still until somebody moves it."""

    def __init__(self, start: datetime = NOW) -> None:
        self.time = start

    def now(self) -> datetime:
        """For whoever asks for the time."""
        return self.time

    def forward(self, by: timedelta) -> datetime:
        """The time after it has passed."""
        self.time += by
        return self.time


def destination(port: int, *, name: str = "PACS", **more: Any) -> Peer:
    """A PACS of this machine that receives results."""
    return Peer(**{"name": name, "ae_title": name, "host": "127.0.0.1", "port": port, "receives": True, **more})


class Outbound:
    """Sender, confirmer and watch on real tables and files; nothing runs but what a test calls."""

    def __init__(self, folder: Path, *peers: Destination) -> None:
        self.clock = VirtualClock()
        self.started = self.clock.time
        self.database = Database(ground.database_url(folder))
        self.database.upgrade()
        self.store = FileStore(folder / "data", reserve_bytes=1)
        self.store.self_test()
        self.alarms = Alarms(self.clock.now)
        self.metrics = Metrics()
        self.peers = {peer.name: peer for peer in peers}
        self.answers = Answers(self.database, self.alarms, list, self.outages, self.store.quarantine)
        self.watch = AlarmWatch(
            database=self.database, store=self.store, configuration=self._configuration, reported=self.alarms,
            refused=dict, now=self.clock.now, metrics=self.metrics, on_change=lambda: None,
        )
        self.patient = Dataset()
        self.messages: dict[str, bytes] = {}
        self._folder = folder
        self._jobs = 0
        self.restart()

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def restart(self) -> None:
        """Forget what the node has in memory."""
        self._outages = Outages()
        self.sender = Sender(
            database=self.database, store=self.store, own_ae_title="RADNODE", peers=lambda: self.peers,
            fallback=Fallback(
                database=self.database, now=self.clock.now, alarms=self.alarms, on_rewrite=lambda: None
            ),
            outages=self._outages, now=self.clock.now, alarms=self.alarms, metrics=self.metrics,
            on_sent=lambda: None,
        )
        self.confirmer = Confirmer(
            database=self.database, outages=Outages(), own_ae_title="RADNODE",
            peers=lambda: self._configuration().peers, confirm_within=CONFIRM_WITHIN, now=self.clock.now,
            alarms=self.alarms, metrics=self.metrics,
            on_missing=lambda: None,
        )
        self.commitments = Commitments(
            database=self.database, outages=Outages(), own_ae_title="RADNODE",
            peers=lambda: self._configuration().peers, now=self.clock.now, alarms=self.alarms,
            metrics=self.metrics, on_missing=lambda: None,
            on_refused=lambda: None,
        )
        self.voucher = Voucher(
            database=self.database, own_ae_title="RADNODE", peers=lambda: self._configuration().peers,
            now=self.clock.now, on_requested=lambda: None,
        )

    def standing(self) -> dict[str, str]:
        """Every alarm that an administrator sees now: name -> text and remedy."""
        self.watch.step()
        with self.database.read() as session:
            return {each.name: f"{each.text}; {kind_of(each.name).remedy}" for each in alarms.standing(session)}

    def outages(self) -> list[Outage]:
        """Destinations that do not answer now."""
        return self._outages.current()

    def produce(
        self, names: Sequence[str] = BOTH, *, to: Sequence[str] = ("PACS",), size_bytes: int = 100
    ) -> int:
        """A job of a study of its own that ended with these objects; its id. What is later refers to the first."""
        self._jobs += 1
        number = self._jobs
        (recorded,) = receive(
            self.database, reception(number, series=number, study=number, at=self.clock.time)
        )
        with self.database.begin() as session:
            catalog.store_headers(session, [(recorded.instance_id, {"Modality": "CT"})])
        (series,) = close_all(self.database, self.clock.time)
        order = new_job(f"job {number}", [recorded.instance_id], series=series, destinations=list(to))
        job_id = insert_job(self.database, order, self.clock.time)
        assert job_id is not None
        job = must_lease(self.database, self.clock.time)
        objects = [self._written(number, name, size_bytes, refers_to=names[0]) for name in names]
        with self.database.begin() as session:
            jobs.produced(
                session, job.job_id, job.token, objects=objects, destinations=dict.fromkeys(to, names), report={},
                now=self.clock.time,
            )
        return job_id

    def image(self, number: int, patient: Dataset | None = None) -> Path:
        """The image that the n-th job read; of this patient, as the archive calls him."""
        image = Dataset()
        image.update(patient or Dataset())
        image.SOPClassUID, image.SOPInstanceUID = CT, f"1.2.3.{number}"
        image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.5.{number}", f"1.2.4.{number}"
        return self._kept(image, f"image-{number}.dcm")

    def deliver(self) -> None:
        """What can be sent and confirmed at this time, until nothing is due."""
        due = True
        while due:
            while self.sender.send_due():
                pass
            while self.commitments.ask_due():
                pass
            while self.confirmer.confirm_sent():
                pass
            with self.database.read() as session:
                due = bool(outbox.destinations_due(session, self.clock.time))

    def later(self, by: timedelta) -> None:
        """Time passes, and what became due is done."""
        self.clock.forward(by)
        self.deliver()

    def to_next_due(self) -> bool:
        """Time passes until something is to be done, and it is done; False when nothing waits for a time."""
        waiting = select(func.min(DeliveryRow.due_at)).where(
            DeliveryRow.state == DeliveryState.WAITING, DeliveryRow.due_at > self.clock.time
        )
        unconfirmed = select(func.min(DeliveryRow.confirm_at)).where(
            DeliveryRow.state == DeliveryState.SENT, DeliveryRow.confirm_at > self.clock.time
        )
        with self.database.read() as session:
            due = [at for at in (session.scalar(waiting), session.scalar(unconfirmed)) if at is not None]
        if not due:
            return False
        self.clock.time = min(due)
        self.deliver()
        return True

    def deliveries(self) -> Sequence[DeliveryRow]:
        """All, in the order in which they were queued."""
        with self.database.read() as session:
            return session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)).all()

    def states(self) -> list[str]:
        """Of all deliveries, in the order in which they were queued."""
        return [row.state for row in self.deliveries()]

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The details of these entries of all timelines."""
        studies = [f"1.2.5.{number}" for number in range(1, self._jobs + 1)]
        timelines = [self.answers.study(each) or {} for each in studies]
        return [each["detail"] for timeline in timelines for each in timeline["events"] if each["kind"] == kind]

    def _configuration(self) -> Configuration:
        peers = {name: peer for name, peer in self.peers.items() if isinstance(peer, Peer)}
        return replace(parse("", "radnode.yaml"), peers=peers)

    def _message(self, number: int, name: str) -> NewResultObject:
        path = self._folder / "message"
        path.write_bytes(self.messages[name])
        digest = sha256(self.messages[name]).hexdigest()
        self.store.keep(path, digest, area="results")
        path.unlink()
        return NewResultObject(
            name=name, form=name, order=send_order(name), sop_class_uid="", sop_instance_uid=uid_of(number, name),
            series_instance_uid="", transfer_syntax_uid="", digest=digest, size_bytes=len(self.messages[name]),
            references=[],
        )

    def _written(self, number: int, name: str, size_bytes: int, *, refers_to: str) -> NewResultObject:
        if name in self.messages:
            return self._message(number, name)
        result = Dataset()
        result.update(self.patient)
        form = Wanted.parse(name).form
        result.SOPClassUID, result.SOPInstanceUID = CLASSES[form], uid_of(number, name)
        result.StudyInstanceUID, result.SeriesInstanceUID = f"1.2.5.{number}", f"1.2.9.{number}.{send_order(name)}"
        result.EncapsulatedDocument = sha256(f"{number} {name}".encode()).digest() * (size_bytes // 32 + 1)
        path = self._kept(result, "result.dcm")
        content = path.read_bytes()
        digest = sha256(content).hexdigest()
        self.store.keep(path, digest, area="results")
        path.unlink()  # it is the kept file under another name
        return NewResultObject(
            name=name, form=form, order=send_order(name), sop_class_uid=result.SOPClassUID,
            sop_instance_uid=result.SOPInstanceUID, series_instance_uid=result.SeriesInstanceUID,
            transfer_syntax_uid=EXPLICIT, digest=digest, size_bytes=len(content),
            references=[] if name == refers_to else [uid_of(number, refers_to)],
        )

    def _kept(self, dataset: Dataset, name: str) -> Path:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = EXPLICIT
        dcmwrite(self._folder / name, dataset, enforce_file_format=True)
        return self._folder / name


def uid_of(job: int, name: str) -> str:
    """The SOP Instance UID of an object of the n-th job."""
    return f"1.2.3.{job}.{send_order(name)}"
