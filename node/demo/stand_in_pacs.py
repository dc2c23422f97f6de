"""A PACS just large enough for the demonstration: it stores what it is sent, and answers C-FIND."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pynetdicom.transport import ThreadedAssociationServer

SUCCESS = 0x0000
PENDING = 0xFF00
CANNOT_UNDERSTAND = 0xC000


class StandInPacs:
    """Listens on a free loopback port. `folder` receives one file for each instance, named by a running number."""

    def __init__(self, *, ae_title: str, folder: Path) -> None:
        self.ae_title = ae_title
        self._folder = folder
        self._lock = threading.Lock()
        self._held: dict[str, Path] = {}
        self._headers: dict[str, Dataset] = {}
        self.stored_at: dict[str, float] = {}
        ae = AE(ae_title=ae_title)
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(str(context.abstract_syntax), [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        ae.add_supported_context(Verification)
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find)]
        folder.mkdir(parents=True, exist_ok=True)
        self._server = cast(
            "ThreadedAssociationServer", ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def files(self) -> list[Path]:
        """What it was sent by others, in order of arrival."""
        with self._lock:
            return list(self._held.values())

    def knows(self, headers: Sequence[Dataset]) -> None:
        """Let C-FIND answer for images that this PACS is about to forward."""
        with self._lock:
            self._headers.update({str(header.SOPInstanceUID): header for header in headers})

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        with self._lock:
            path = self._folder / f"{len(self._held) + 1:04d}.dcm"
            path.write_bytes(event.encoded_dataset())
            header = pydicom.dcmread(path, stop_before_pixels=True)
            uid = str(header.SOPInstanceUID)
            if uid in self._held:
                path.unlink()
                return SUCCESS
            self._held[uid] = path
            self._headers[uid] = header
            self.stored_at[uid] = time.monotonic()
        return SUCCESS

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        wanted = event.identifier
        with self._lock:
            matching = [
                header
                for header in self._headers.values()
                if header.StudyInstanceUID == wanted.get("StudyInstanceUID")
                and header.SeriesInstanceUID == wanted.get("SeriesInstanceUID")
                and wanted.get("SOPInstanceUID") in (None, "", header.SOPInstanceUID)
            ]
        if wanted.QueryRetrieveLevel == "SERIES":
            if matching:
                yield PENDING, _answer(matching[0], "SERIES", NumberOfSeriesRelatedInstances=len(matching))
            return
        for header in matching:
            yield PENDING, _answer(header, "IMAGE", SOPInstanceUID=header.SOPInstanceUID)


def _answer(header: Dataset, level: str, **more: object) -> Dataset:
    answer = Dataset()
    answer.QueryRetrieveLevel = level
    answer.StudyInstanceUID = header.StudyInstanceUID
    answer.SeriesInstanceUID = header.SeriesInstanceUID
    for keyword, value in more.items():
        setattr(answer, keyword, value)
    return answer

