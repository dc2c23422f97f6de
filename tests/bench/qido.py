"""How long a search among 10^5 studies takes: what viewers and worklists ask, over HTTP, by the code that answers them.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/qido.py

The database (SQLite, or an empty one that `--url` names) is filled with studies of a few images; the newest ones have
300, so that counting them costs what it does in a hospital. Each question is asked many times with other values. Writes
qido.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from fastapi.testclient import TestClient  # noqa: E402
from sqlalchemy import insert  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.listed import open_application  # noqa: E402
from support.steady import percentile  # noqa: E402

from radnode.node.alarms import Alarms  # noqa: E402
from radnode.node.dicomweb_out.web import DicomWebOut  # noqa: E402
from radnode.storage.database import Database  # noqa: E402
from radnode.storage.files import FileStore  # noqa: E402
from radnode.storage.listing import name_key  # noqa: E402
from radnode.storage.listing_tables import ListedInstanceRow, ListedSeriesRow, ListedStudyRow  # noqa: E402
from radnode.storage.tables import InstanceRow, SeriesRow, StudyRow  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST_DAY, DAYS = date(2020, 1, 1), 2000
NEWEST, IMAGES_OF_THE_NEWEST, IMAGES = 300, 300, 3
NAMES = ("Meier", "Müller", "Schmidt", "Rossi", "Garcia", "Nguyen", "Kowalski", "Ivanov", "Yamada", "Smith", "Dubois")
GIVEN = ("Anna", "Bruno", "Carla", "David", "Emma", "Felix", "Greta", "Hugo", "Irene", "Jonas")
MODALITIES = ("CT", "CT", "MR", "CR", "DX", "MG", "US")
TABLES = (StudyRow, SeriesRow, InstanceRow, ListedStudyRow, ListedSeriesRow, ListedInstanceRow)
AT_ONCE = 2000


def day(number: int, studies: int) -> str:
    """The date of a study: they come evenly over the years."""
    return f"{FIRST_DAY + timedelta(days=number * DAYS // studies):%Y%m%d}"


def fill(database: Database, studies: int) -> None:
    """Studies 1 to n, two series each."""
    for first in range(1, studies + 1, AT_ONCE):
        rows: dict[type, list[dict[str, Any]]] = {table: [] for table in TABLES}
        for number in range(first, min(first + AT_ONCE, studies + 1)):
            _study(rows, number, studies)
        with database.begin() as session:
            for table, values in rows.items():
                session.execute(insert(table), values)
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


def _study(rows: dict[type, list[dict[str, Any]]], number: int, studies: int) -> None:
    person = f"{NAMES[number % len(NAMES)]}{number // 40}^{GIVEN[number % len(GIVEN)]}"
    said = {"PatientName": person, "PatientID": f"P{number // 3:07d}", "StudyDate": day(number, studies),
            "StudyTime": f"{number % 24:02d}1500", "AccessionNumber": f"A{number:08d}", "PatientSex": "O",
            "StudyDescription": f"Examination {number % 50}", "PatientBirthDate": "19600101"}  # fmt: skip
    uid = f"1.2.5.{number}"
    rows[StudyRow].append({"id": number, "study_instance_uid": uid, "patient_id": said["PatientID"], "conflict": "",
                           "first_received_at": NOW, "last_received_at": NOW})  # fmt: skip
    rows[ListedStudyRow].append({
        "study_id": number, "study_instance_uid": uid, "patient_id": said["PatientID"],
        "patient_name": name_key(person), "patient_birth_date": "19600101", "patient_sex": "O",
        "study_date": said["StudyDate"], "study_time": said["StudyTime"], "accession_number": said["AccessionNumber"],
        "study_name": "", "description": said["StudyDescription"], "referring": "", "attributes": said,
    })
    images = IMAGES_OF_THE_NEWEST if number > studies - NEWEST else IMAGES
    for series in (2 * number, 2 * number + 1):
        _series(rows, number, series, images if series % 2 == 0 else 1)


def _series(rows: dict[type, list[dict[str, Any]]], study: int, series: int, images: int) -> None:
    modality = MODALITIES[study % len(MODALITIES)] if series % 2 == 0 else "SEG"
    uid = f"1.2.4.{series}"
    rows[SeriesRow].append({
        "id": series, "study_id": study, "series_instance_uid": uid, "source": "PACS", "state": "CLOSED", "revision": 1,
        "received": images, "reason": "", "grounds": [], "first_received_at": NOW, "last_received_at": NOW,
    })
    rows[ListedSeriesRow].append({
        "id": series, "study_id": study, "series_instance_uid": uid, "modality": modality, "number": series % 2,
        "description": "", "body_part": "", "performed_date": "", "performed_time": "",
        "attributes": {"Modality": modality, "SeriesNumber": series % 2},
    })
    for image in range(images):
        number = series * 1000 + image
        both = {"id": number, "series_id": series, "sop_instance_uid": f"1.2.3.{number}", "sop_class_uid": "1.2.840",
                "transfer_syntax_uid": "1.2.840.10008.1.2.1", "digest": f"{number:064x}", "size_bytes": 1}
        rows[InstanceRow].append({**both, "source": "PACS", "association": "a", "received_at": NOW, "receptions": 1,
                                  "state": "PROCESSED", "reason": "", "indexed": True})
        rows[ListedInstanceRow].append({**both, "number": image, "instance_id": number, "result_object_id": None,
                                        "attributes": {"InstanceNumber": image, "Rows": 512, "Columns": 512}})


def questions(studies: int) -> dict[str, Callable[[random.Random], str]]:
    """What is asked, by name; each makes another value of the random numbers."""
    ohif = "limit=101&offset=0&fuzzymatching=false&includefield=00081030,00080060"

    def study(numbers: random.Random) -> int:
        return numbers.randrange(1, studies)

    return {
        "first page of OHIF's list": lambda _: f"studies?{ohif}",
        "a later page": lambda n: f"studies?limit=25&offset={n.randrange(0, 2000)}",
        "a patient ID": lambda n: f"studies?PatientID=P{study(n) // 3:07d}",
        "an accession number": lambda n: f"studies?AccessionNumber=A{study(n):08d}",
        "a name with a star": lambda n: f"studies?PatientName={n.choice(NAMES)}{study(n) // 40}*&{ohif}",
        "a part of a name": lambda n: f"studies?PatientName=*{n.choice(NAMES)[1:]}{study(n) // 40}*&{ohif}",
        "a name of nobody": lambda _: f"studies?PatientName=*nobody*&{ohif}",
        "a part of an ID": lambda n: f"studies?PatientID=*{study(n) // 3:05d}*&{ohif}",
        "a day": lambda n: f"studies?StudyDate={day(study(n), studies)}",
        "a month and a modality": lambda n: _month(n, studies),
        "series of a study": lambda n: f"studies/1.2.5.{study(n)}/series",
        "a modality": lambda _: "studies?ModalitiesInStudy=MG&limit=101",
        "images of a series": lambda n: _images(study(n)),
        "300 images of a series": lambda n: _images(studies - n.randrange(NEWEST)),
    }


def _images(study: int) -> str:
    return f"studies/1.2.5.{study}/series/1.2.4.{2 * study}/instances"


def _month(numbers: random.Random, studies: int) -> str:
    first = day(numbers.randrange(1, studies), studies)
    return f"studies?StudyDate={first[:6]}01-{first[:6]}31&ModalitiesInStudy=MR&limit=101"


def measure(client: TestClient, studies: int, times: int) -> Iterator[tuple[str, list[float], int]]:
    """For each question its name, the seconds of each answer and the matches of the last."""
    numbers = random.Random(1)
    for name, ask in questions(studies).items():
        taken, matches = [], 0
        for _ in range(times):
            address = f"/dicom-web/{ask(numbers)}"
            began = time.perf_counter()
            answer = client.get(address)
            taken.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.text
            matches = len(answer.json())
        yield name, taken, matches


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=60, help="of each question")
    parser.add_argument("--url", help="of an empty database")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="radnode-qido-", dir="/var/tmp") as folder:
        database = Database(asked.url or f"sqlite:///{folder}/radnode.db")
        database.upgrade()
        fill(database, asked.studies)
        store = FileStore(Path(folder) / "data", 0)
        web = DicomWebOut(database=database, store=store, alarms=Alarms(lambda: NOW, lambda: None))
        client = TestClient(web.mount(open_application(), []))
        figures, every = {}, []
        for name, taken, matches in measure(client, asked.studies, asked.times):
            every += taken
            figures[name] = {"p50_ms": round(median(taken) * 1e3, 1), "p95_ms": round(percentile(taken, 0.95) * 1e3, 1),
                             "matches": matches}
            print(f"{name:28} {figures[name]}", flush=True)
        web.close()
        database.close()
    p95 = round(percentile(every, 0.95) * 1e3, 1)
    write_down("qido", studies=asked.studies, database="postgresql" if asked.url else "sqlite", p95_ms=p95, **figures)
    print(json.dumps({"p95_ms": p95}))


if __name__ == "__main__":
    main()
