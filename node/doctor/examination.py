"""All checks in the order in which an administrator mends them. What hangs on something broken is not checked."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, make_url, select

from radnode.config import messaging, security
from radnode.config.alarms import files
from radnode.config.loading import ConfigError, load
from radnode.config.references import check_files
from radnode.node.checking import check_configuration
from radnode.node.doctor import checks_machine, checks_peers, checks_records, facts_machine, facts_peers
from radnode.node.doctor.checks_messages import messages
from radnode.node.doctor.checks_records import Waste
from radnode.node.doctor.finding import Finding, good, unchecked, wrong
from radnode.node.security.tls import TlsUnusable, client_context, server_context
from radnode.node.security.validity import Certificates, clients
from radnode.storage import ledger, outbox, rebuilding, reconciling
from radnode.storage.acknowledgements import Acknowledgements
from radnode.storage.database import Database
from radnode.storage.errors import DatabaseUnavailable
from radnode.storage.schema import USABLE
from radnode.storage.tables import JobRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radnode.config.loading import Configuration
    from radnode.config.settings import Settings


def examine(path: Path) -> Iterator[Finding]:
    """Every check, one after the other, so that a slow one does not hide the others."""
    try:
        configuration = load(path)
    except ConfigError as error:
        yield wrong("configuration", str(error), "correct the file; config/defaults/radnode.yaml explains every key")
        yield unchecked("everything else", "the configuration cannot be read")
        return
    problems = [*check_configuration(configuration), *check_files(configuration)]
    if problems:
        yield wrong("configuration", "\n".join(map(str, problems)), "correct these lines")
    else:
        yield good("configuration", f"{len(configuration.peers)} peers, {len(configuration.routes)} routes, no mistake")
    for part in (machine, workers, records, peers, messages):
        yield from part(configuration)


def machine(configuration: Configuration) -> Iterator[Finding]:
    """Ports, disk, permissions, clocks."""
    settings = configuration.settings
    yield from _ports(settings)
    there = facts_machine.nearest_existing(settings.data)
    failure, offset_s = facts_machine.probe(there)
    yield checks_machine.volume(settings.data, facts_machine.file_system(there), failure)
    yield checks_machine.space(facts_machine.free_bytes(there), settings.disk_reserve)
    yield from _secrets(configuration)
    yield from _certificates(configuration)
    yield checks_machine.time_service(facts_machine.synchronised())
    yield (unchecked("clock against the file system", "the data folder cannot be written") if failure
           else checks_machine.clock("the file system", offset_s))
    yield unchecked("clock against the PACS", "DICOM has no service that tells a peer's time; compare them by hand")


def workers(configuration: Configuration) -> Iterator[Finding]:
    """Pipelines and devices, as a worker process sees them."""
    settings = configuration.settings
    seen = facts_machine.pipelines(settings.model_store)
    wanted = {name for route in configuration.routes if route.enabled for name in route.run}
    yield from checks_machine.pipelines(seen, tuple(sorted(wanted)))
    if settings.ray is None:
        yield checks_machine.gpu(seen, tuple(worker.device for worker in settings.workers))
    else:
        yield unchecked("GPU", f"workers are on Ray at {settings.ray.address}; `ray status` says what it has")


def _ports(settings: Settings) -> Iterator[Finding]:
    node = facts_machine.node_on(settings.data)
    ports = [("DICOM", settings.host, settings.dicom_port), ("HTTP", settings.http_host, settings.http_port)]
    if settings.tls:
        ports.append(("DICOM in TLS", settings.host, settings.tls.port))
    if settings.dicomweb:
        ports.append(("DICOMweb", settings.dicomweb.host, settings.dicomweb.port))
    for name, host, port in ports:
        taken, refusal = facts_machine.listening(host, port)
        holder = facts_machine.holder(node, port) if taken else "nobody"
        yield checks_machine.port(name, host, port, holder, refusal)


def _certificates(configuration: Configuration) -> Iterator[Finding]:
    """Those of the node and of whom it calls; and whether key, chain and authority make TLS."""
    settings = configuration.settings
    seen = Certificates().look(configuration)
    if not seen:
        yield unchecked("certificates", "the configuration has none")
    for each in seen:
        yield checks_machine.certificate(each, datetime.now(UTC))
    made: dict[str, Callable[[], object]] = {
        name: partial(client_context, tls) for name, tls in clients(configuration).items()
    }
    if settings.tls:
        made["node"] = partial(server_context, settings.tls, asks=ssl.CERT_REQUIRED)
    for name, make in made.items():
        try:
            make()
        except TlsUnusable as error:
            yield wrong(f"TLS of {name}", str(error), "correct these files")
        else:
            yield good(f"TLS of {name}", "certificate, key and authority fit together")


def _secrets(configuration: Configuration) -> Iterator[Finding]:
    """Images are as secret as passwords; a password in the environment is in no file."""
    settings = configuration.settings
    held = {settings.data: "images of patients"}
    in_file = "RADNODE_DATABASE_URL" not in os.environ and settings.database_url is not None
    if in_file and configuration.path is not None and make_url(settings.effective_database_url).password:
        held[configuration.path] = "the password of the database"
    for (_, key), path in files(configuration.alarms):
        if key != "ca_file":
            held[path] = "a secret of the section alarms"
    of_messages = messaging.files(configuration.messaging)
    for where, path in (*security.files(settings, configuration.peers), *of_messages):
        if where[-1] in security.SECRETS:
            held[path] = security.SECRETS[where[-1]]
    for path, mode in facts_machine.modes(list(held)).items():
        yield checks_machine.secret(path, mode, held[path])


def records(configuration: Configuration) -> Iterator[Finding]:
    """Database, ledger, files, what lies aside."""
    settings = configuration.settings
    url = make_url(settings.effective_database_url)
    hidden = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        yield checks_records.no_database(hidden, sum(1 for _ in reconciling.files(settings.data)))
        return
    database = Database(settings.effective_database_url, read_only=True)
    try:
        yield from _in_database(database, settings, hidden)
    except DatabaseUnavailable as error:
        yield wrong("database", f"{hidden}: {error}",
                    "start it, or correct `database_url`; a damaged SQLite file: docs/recovery.md")
        yield unchecked("ledger, files, deliveries", "the database cannot be read")
    finally:
        database.close()


def _in_database(database: Database, settings: Settings, hidden: str) -> Iterator[Finding]:
    found = database.schema()
    before = datetime.now(UTC)
    theirs = database.now()
    after = datetime.now(UTC)
    yield good("database", f"{hidden} answers")
    yield checks_machine.clock("the database", (theirs - min(max(theirs, before), after)).total_seconds())
    yield checks_records.schema(found)
    if found not in USABLE:
        yield unchecked("ledger, files, deliveries", "this version does not know these tables yet")
        return
    last = Acknowledgements(settings.data, flush=lambda _: None).last()
    with database.read() as session:
        knows_last = last is not None and rebuilding.knows(session, last)
        balance = ledger.balance(session)
        dead = outbox.dead_deliveries(session)
        failed = session.scalar(select(func.count()).where(JobRow.state == "FAILED")) or 0
    yield checks_records.acknowledged(last.received_at if last else None, known=knows_last)
    yield checks_records.ledger(balance)
    yield from checks_records.images(reconciling.compare(database, settings.data))
    quarantined = facts_machine.quarantined(settings.data)
    yield from checks_records.waste(Waste(quarantined=quarantined, dead=tuple(dead), failed=failed))


def peers(configuration: Configuration) -> Iterator[Finding]:
    """Destinations and sources."""
    own = configuration.settings.ae_title
    for name, peer in configuration.peers.items():
        if peer.dicomweb:
            yield checks_peers.web(name, facts_peers.ask(peer, own))
            continue
        if peer.receives:
            seen = facts_peers.greet(peer, own, peer.forms)
            yield from checks_peers.destination(name, own, seen)
        if peer.answers_find:
            yield checks_peers.source(name, facts_peers.ask(peer, own))
        elif peer.sends:
            yield unchecked(f"C-FIND at {name}", "it is not configured to answer one (`answers_find`)")
