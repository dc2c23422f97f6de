"""A small PACS that does as it is told: keeps what it gets, answers C-FIND, and misbehaves by plan.

For faults only; where a test asks whether radnode works with a PACS it uses Orthanc (support.orthanc).
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from support import commitment
from support.network import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pynetdicom.events import Event

_SYNTAXES = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
]
_LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One C-STORE request as the PACS saw it, whatever it answered."""

    number: int  # 1 for the first attempt to store this SOP instance
    sop_instance_uid: str
    sop_class_uid: str
    calling_ae: str
    digest: str  # SHA-256 of the encoded data set, file meta not included
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer this status and keep nothing (PS3.4 B.2.3)."""

    status: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Drop the connection without an answer; with `keep` the object is stored and only the answer lost."""

    keep: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """Keep the object and let the sender wait this many seconds for the answer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Keep the object and answer this status, which need not be Success, so many times."""

    status: int = 0x0000
    times: int = 1


@dataclass(frozen=True, slots=True)
class Lose:
    """Answer Success and keep nothing, as an archive does whose import fails later."""


@dataclass(frozen=True, slots=True)
class AnswerToAnother:
    """Keep nothing, and say Success to the request before once more, as if that answer had come late."""


Fault = Refuse | Cut | Silence | Answer | Lose | AnswerToAnother


class _Server(ThreadedAssociationServer):
    def service_actions(self) -> None:
        """Not what pynetdicom does here: a full garbage collection every 60 looks, a second of a process of tests."""


class StandInPacs:
    """A storage and query SCP inside the test process; `plan` decides what goes wrong with each attempt."""

    def __init__(self, *, ae_title: str = "PACS", port: int | None = None) -> None:
        self.ae_title = ae_title
        self.port = port or free_port()
        self.plan: Callable[[Attempt], Fault | None] = lambda _attempt: None
        self.committer: commitment.Committer | None = None  # None: it takes no storage commitment
        self.attempts: list[Attempt] = []
        self.find_requests: list[pydicom.Dataset] = []
        self.conflicts: list[str] = []  # UIDs that came twice with different content
        self._stored: dict[str, bytes] = {}
        self._headers: dict[str, pydicom.Dataset] = {}  # of what was asked for already
        self._numbers: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._server: Any = None

    def __enter__(self) -> StandInPacs:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; again on the same port after `stop`, with everything it had."""
        ae = AE(ae_title=self.ae_title)
        ae.maximum_associations = 20
        for context in [*AllStoragePresentationContexts, build_context(_LABEL_MAP_SEGMENTATION)]:
            ae.add_supported_context(context.abstract_syntax, _SYNTAXES)
        ae.add_supported_context(Verification)
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_CONN_OPEN, _at_once),
        ]
        if self.committer is not None:
            ae.add_supported_context(StorageCommitmentPushModel)
            handlers += commitment.handlers(self.committer)
        self._server = ae.make_server(
            ("127.0.0.1", self.port), evt_handlers=handlers, server_class=_Server
        )
        ae._servers.append(self._server)  # where `shutdown` looks for it
        # As `AE.start_server` does, but that looks every half second whether it is to stop.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="stand-in PACS", daemon=True).start()

    def stop(self) -> None:
        """The PACS is down: connections are refused until `start`."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def keep(self, files: Sequence[Path]) -> None:
        """Put files into the archive directly, as if a modality had sent them long ago."""
        for file in files:
            content = file.read_bytes()
            dataset = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
            with self._lock:
                self._stored[dataset.SOPInstanceUID] = content
                self._headers.pop(dataset.SOPInstanceUID, None)

    def keep_last(self, instances: int) -> None:
        """Archive the oldest away, so that a long run needs no more memory and time than a short one."""
        with self._lock:
            for uid in list(self._stored)[:-instances]:
                del self._stored[uid]
                self._headers.pop(uid, None)

    def stored(self, **wanted: str) -> list[pydicom.Dataset]:
        """What the archive holds, whole; filter by attribute, as in `stored(Modality="SEG")`."""
        with self._lock:
            contents = list(self._stored.values())
        datasets = [pydicom.dcmread(BytesIO(content)) for content in contents]
        return [ds for ds in datasets if all(str(ds.get(key, "")) == value for key, value in wanted.items())]

    def attempts_for(self, sop_instance_uid: str) -> list[Attempt]:
        """Every attempt to store one instance, in order."""
        return [attempt for attempt in self.attempts if attempt.sop_instance_uid == sop_instance_uid]

    def _store(self, event: Event) -> int:
        request = event.request
        encoded = event.encoded_dataset()
        attempt = self._note(
            str(request.AffectedSOPInstanceUID),
            str(request.AffectedSOPClassUID),
            event.assoc.requestor.ae_title.strip(),
            hashlib.sha256(event.encoded_dataset(include_meta=False)).hexdigest(),
        )
        fault = self.plan(attempt)
        if isinstance(fault, Refuse):
            return fault.status
        if isinstance(fault, Lose):
            return 0x0000
        if isinstance(fault, AnswerToAnother):
            _say(event, 0x0000, (event.request.MessageID - 2) % 65535 + 1)
            return 0x0110
        if isinstance(fault, Cut) and not fault.keep:
            _cut(event)
            return 0xC000  # nobody hears it
        self._keep(attempt, encoded)
        if isinstance(fault, Cut):
            _cut(event)
        elif isinstance(fault, Silence):
            time.sleep(fault.seconds)
        elif isinstance(fault, Answer):
            for _ in range(fault.times - 1):
                _say(event, fault.status, event.request.MessageID)
            return fault.status
        return 0x0000

    def _note(self, uid: str, sop_class: str, calling: str, digest: str) -> Attempt:
        with self._lock:
            self._numbers[uid] += 1
            attempt = Attempt(
                number=self._numbers[uid],
                sop_instance_uid=uid,
                sop_class_uid=sop_class,
                calling_ae=calling,
                digest=digest,
                received_at=datetime.now(UTC),
            )
            self.attempts.append(attempt)
        return attempt

    def _keep(self, attempt: Attempt, encoded: bytes) -> None:
        with self._lock:
            if any(
                earlier.digest != attempt.digest
                for earlier in self.attempts
                if earlier.sop_instance_uid == attempt.sop_instance_uid
            ):
                self.conflicts.append(attempt.sop_instance_uid)
            self._stored[attempt.sop_instance_uid] = encoded
            self._headers.pop(attempt.sop_instance_uid, None)

    def _find(self, event: Event) -> Iterator[tuple[int, pydicom.Dataset | None]]:
        """Study root C-FIND at STUDY, SERIES and IMAGE level (PS3.4 C.4.1): exact values, lists of UIDs."""
        identifier = event.identifier
        with self._lock:
            self.find_requests.append(identifier)
            for uid in self._stored.keys() - self._headers.keys():
                self._headers[uid] = pydicom.dcmread(BytesIO(self._stored[uid]), stop_before_pixels=True)
            headers = [self._headers[uid] for uid in self._stored]
        matching = [header for header in headers if _matches(header, identifier)]
        for group in _grouped(matching, identifier.QueryRetrieveLevel):
            yield 0xFF00, _answer(group, identifier)
        yield 0x0000, None


_LEVEL_KEY = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def _matches(header: pydicom.Dataset, identifier: pydicom.Dataset) -> bool:
    for element in identifier:
        if element.keyword == "QueryRetrieveLevel" or element.keyword not in header or element.is_empty:
            continue
        wanted = [str(part) for part in element.value] if element.VM > 1 else [str(element.value)]
        if str(header[element.keyword].value) not in wanted:
            return False
    return True


def _grouped(headers: list[pydicom.Dataset], level: str) -> list[list[pydicom.Dataset]]:
    groups: defaultdict[str, list[pydicom.Dataset]] = defaultdict(list)
    for header in headers:
        groups[header[_LEVEL_KEY[level]].value].append(header)
    return list(groups.values())


def _answer(group: list[pydicom.Dataset], identifier: pydicom.Dataset) -> pydicom.Dataset:
    """One response: the asked attributes of the first instance, and the counts of PS3.4 C.3.4."""
    counts = {
        "NumberOfStudyRelatedInstances": len(group),
        "NumberOfSeriesRelatedInstances": len(group),
        "NumberOfStudyRelatedSeries": len({header.SeriesInstanceUID for header in group}),
    }
    answer = pydicom.Dataset()
    answer.QueryRetrieveLevel = identifier.QueryRetrieveLevel
    if "SpecificCharacterSet" in group[0]:
        answer.SpecificCharacterSet = group[0].SpecificCharacterSet
    for element in identifier:
        if element.keyword in counts:
            setattr(answer, element.keyword, counts[element.keyword])
        elif element.keyword in group[0]:
            answer[element.keyword] = group[0][element.keyword]
    return answer


def _say(event: Event, status: int, message_id: int) -> None:
    """A C-STORE response besides the one that pynetdicom sends."""
    answer = C_STORE()
    answer.MessageIDBeingRespondedTo = message_id
    answer.AffectedSOPClassUID = event.request.AffectedSOPClassUID
    answer.AffectedSOPInstanceUID = event.request.AffectedSOPInstanceUID
    answer.Status = status
    event.assoc.dimse.send_msg(answer, event.context.context_id)


def _cut(event: Event) -> None:
    event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)


def _at_once(event: Event) -> None:
    """Answer without Nagle's 40 ms, or the PACS is what a test measures."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
