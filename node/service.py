"""The composition root: the only place that constructs the parts of a node and ties them together."""

from __future__ import annotations

import secrets
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

import radnode
from radnode.node.alarming.activities import alarm_activities
from radnode.node.alarms import Alarms
from radnode.node.answers import Answers
from radnode.node.backing_up.keeping import BackupKeeper
from radnode.node.cataloguing import Cataloguer
from radnode.node.checking import check_configuration
from radnode.node.claim import LEASE_TIME, DatabaseClaim
from radnode.node.closing import SeriesCloser
from radnode.node.configuring import ConfigurationDesk
from radnode.node.counting import SourceCounter
from radnode.node.deidentifying.forwarding import sending_on
from radnode.node.deidentifying.lanes import Lanes
from radnode.node.delivery.composing import Promises
from radnode.node.delivery.confirmer import Confirmer
from radnode.node.delivery.fallback import Fallback
from radnode.node.delivery.outages import Outages
from radnode.node.delivery.sender import Sender
from radnode.node.dicomweb_out.web import DicomWebOut
from radnode.node.doors import Doors
from radnode.node.execution.dispatcher import HEARTBEAT_EVERY_S, Dispatcher, Slot
from radnode.node.execution.local import LocalExecutor
from radnode.node.execution.ray import RayExecutor
from radnode.node.execution.rewriting import Rewriter
from radnode.node.execution.worker_process import WorkerProcess
from radnode.node.in_force import InForce
from radnode.node.indexing import HeaderReader
from radnode.node.intake.associations import Associations
from radnode.node.intake.storing import Storage
from radnode.node.late_orders import LateOrders
from radnode.node.messaging.composition import Messaging
from radnode.node.monitoring.composing import Monitoring
from radnode.node.observability import Metrics
from radnode.node.pages import site
from radnode.node.receivers import receivers_of
from radnode.node.retrieving.composing import Retrieving
from radnode.node.scheduler import Activity, Clock, stop_all
from radnode.node.security.tls import TlsUnusable
from radnode.node.starting import StartRefused, identity, listening
from radnode.node.studies.ordering import OrderDesk
from radnode.node.study_closing import StudyCloser
from radnode.node.upkeep import Upkeep
from radnode.node.web.api import create_app
from radnode.node.web.composing import WebAccess
from radnode.node.web.leading import WhileLeading
from radnode.node.web.studies import studies_router
from radnode.node.workitems.composing import WorkItems
from radnode.storage import commitments, fetches, jobs, outbox, rebuilding, receptions, reconciling
from radnode.storage.database import Database
from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from radnode.config.loading import Configuration
    from radnode.config.peers import Peer
    from radnode.config.settings import Settings
    from radnode.node.delivery.carrying import Destination
    from radnode.node.execution.base import Executor
    from radnode.pipelines.contract import Manifest
    from radnode.storage.receptions import Reception, Recorded

log = structlog.get_logger(__name__)

UPKEEP_EVERY_S = 10.0
LOOK_EVERY_S = 1.0


def utc_now() -> datetime:
    """The wall clock; with `time.monotonic` the only clock of the node."""
    return datetime.now(UTC)


class Node:
    """A node on one configuration. `start` opens the sockets, `stop` closes them; nothing is lost by neither."""

    def __init__(
        self, configuration: Configuration, on_lost: Callable[[], None] = lambda: None, receiver: str = ""
    ) -> None:
        """on_lost: called when another node has taken over the database; then `stop` is all that is left to do.

        receiver: what this process is called among several that are one node; empty for one that is alone.
        """
        settings = configuration.settings
        self._on_lost = on_lost
        self._leads = False
        self.alarms = Alarms(utc_now, on_change=lambda: self._alarming[0].pulse())
        self._in_force = InForce(configuration, self.alarms, on_taken_over=self._note_file)
        self.metrics = Metrics()
        self.database = Database(settings.effective_database_url)
        self.database.on_statement(self.metrics.statements.inc)
        self._receivers = receivers_of(receiver, settings, self.database, self.alarms, utc_now)
        self.store = FileStore(settings.data, settings.disk_reserve, receiver=receiver)
        self.associations = Associations(on_change=self._association_changed, elsewhere=self._receivers)
        self._outages = Outages()
        self.answers = Answers(
            self.database, self.alarms, self._running, self._outages.current, self.store.quarantine
        )
        self._reader = HeaderReader()
        self._identity = receiver or identity(settings.data)
        self._executor = self._make_executor(settings)
        self._life = f"{self._identity}:{secrets.token_hex(4)}"
        self._claim = DatabaseClaim(self.database, self._identity, utc_now)
        self._storage = self._make_storage(settings)
        self.desk = ConfigurationDesk(path=configuration.path, database=self.database, now=utc_now,
                                      take_over=self._in_force.renew)
        self._keeper = BackupKeeper(configuration=lambda: self._configuration, alarms=self.alarms, now=utc_now)
        self._dicomweb_out = DicomWebOut(database=self.database, store=self.store, alarms=self.alarms)
        self._compose(configuration)

    def start(self) -> None:
        """Prepare the folders and tables, then open the sockets. Raises :class:`StartRefused`, StorageError."""
        if problems := check_configuration(self._configuration, self._in_force.installed):
            raise StartRefused("\n".join(str(problem) for problem in problems))
        self.store.lock()
        self.store.self_test()
        self.database.upgrade()
        if forgotten := rebuilding.forgotten(self.database, self.store.acknowledgements):
            raise StartRefused(forgotten)
        leads = self._claimed()
        for setting, port, open_door in (*self._doors.closed(), *self._messaging.closed()):
            with listening(setting, port):
                open_door()
        if leads:
            self._lead()
        for activity in self._receiving:
            activity.start()
        self._clock.start()
        self._http.start()
        log.info("node.started", version=radnode.__version__, dicom_port=self.dicom_port, http_port=self.http_port,
                 pipelines=sorted(self._in_force.installed.manifests), refused=dict(self._in_force.installed.refused))
        self._in_force.say_refused()

    def _claimed(self) -> bool:
        """Before the first image comes: whether to lead, or another does. Raises :class:`StartRefused`."""
        with self.database.read() as session:
            self.store.sweep_spool(lambda digest: reconciling.is_listed(session, digest))
        leads = self._claim.take()
        if not leads and not self._receivers.name:
            raise StartRefused(
                "another node works on this database; give this one its own `database_url`, or, if the other is gone, "
                f"start again in {LEASE_TIME.total_seconds():.0f} s"
            )
        return leads

    def _lead(self) -> None:
        """Do from now on all that only one process of a node does."""
        self._take_over()
        self.desk.note_file()
        for activity in self._activities:
            activity.start()
        self._access.begin(self.http_port)
        self._leads = True
        log.info("node.leads", receiver=self.store.receiver)

    def stop(self) -> None:
        """Finish what was begun and close. Jobs that run are given back at the next start."""
        self._doors.close()
        self._messaging.close()
        self._clock.stop()
        self._retrieving.stop()
        self._ordered.stop()
        self._dispatcher.stop()
        self._rewriter.stop()
        self._monitoring.stop()
        stop_all((*self._receiving, *self._activities))
        self._http.stop()
        self._dicomweb_out.close()
        self._reader.close()
        if self._leads:
            self._access.end()
            self._claim.give_back()
        self._receivers.end()
        self.database.close()
        self.store.unlock()
        log.info("node.stopped")

    @property
    def dicom_port(self) -> int:
        """The port of the storage SCP."""
        return self._doors.dicom_port

    @property
    def http_port(self) -> int:
        """The port of the HTTP server."""
        return self._http.port

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self._in_force.configuration

    @property
    def _configuration(self) -> Configuration:
        return self._in_force.configuration

    def _keep_claim(self) -> bool:
        """Prolong all leases of this process, or lead where nobody does any more."""
        if self._leads and not self._claim.keep():
            log.critical("node.lost_its_database")
            self._on_lost()
            return False
        if not self._leads and self._claim.take():
            self._lead()
        self._receivers.say(
            leads=self._leads, refused=self._storage.refusals.lately(), strangers=self._doors.strangers.lately(),
            associations=self.associations.open(),
        )
        return self._dispatcher.heartbeat()

    def _received_elsewhere(self) -> None:
        """What another receiver took in is read at once."""
        self._cataloguing.pulse()
        self._association_changed()

    def _note_file(self) -> None:
        if self._leads:
            self.desk.note_file()

    def _elsewhere(self) -> str | None:
        """Who leads while this process does not."""
        return None if self._leads else self._receivers.leader()

    def _take_over(self) -> None:
        """Whatever an earlier process of this node was doing waits again: it is dead, or the lock or lease not ours."""
        shutil.rmtree(self._configuration.settings.data / "work", ignore_errors=True)
        with self.database.begin() as session:
            given_back = jobs.give_back(session, utc_now(), self._life)
            sendings = outbox.give_back(session, utc_now())
            commitments.give_back(session)
            fetches.give_back(session)
        if given_back or sendings:
            log.warning("node.took_over", jobs=given_back, sendings=sendings)

    def _compose(self, configuration: Configuration) -> None:
        settings = configuration.settings
        self._compose_work(configuration)
        self._compose_delivery(settings)
        self._compose_judging(settings)
        self._compose_doors(settings)
        upkeep = Upkeep(
            database=self.database, store=self.store, now=utc_now, alarms=self.alarms, metrics=self.metrics,
            retention_time=timedelta(days=settings.retention_days), peers=self._peers, on_jobs=self._pulse_workers,
            renew=self._dispatcher.heartbeat,
        )
        self._alarming = alarm_activities(
            database=self.database, store=self.store, configuration=lambda: self._configuration, reported=self.alarms,
            refused=lambda: self._receivers.refused(self._storage.refusals.lately()),
            strangers=lambda: self._receivers.strangers(self._doors.strangers.lately()), now=utc_now,
            metrics=self.metrics,
        )
        heartbeat = Activity("heartbeat", self._keep_claim, self.alarms)
        caretaker = Activity("upkeep", upkeep.step, self.alarms)
        reloading = Activity("reloading", self._in_force.renew, self.alarms)
        noting = Activity("noting", self._flush_notes, self.alarms)
        often = (self._cataloguing, self._closing, self._closing_studies, self._counting, *self._workers,
                 self._sending, self._confirming, self._promises.committing, self._promises.vouching,
                 self._rewriting, self._forwarding, self._dicomweb_out.activity,
                 *self._retrieving.activities, *self._messaging.asking, *self._ordered.activities)
        saving = Activity("backup", self._keeper.step, self.alarms)
        seldom = (caretaker, saving, *self._alarming, *self._access.activities, self._messaging.activity,
                  *self._monitoring.activities)
        self._clock = Clock()
        for activity in (*often, noting, reloading):
            self._clock.every(LOOK_EVERY_S, activity)
        self._clock.every(HEARTBEAT_EVERY_S, heartbeat)
        for activity in seldom:
            self._clock.every(UPKEEP_EVERY_S, activity)
        self._receiving = (noting, reloading, heartbeat)
        self._activities = (*often, *seldom, *self._receivers.hearing(self._received_elsewhere))

    def _compose_work(self, configuration: Configuration) -> None:
        """What runs pipelines, and what writes their findings again in another form."""
        settings = configuration.settings
        self._dispatcher = Dispatcher(
            database=self.database, store=self.store, executor=self._executor, peers=self._destinations,
            issuers=configuration.messaging.issuers.stated(), manifests=self._manifests,
            wanted=self._wanted_pipelines, work_folder=settings.data / "work",
            content_qualification=settings.content_qualification, report_language=settings.report_language,
            node_version=radnode.__version__, now=utc_now, metrics=self.metrics,
            on_produced=lambda: self._sending.pulse(), worker_prefix=self._life,
        )
        self._rewriter = Rewriter(
            database=self.database, store=self.store,
            worker=WorkerProcess(
                device="cpu", memory_limit_bytes=settings.workers[0].memory_limit,
                time_limit_s=settings.workers[0].time_limit_s, models=settings.model_store,
            ),
            work_folder=settings.data / "work", manifests=self._manifests,
            content_qualification=settings.content_qualification, node_version=radnode.__version__, now=utc_now,
            on_rewritten=lambda: self._sending.pulse(),
        )
        self._rewriting = Activity("rewriting", self._rewriter.step, self.alarms)
        self._workers = [
            Activity(f"worker {number}", self._worker_step(Slot(number=number, device=worker.device)), self.alarms)
            for number, worker in enumerate(settings.workers)
        ]

    def _compose_delivery(self, settings: Settings) -> None:
        """What sends results, and images to those outside, and makes sure that they arrived."""
        fallback = Fallback(
            database=self.database, now=utc_now, alarms=self.alarms, on_rewrite=lambda: self._rewriting.pulse()
        )
        lanes = Lanes(self.database, settings.data, utc_now)
        sender = Sender(
            database=self.database, store=self.store, fallback=fallback, outages=self._outages,
            own_ae_title=settings.ae_title, peers=self._destinations, now=utc_now, alarms=self.alarms,
            metrics=self.metrics, on_sent=self._result_sent, lanes=lanes,
        )
        confirmer = Confirmer(
            database=self.database, own_ae_title=settings.ae_title, peers=self._peers, now=utc_now, alarms=self.alarms,
            outages=Outages(),  # of C-FIND, which may be out where C-STORE is not
            confirm_within=timedelta(seconds=settings.confirm_within_s), metrics=self.metrics,
            on_missing=lambda: self._sending.pulse(),
        )
        self._sending = Activity("sending", sender.send_due, self.alarms)
        self._confirming = Activity("confirming", confirmer.confirm_sent, self.alarms)
        self._forwarding = sending_on(lanes, self.store, lambda: self._configuration, self.alarms)
        self._promises = Promises(
            database=self.database, own_ae_title=settings.ae_title, peers=self._peers, now=utc_now, alarms=self.alarms,
            metrics=self.metrics, on_missing=lambda: self._sending.pulse(), on_refused=lambda: self._confirming.pulse(),
            on_said=lambda: self._closing.pulse(),
        )

    def _compose_judging(self, settings: Settings) -> None:
        """What reads headers, says what is complete, and asks for jobs."""
        closer = SeriesCloser(
            database=self.database, configuration=lambda: self._configuration, manifests=self._manifests,
            associations=self.associations, now=utc_now, monotonic_s=time.monotonic, metrics=self.metrics,
            alarms=self.alarms, on_jobs=self._series_closed,
            look_again_in=lambda seconds: self._closing.pulse_in(seconds),
        )
        study_closer = StudyCloser(
            database=self.database, configuration=lambda: self._configuration, manifests=self._manifests, now=utc_now,
            monotonic_s=time.monotonic, alarms=self.alarms, on_jobs=self._pulse_workers,
            look_again_in=lambda seconds: self._closing_studies.pulse_in(seconds),
        )
        cataloguer = Cataloguer(
            database=self.database, store=self.store, reader=self._reader, now=utc_now, metrics=self.metrics,
            on_catalogued=lambda: self._closing.pulse(),
        )
        counter = SourceCounter(
            database=self.database, own_ae_title=settings.ae_title, peers=self._peers,
            associations=self.associations, now=utc_now, on_counted=lambda: self._closing.pulse(),
        )
        self._cataloguing = Activity("cataloguing", cataloguer.step, self.alarms)
        late = LateOrders(database=self.database, configuration=lambda: self._configuration,
                          manifests=self._manifests, now=utc_now, on_jobs=self._series_closed)
        self._closing = Activity("closing", lambda: closer.step() or late.step(), self.alarms)
        self._closing_studies = Activity("closing studies", study_closer.step, self.alarms)
        self._counting = Activity("counting", counter.step, self.alarms)

    def _compose_doors(self, settings: Settings) -> None:
        """What listens, and what fetches and watches where nobody sends."""
        self._ordered = WorkItems(self.database, lambda: self._configuration, self._manifests, utc_now,
                                  alarms=self.alarms, on_jobs=self._pulse_workers, opener=self._dicomweb_out.images)
        try:
            self._doors = Doors(
                configuration=lambda: self._configuration, storage=self._storage, alarms=self.alarms,
                metrics=self.metrics, desk=replace(self._promises.desk, ordered=self._ordered.door),
            )
            self._messaging = Messaging(
                database=self.database, configuration=lambda: self._configuration, now=utc_now, alarms=self.alarms,
                strangers=self._doors.strangers,
            )
        except TlsUnusable as error:
            raise StartRefused(f"node.tls: {error}") from error
        self._retrieving = Retrieving(
            database=self.database, storage=self._storage, configuration=lambda: self._configuration, now=utc_now,
            alarms=self.alarms, on_open=lambda: self._closing.pulse(), on_jobs=self._pulse_workers,
        )
        self._access = WebAccess(database=self.database, configuration=lambda: self._configuration, alarms=self.alarms,
                                 associations=self.associations, now=utc_now,
                                 strangers=lambda: self._doors.strangers.lately())
        self._monitoring = Monitoring(database=self.database, store=self.store, alarms=self.alarms, now=utc_now,
                                      configuration=lambda: self._configuration)
        with listening("http_port", settings.http_port):
            app = self._dicomweb_out.mount(create_app(self.answers, self.metrics), settings.viewer_origins)
            orders = OrderDesk(database=self.database, configuration=lambda: self._configuration,
                               manifests=self._manifests, now=utc_now)
            app.include_router(studies_router(self.database, orders))
            app = site.mount(self._retrieving.serve(self._ordered.mount(app)), site.Parts(
                database=self.database, store=self.store, answers=self.answers, alarms=self.alarms,
                holdings=self._dicomweb_out.holdings,
                metrics=self.metrics, configuration=lambda: self._configuration,
                installed=lambda: self._in_force.installed, renew=self._in_force.renew,
                now=utc_now, desk=self.desk, witness=self._access.witness, dicom_port=lambda: self.dicom_port,
                running=self._running, workers=self._executor.workers, outages=self._outages.current,
                keeper=self._keeper, monitoring=self._monitoring, orders=orders,
                turned_away=self._doors.turned_away.lately, strangers=self._doors.strangers.lately,
            ))
            app.add_middleware(WhileLeading, elsewhere=self._elsewhere)
            self._http = self._access.server(app)

    def _make_executor(self, settings: Settings) -> Executor:
        if settings.ray is None:
            return LocalExecutor(settings.workers, settings.model_store)
        return RayExecutor(settings.workers, settings.ray, models=settings.model_store, data=settings.data,
                           identity=identity(settings.data), alarms=self.alarms)

    def _make_storage(self, settings: Settings) -> Storage:
        return Storage(
            store=self.store, record=self._record, associations=self.associations, largest_object=settings.max_object,
            now=utc_now, metrics=self.metrics, on_recorded=lambda: self._cataloguing.pulse(),
        )

    def _record(self, received: Sequence[Reception]) -> list[Recorded]:
        with self.database.transact() as connection:
            if not self._leads:
                self._receivers.tell(connection)
            return receptions.record(connection, received)

    def _flush_notes(self) -> bool:
        self.store.flush_notes()
        return False

    def _worker_step(self, slot: Slot) -> Callable[[], bool]:
        return lambda: self._dispatcher.run_next(slot)

    def _series_closed(self) -> None:
        self._pulse_workers()
        self._closing_studies.pulse()
        self._forwarding.pulse()

    def _result_sent(self) -> None:
        self._confirming.pulse()
        self._promises.committing.pulse()

    def _pulse_workers(self) -> None:
        for worker in self._workers:
            worker.pulse()

    def _association_changed(self) -> None:
        self._counting.pulse()
        self._closing.pulse()

    def _peers(self) -> Mapping[str, Peer]:
        return self._configuration.peers

    def _destinations(self) -> Mapping[str, Destination]:
        return self._configuration.destinations

    def _manifests(self) -> Mapping[str, Manifest]:
        return self._in_force.installed.manifests

    def _wanted_pipelines(self) -> list[str]:
        """What the enabled routes run: workers load it before the first study comes."""
        routes = [route for route in self._configuration.routes if route.enabled]
        return sorted({name for route in routes for name in route.run})

    def _running(self) -> list[dict[str, object]]:
        return self._dispatcher.stages()

