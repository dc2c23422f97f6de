"""A node's DICOMweb without a node: a database, a file store and the application, filled by what a test puts in."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pydicom
from fastapi import FastAPI
from fastapi.testclient import TestClient

from radnode.node.alarms import Alarms
from radnode.node.dicomweb_out.web import DicomWebOut
from radnode.node.header_process import read_attributes
from radnode.storage import catalog, receptions
from radnode.storage.database import Database
from radnode.storage.files import FileStore
from radnode.storage.receptions import Reception
from radnode.storage.results import NewResultObject
from support import rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydicom import Dataset

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Held:
    """What a node holds, and its DICOMweb: `client` asks it."""

    def __init__(self, folder: Path, origins: Sequence[str] = ()) -> None:
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.store = FileStore(folder / "data", 0)
        self.web = DicomWebOut(database=self.database, store=self.store, alarms=Alarms(lambda: NOW, lambda: None))
        self.client = TestClient(self.web.mount(open_application(), origins), base_url="http://node")

    def receive(self, *paths: Path) -> list[int]:
        """Files as a source sends them, their headers read; the instances' ids."""
        return [self._receive(path) for path in paths]

    def _receive(self, path: Path) -> int:
        digest, header = self.keep(path, "instances"), pydicom.dcmread(path, stop_before_pixels=True)
        reception = Reception(
            sop_instance_uid=header.SOPInstanceUID, sop_class_uid=header.SOPClassUID,
            series_instance_uid=header.SeriesInstanceUID, study_instance_uid=header.StudyInstanceUID,
            patient_id=str(header.PatientID), transfer_syntax_uid=header.file_meta.TransferSyntaxUID, digest=digest,
            size_bytes=path.stat().st_size, source="PACS", association="a1", received_at=NOW,
        )
        with self.database.transact() as connection:
            number = receptions.record(connection, [reception])[0].instance_id
        with self.database.begin() as session:
            catalog.store_headers(session, [(number, read_attributes(str(path)))])
        return number

    def keep(self, path: Path, area: Any) -> str:
        """The bytes of a file, under their digest."""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        spooled = self.store.new_spool_path()
        shutil.copyfile(path, spooled)
        self.store.keep(spooled, digest, area)
        return digest

    def produce(self, *results: Path, shadow: bool = False) -> None:
        """A job over the only open series ends with these result objects, which are listed then, unless in shadow."""
        series = rows.close_all(self.database)[0]
        with self.database.read() as session:
            inputs = [each.instance_id for each in catalog.headers(session, series.series_id)]
        rows.insert_job(self.database, rows.new_job("job", inputs, series=series, shadow=shadow))
        objects = [self._result(order, path) for order, path in enumerate(results)]
        rows.produce(self.database, rows.must_lease(self.database), *objects)
        while self.web.activity._step():
            pass

    def _result(self, order: int, path: Path) -> NewResultObject:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        return NewResultObject(
            name=rows.FORMS[order], form=rows.FORMS[order], order=order, sop_class_uid=header.SOPClassUID,
            sop_instance_uid=header.SOPInstanceUID, series_instance_uid=header.SeriesInstanceUID,
            transfer_syntax_uid=header.file_meta.TransferSyntaxUID, digest=self.keep(path, "results"),
            size_bytes=path.stat().st_size, references=[],
        )

    def close(self) -> None:
        """End processes and connections."""
        self.web.close()
        self.database.close()


def open_application() -> FastAPI:
    """One that lets everybody do everything: who may is another test's matter."""
    app = FastAPI()
    app.state.permits = lambda _request, _permission: None
    return app


@contextmanager
def held(folder: Path, origins: Sequence[str] = ()) -> Iterator[Held]:
    """A :class:`Held` in an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Held(folder, origins)
    try:
        yield found
    finally:
        found.close()


def resource(image: Dataset) -> str:
    """Where an instance is retrieved."""
    return (f"/dicom-web/studies/{image.StudyInstanceUID}/series/{image.SeriesInstanceUID}"
            f"/instances/{image.SOPInstanceUID}")


def parts(response: Any) -> list[tuple[str, bytes]]:
    """The parts of a multipart/related answer: Content-Type and bytes. AssertionError when it is none, or cut."""
    kind = response.headers["content-type"]
    assert kind.startswith("multipart/related;"), kind
    boundary = b"--" + kind.rpartition("boundary=")[2].encode()
    head, *found, tail = response.content.split(boundary)
    assert (head, tail) == (b"", b"--\r\n")
    split = [each[2:-2].partition(b"\r\n\r\n") for each in found]
    return [
        (next(line[14:] for line in fields.decode().split("\r\n") if line.startswith("Content-Type: ")), body)
        for fields, _, body in split
    ]
