"""A node on which much has happened: long names, every kind of connection, jobs in every state, many alarms."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from radnode.node.header_process import read_attributes
from radnode.pipelines.ct_lung.phantom import SeriesHeader, chest_phantom, write_series
from radnode.storage import catalog, fetches, outbox
from radnode.storage.database import Database
from radnode.storage.fetch_tables import FetchState
from radnode.storage.fetches import Ended, Wish
from support import dcmtk, rows, watched
from support.network import free_port
from support.node import NodeProcess, PeerEntry, archive, modality
from support.pacs import StandInPacs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIORITIES = (0, 10, 20)
"""Urgent, routine, low."""
AWAY = tuple(f"RADIOLOGY_ARCHIVE_NORTH_WING_{number}" for number in range(1, 6))
"""Destinations that do not answer, and sources that fell silent."""
PATIENT = "WOLFESCHLEGELSTEINHAUSEN^HUBERT_BLAINE"
DESCRIPTION = "THORAX_HR_NATIV_UND_KM_ARTERIELL_VENOES_MIT_REKONSTRUKTIONEN"
NESTED = {"any": [{"modality": "MR"}, {"all": [{"modality": "CT"}, {"slice_thickness": {"at_most": 3.0}}]}],
          "not": {"series_description": {"matches": "(?i)scout|topogram|localizer|dose report"}},
          "contrast_bolus_agent": {"exists": True}}
"""What no study of this node meets; it says why with groups within groups."""


def _routes() -> list[dict[str, Any]]:
    chest = {"name": "chest-ct-of-every-scanner-of-the-north-wing", "when": {"modality": "CT"}, "run": ["ct-lung"],
             "send": ["PACS", *AWAY]}
    return [
        chest,
        {"name": "nested", "when": NESTED, "run": ["ct-nodule"], "send": ["PACS"], "priority": "urgent"},
        {"name": "head", "when": {"modality": "MR"}, "run": ["mr-brain"], "send": ["PACS"], "enabled": False},
        {"name": "challenger", "when": {"modality": "CT", "image_type": {"contains": "DERIVED"}}, "run": ["ct-nodule"],
         "send": ["PACS"], "shadow": True},
        {"name": "twice", "when": {"modality": "CT", "rows": {"at_least": 512}}, "run": ["ct-lung"], "send": ["PACS"]},
    ]


def _messages() -> dict[str, Any]:
    return {
        "listen": {"port": free_port()},
        "senders": {"HIS": {"hosts": ["127.0.0.1"], "character_set": "UNICODE UTF-8"}},
        "hl7": {"RIS_OF_THE_RADIOLOGY_NORTH_WING": {"host": "127.0.0.1", "port": free_port(), "application": "RIS"}},
        "fhir": {"EHR": {"url": f"http://127.0.0.1:{free_port()}/r4"}},
    }


@contextmanager
def crowded(folder: Path) -> Iterator[NodeProcess]:
    """It runs; the newest study lacks slices, the one before it was read."""
    away = [PeerEntry(name=name, ae_title=f"ARCHIVE_NORTH_{number:02}", port=free_port(), more={
        "sends": True, "receives": True, "expect": {"every": "1 s"}}) for number, name in enumerate(AWAY, 1)]
    (folder / "import").mkdir(parents=True)
    with StandInPacs() as pacs:
        node = NodeProcess(
            folder / "node", peers=[modality(), archive(pacs.port), *away], routes=_routes(),
            more={"messaging": _messages(), "folders": [{"name": "import", "path": str(folder / "import")}],
                  "archives": {AWAY[0]: {"retrieve": "c-get"}},
                  "pulls": [{"name": "night-of-the-north-wing", "from": AWAY[0], "schedule": "0 3 * * *",
                             "window": "2 d", "modality": ["CT"], "between": "20:00-06:00", "enabled": False}],
                  "alarms": {"destination_away": "1 s", "series_held": "1 s"},
                  "backup": {"folder": str(folder / "backups"), "at": "02:30", "keep": 3}})
        _history(node)
        with node:
            _studies(node, folder)
            yield node


def _studies(node: NodeProcess, folder: Path) -> None:
    """Images come by the network."""
    whole, lacking = (write_series(chest_phantom(slices=30, size=96, seed=seed), folder / str(seed),
                                   header=SeriesHeader(patient_name=PATIENT, series_description=DESCRIPTION[:60]))
                      for seed in (7, 8))
    dcmtk.dcmsend(node.port, whole, called="RADNODE")
    dcmtk.dcmsend(node.port, lacking[:10] + lacking[12:], called="RADNODE")
    node.wait_for_states(PROCESSED=33, INCOMPLETE=28, FAILED=3, NOT_PROCESSED=3, IN_JOB=3, within=180)


def _history(node: NodeProcess) -> None:
    """Before it starts: months of figures, studies in every state, and one that an archive did not give."""
    node.data.mkdir(parents=True)
    database, now = Database(node.database_url), datetime.now(UTC)
    database.upgrade()
    try:
        watched.months(database, now, days=65, a_day=3, moved_at=20)
        (file,) = write_series(chest_phantom(slices=1, size=32, seed=1), node.folder / "header")
        header = {**read_attributes(str(file)), "PatientName": PATIENT, "StudyDescription": DESCRIPTION}
        for number in range(100, 112):
            _study(database, number, header, now - timedelta(hours=112 - number))
        with database.begin() as session:
            wish = Wish(archive=AWAY[0], study_instance_uid="1.2.3.4", wanted_by="night-of-the-north-wing")
            fetch, _ = fetches.want(session, wish, now, again=False)
            away = f"{AWAY[0]} (127.0.0.1:104) does not accept a connection"
            fetches.end(session, fetch, Ended(state=FetchState.GIVEN_UP, reason=away), now)
    finally:
        database.close()


def _study(database: Database, number: int, header: dict[str, Any], at: datetime) -> None:
    """One after the other: a job that failed, one that refused, results that were given up, jobs that wait."""
    (came,) = rows.receive(database, rows.reception(number, series=number, study=number, at=at))
    with database.begin() as session:
        catalog.store_headers(session, [(came.instance_id, {**header, "AccessionNumber": f"ACCESSION-{number:05}"})])
    (series,) = rows.close_all(database, at)
    kind = number % 4
    rows.insert_job(database, rows.new_job(
        f"{number}", [came.instance_id], series=series, pipeline="ct-lung" if kind else "liver-of-tomorrow",
        destinations=["PACS", AWAY[0]], priority=PRIORITIES[number % 3]), at)
    if kind == 1:
        rows.fail(database, rows.must_lease(database, at), "more than the memory limit of 4.0 GB", now=at)
    elif kind == 2:
        rows.refuse(database, rows.must_lease(database, at), "12 slices of one stack; ct-lung needs at least 30", at)
    elif kind == 3:
        rows.produce(database, rows.must_lease(database, at), rows.result(f"1.9.9.{number}"), now=at)
        delivery = rows.must_lease_delivery(database, now=at)
        with database.begin() as session:
            outbox.dead(session, delivery, f"{outbox.OTHER_PATIENT}: PACS has the study under another PatientID than "
                        "the result", at)
