"""What the query of a search asks for."""

from __future__ import annotations

import pytest

from radnode.node.dicomweb_out.matching import BadQuery, included, question
from radnode.storage.listing_queries import Criterion, Level


def criteria(level: Level = Level.STUDIES, **parameters: str) -> tuple[Criterion, ...]:
    return question(level, parameters.items(), {}).criteria


@pytest.mark.parametrize(
    ("name", "value", "keyword", "values"),
    [
        ("PatientName", "doe*", "PatientName", ("doe*",)),
        ("00100010", "doe*", "PatientName", ("doe*",)),
        ("StudyDate", "20260101-20260131", "StudyDate", ("20260101", "20260131")),
        ("StudyDate", "20260101-", "StudyDate", ("20260101", "")),
        ("StudyDate", "20260101", "StudyDate", ("20260101", "20260101")),
        ("StudyTime", "-0930", "StudyTime", ("", "0930")),
        ("StudyInstanceUID", "1.2,1.3", "StudyInstanceUID", ("1.2", "1.3")),
        ("StudyInstanceUID", "1.2\\1.3", "StudyInstanceUID", ("1.2", "1.3")),
    ],
)
def test_an_attribute_is_named_by_keyword_or_tag(name: str, value: str, keyword: str, values: tuple[str, ...]) -> None:
    assert criteria(**{name: value}) == (Criterion(keyword=keyword, values=values),)


@pytest.mark.parametrize("value", ["", "*", "**", " "])
def test_nothing_and_a_star_match_everything(value: str) -> None:
    assert criteria(PatientName=value, PatientID=value) == ()


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"PatentName": "doe"}, "no attribute"),
        ({"StudyDate": "2026-01-01"}, "20260131"),
        ({"StudyDate": "-"}, "20260131"),
        ({"StudyInstanceUID": "1.2*"}, "UIDs"),
        ({"limit": "-1"}, "limit"),
        ({"offset": "ten"}, "offset"),
        ({"fuzzymatching": "yes"}, "true or false"),
        ({"PatientName": "x" * 300}, "256"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_would_be_right(parameters: dict[str, str], why: str) -> None:
    with pytest.raises(BadQuery, match=why):
        criteria(**parameters)


def test_what_is_not_matched_is_said() -> None:
    asked = question(Level.STUDIES, [("PatientAge", "070Y"), ("Modality", "CT"), ("fuzzymatching", "true")], {})
    assert asked.criteria == ()
    assert any("PatientAge" in each and "Modality" in each for each in asked.warnings)
    assert any("Only literal matching" in each for each in asked.warnings)


def test_a_search_for_series_matches_attributes_of_the_study_too() -> None:
    found = criteria(Level.SERIES, PatientID="1", Modality="CT", InstanceNumber="3")
    assert [each.keyword for each in found] == ["PatientID", "Modality"]


def test_included_fields_are_keywords_and_tags_and_all_is_all() -> None:
    assert included([("includefield", "00081030,PatientAge"), ("includefield", "00080060")]) == {
        "StudyDescription", "PatientAge", "Modality",
    }
    assert included([("includefield", "all")]) is None
    with pytest.raises(BadQuery):
        included([("includefield", "Everything")])
