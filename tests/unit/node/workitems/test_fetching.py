"""What an order names and is not here is wanted of a configured archive, once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from pydicom import Dataset

from radnode.config.loading import parse
from radnode.node.workitems.fetching import InputFetcher, archive_of
from radnode.storage import fetches
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIGURATION = parse("""
peers:
  PACS: {ae_title: ARCHIVE1, host: pacs, port: 104, sends: true}
archives:
  PACS: {}
  WEB: {dicomweb: {url: "https://web.hospital.example/dicom-web"}}
""", "a.yaml")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'radnode.db'}")
    made.upgrade()
    yield made
    made.close()


def named(*, title: str = "", url: str = "") -> Dataset:
    """An item of an Input Information Sequence."""
    item, place = Dataset(), Dataset()
    if title:
        place.RetrieveAETitle = title
        item.DICOMRetrievalSequence = [place]
    if url:
        place.RetrieveURL = url
        item.WADORSRetrievalSequence = [place]
    return item


@pytest.mark.parametrize(("item", "archive"), [
    (named(title="ARCHIVE1"), "PACS"),
    (named(title="PACS"), None),
    (named(title="STRANGER"), None),
    (named(url="https://web.hospital.example/dicom-web/studies/1.2.3"), "WEB"),
    (named(url="https://web.hospital.example/dicom-web-of-others/studies/1.2.3"), None),
    (named(url="https://elsewhere.example/dicom-web/studies/1.2.3"), None),
    (named(), None),
])
def test_the_archive_is_a_configured_one_or_none(item: Dataset, archive: str | None) -> None:
    assert archive_of([item], CONFIGURATION) == archive


def test_a_study_is_wanted_once_however_often_it_is_lacking(database: Database) -> None:
    fetch = InputFetcher(database, lambda: CONFIGURATION, lambda: NOW)
    for _ in range(3):
        fetch("1.2.3", [named(title="ARCHIVE1")])
    fetch("1.2.4", [named(title="STRANGER")])
    with database.read() as session:
        (wanted,) = fetches.shown(session)
    assert (wanted["archive"], wanted["study_instance_uid"], wanted["state"]) == ("PACS", "1.2.3", "WAITING")
