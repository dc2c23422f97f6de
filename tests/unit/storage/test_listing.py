"""What DICOMweb finds: of images in good order, and of results that hold."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, update
from support import rows
from support.rows import NOW, receive, reception, result

from radnode.storage import catalog, jobs, ledger, listed_metadata, listing, listing_queries, retention
from radnode.storage.ledger import InstanceState
from radnode.storage.listed_metadata import Metadata
from radnode.storage.listing_queries import Criterion, Level
from radnode.storage.tables import WITHHELD, InstanceRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.storage.database import Database
    from radnode.storage.listing_queries import Found

CT = {"Modality": "CT", "SeriesNumber": 2, "InstanceNumber": 1, "Rows": 4}


def take(database: Database, number: int = 1, *, study: int = 1, series: int = 1, **header: Any) -> int:
    """An image whose header was read."""
    recorded = receive(database, reception(number, study=study, series=series))
    with database.begin() as session:
        catalog.store_headers(session, [(recorded[0].instance_id, {**CT, "PatientID": "P1", **header})])
    return recorded[0].instance_id


def find(database: Database, level: Level = Level.INSTANCES, *, limit: int = 100, offset: int = 0, **wanted: str
         ) -> list[Found]:
    """What matches single values, as `question` makes them of a query."""
    criteria = [Criterion(keyword=keyword, values=tuple(value.split("|"))) for keyword, value in wanted.items()]
    with database.read() as session:
        return listing_queries.find(session, level, criteria, limit=limit, offset=offset)


def uids(found: Sequence[Found]) -> list[str]:
    return [each.instance.sop_instance_uid for each in found if each.instance]


def test_an_image_is_found_once_its_header_was_read(database: Database) -> None:
    receive(database, reception(1))
    assert find(database) == []
    take(database, 1, StudyDescription="Thorax")
    assert uids(find(database, StudyInstanceUID="1.2.5.1")) == ["1.2.3.1"]
    study = find(database, Level.STUDIES)[0].study
    assert (study.series, study.instances, study.modalities) == (1, 1, ("CT",))
    assert study.attributes["StudyDescription"] == "Thorax"


@pytest.mark.parametrize("state", [InstanceState.QUARANTINED, InstanceState.CONFLICT])
def test_an_image_in_quarantine_or_in_conflict_is_not_found_and_counted_as_withheld(
    database: Database, state: InstanceState
) -> None:
    first, _ = take(database, 1), take(database, 2)
    with database.begin() as session:
        assert ledger.move(session, [first], state, reason="", now=NOW) == 1
    assert uids(find(database)) == ["1.2.3.2"]
    assert find(database, Level.STUDIES)[0].study.instances == 1
    with database.read() as session:
        assert listing_queries.withheld(session, "1.2.5.1") == 1


def test_what_is_counted_of_a_series_is_what_is_found_of_it_whatever_became_of_its_images(database: Database) -> None:
    produced(database)
    list_results(database)
    images = [take(database, number, series=7) for number in range(11, 15)]
    for image, state in zip(images, (InstanceState.QUARANTINED, InstanceState.CONFLICT, InstanceState.EXPIRED),
                            strict=False):
        with database.begin() as session:
            session.execute(update(InstanceRow).where(InstanceRow.id == image).values(state=state))
    take(database, 21, series=8)
    with database.begin() as session:
        session.execute(update(InstanceRow).where(InstanceRow.sop_instance_uid == "1.2.3.21").values(state="CONFLICT"))
    found = find(database)
    (study,) = [each.study for each in find(database, Level.STUDIES)]
    of_series = {each.series.series_instance_uid: each.series.instances
                 for each in find(database, Level.SERIES) if each.series}
    assert of_series["1.2.4.7"] == 1
    assert "1.2.4.8" not in of_series
    assert of_series == Counter(each.series.series_instance_uid for each in found if each.series)
    assert (study.instances, study.series) == (len(found), len(of_series))


def test_what_is_withheld_is_looked_for_in_an_index_that_has_nothing_else(database: Database) -> None:
    if database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL reads a table of no rows as a whole")
    take(database)
    asked: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda *said: asked.append((said[2], said[3])))
    find(database, Level.STUDIES)
    with database.read() as session:
        listing_queries.withheld(session, "1.2.5.1")
        of_images = [(statement, values) for statement, values in asked if "'QUARANTINED'" in statement]
        plans = [" ".join(str(row[3]) for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}",
                                                                                    values))
                 for statement, values in of_images]
    assert len(plans) == 2
    assert all("instances USING INDEX ix_instances_withheld (series_id=?)" in plan for plan in plans), plans


def test_every_state_of_an_image_is_either_served_or_in_the_index_of_what_is_not() -> None:
    withheld = set(re.findall(r"'(\w+)'", WITHHELD))
    assert set(listing.SERVED) == set(InstanceState) - withheld


def test_other_content_under_a_known_uid_is_never_found(database: Database) -> None:
    take(database, 1)
    recorded = receive(database, reception(1, content="edited"))
    with database.begin() as session:
        catalog.store_headers(session, [(recorded[0].instance_id, CT)])
    assert [each.instance.digest for each in find(database) if each.instance] == [reception(1).digest]


def produced(database: Database) -> None:
    rows.job_over(database, 1)
    with database.begin() as session:
        catalog.store_headers(session, [(each.instance_id, CT) for each in catalog.unindexed(session, 9)])
    rows.produce(database, rows.must_lease(database), result("1.9.1"))
    list_results(database)


def list_results(database: Database) -> None:
    with database.begin() as session:
        for each in listing.unlisted_results(session, 0, 10):
            study = listing.list_result(session, each.result_object_id, {"Modality": "SEG", "InstanceNumber": 1})
            assert study == "1.2.5.1"


def test_a_result_is_found_in_the_study_of_its_images_as_long_as_it_holds(database: Database) -> None:
    produced(database)
    study = find(database, Level.STUDIES)[0].study
    assert (study.series, study.modalities) == (2, ("CT", "SEG"))
    found = find(database, StudyInstanceUID="1.2.5.1", Modality="SEG")
    assert [(each.instance.sop_instance_uid, each.instance.is_result) for each in found if each.instance] == [
        ("1.9.1", True)
    ]
    with database.begin() as session:
        session.get_one(JobRow, 1).state = "SUPERSEDED"
    assert uids(find(database, StudyInstanceUID="1.2.5.1")) == ["1.2.3.1"]


def test_a_note_that_a_study_was_not_read_is_found_until_it_was_read(database: Database) -> None:
    take(database, 1)
    series = rows.close_all(database)[0]
    for revision, key in ((1, "first"), (2, "second")):
        rows.insert_job(database, rows.new_job(key, [1], series=series, revision=revision))
        job = rows.must_lease(database)
        if revision == 1:
            note = replace(result("1.9.7"), name="NOT-PROCESSED", form="NOT-PROCESSED")
            with database.begin() as session:
                jobs.not_processed(session, job.job_id, job.token, "no lung", {}, NOW, objects=[note])
        else:
            rows.produce(database, job, result("1.9.8"))
        list_results(database)
        results = [each.instance for each in find(database) if each.instance and each.instance.is_result]
        assert [each.sop_instance_uid for each in results] == [f"1.9.{6 + revision}"]


def test_a_message_is_no_instance(database: Database) -> None:
    take(database, 1)
    rows.insert_job(database, rows.new_job("job", [1], series=rows.close_all(database)[0]))
    rows.produce(database, rows.must_lease(database), replace(result("1.9.1"), form="ORU", sop_class_uid=""))
    with database.read() as session:
        assert listing.unlisted_results(session, 0, 10) == []


def test_a_result_that_came_back_is_found_once_with_the_bytes_that_were_recorded(database: Database) -> None:
    produced(database)
    recorded = receive(database, reception(7))
    with database.begin() as session:
        session.execute(
            listing.InstanceRow.__table__.update().where(listing.InstanceRow.id == recorded[0].instance_id)
            .values(sop_instance_uid="1.9.1")
        )
        session.execute(
            listing.SeriesRow.__table__.update().where(listing.SeriesRow.id == recorded[0].series_id)
            .values(series_instance_uid="1.2.9")
        )
    with database.begin() as session:
        catalog.store_headers(session, [(recorded[0].instance_id, CT)])
    found = [each.instance for each in find(database, SOPInstanceUID="1.9.1") if each.instance]
    assert [(each.is_result, each.digest) for each in found] == [(True, rows.digest_of("1.9.1"))]


def test_a_study_whose_images_expired_is_gone_and_its_results_with_it(database: Database) -> None:
    produced(database)
    with database.begin() as session:
        retention.let_go(session, [1], "retention", NOW)
    list_results(database)
    assert [find(database, level) for level in Level] == [[], [], []]


def test_a_later_image_says_what_an_earlier_one_did_not_and_overrules_nothing(database: Database) -> None:
    take(database, 1, PatientName="Doe^Jane")
    take(database, 2, PatientName="Doe^John", StudyDescription="Thorax")
    study = find(database, Level.STUDIES)[0].study
    assert (study.attributes["PatientName"], study.attributes["StudyDescription"]) == ("Doe^Jane", "Thorax")


STUDIES = (
    {"PatientName": "Doe^Jane", "PatientID": "A_1", "StudyDate": "20260105", "StudyTime": "093015.5"},
    {"PatientName": "DOE^JOHN^^^", "PatientID": "A%1", "StudyDate": "20260110", "StudyTime": "1000"},
    {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "PatientID": "[x]", "StudyDate": "20251231"},
    {"PatientName": "Müller^Ö", "PatientID": "a_1", "StudyDescription": "CT chest"},
)


@pytest.mark.parametrize(
    ("keyword", "value", "found"),
    [
        ("PatientName", "doe^jane", "1"), ("PatientName", "doe*", "12"), ("PatientName", "*JO*", "2"),
        ("PatientName", "doe^john", "2"), ("PatientName", "doe", ""), ("PatientName", "d?e^j*", "12"),
        ("PatientName", "山田*", "3"), ("PatientName", "MÜLLER*", "4"), ("PatientName", "yamada^tarou=山田*", "3"),
        ("PatientID", "A_1", "1"), ("PatientID", "A?1", "12"), ("PatientID", "A%*", "2"), ("PatientID", "[x]*", "3"),
        ("PatientID", "?x?", "3"), ("PatientID", "a*", "4"), ("PatientID", "*_1", "14"), ("PatientID", "x", ""),
        ("StudyDate", "20260101|20260106", "1"), ("StudyDate", "20260105|", "12"), ("StudyDate", "|20260105", "13"),
        ("StudyTime", "0930|0930", "1"), ("StudyTime", "0930|1000", "12"), ("StudyTime", "1000|", "2"),
        ("StudyDescription", "*chest", "4"), ("ModalitiesInStudy", "CT", "1234"), ("ModalitiesInStudy", "M*", ""),
        ("StudyInstanceUID", "1.2.5.2|1.2.5.4", "24"), ("SOPClassesInStudy", "1.2.840.10008.5.1.4.1.1.2", "1234"),
    ],
)
def test_studies_match_as_the_standard_says_on_either_database(
    database: Database, keyword: str, value: str, found: str
) -> None:
    for number, header in enumerate(STUDIES, start=1):
        take(database, number, study=number, series=number, **header)
    matched = {each.study.study_instance_uid[-1] for each in find(database, Level.STUDIES, **{keyword: value})}
    assert matched == set(found)


def test_pages_follow_each_other_without_a_gap_and_the_newest_study_comes_first(database: Database) -> None:
    for number in range(1, 8):
        take(database, number, study=number, series=number, StudyDate=f"2026010{number}")
    pages = [find(database, Level.STUDIES, limit=3, offset=offset) for offset in (0, 3, 6)]
    assert [[each.study.study_instance_uid[-1] for each in page] for page in pages] == [
        ["7", "6", "5"], ["4", "3", "2"], ["1"],
    ]


def test_images_of_a_series_come_by_their_number(database: Database) -> None:
    for number in (1, 2, 3):
        take(database, number, InstanceNumber=20 - number)
    assert uids(find(database, StudyInstanceUID="1.2.5.1")) == ["1.2.3.3", "1.2.3.2", "1.2.3.1"]


def test_a_kept_header_is_that_of_the_same_bytes_and_goes_with_the_image(database: Database) -> None:
    number = take(database, 1)
    instance = find(database)[0].instance
    assert instance is not None
    with database.begin() as session:
        listed_metadata.keep(session, [(instance, Metadata(document=b"{}", layout=None))])
        assert listed_metadata.kept(session, [instance])[instance.id].document == b"{}"
        session.execute(listing.ListedInstanceRow.__table__.update().values(digest="other"))
    changed = find(database)[0].instance
    assert changed is not None
    with database.begin() as session:
        assert listed_metadata.kept(session, [changed]) == {}
        retention.let_go(session, [number], "retention", NOW)
        listed_metadata.keep(session, [(instance, Metadata(document=b"{}", layout=None))])
        assert listed_metadata.kept(session, [instance]) == {}


def test_images_of_before_the_list_was_kept_are_listed_later(database: Database) -> None:
    number = take(database, 1)
    with database.begin() as session:
        listing.forget(session, [number])
    assert find(database) == []
    with database.begin() as session:
        unlisted = listing.unlisted_received(session, 0, 10)
        headers = {each: header for each, header in unlisted if header is not None}
        listing.enter(session, listing.received(session, headers), headers)
    assert uids(find(database)) == ["1.2.3.1"]
