"""A route says for every condition why it did or did not match."""

from __future__ import annotations

import json
from typing import Any

import pytest

from radnode.config.loading import parse
from radnode.node.routing import RouteExplanation, as_json, explain, matches, render, said

AXIAL = {"Modality": "CT", "SliceThickness": 1.5, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "(0019,100c)": 7,
         "(0019,xx0c,SIEMENS MR HEADER)": 7, "PatientWeight": "nan", "PatientSex": "", "ImageComments": "x" * 9999,
         "AnatomicRegionSequence": [{"CodeValue": "51185008", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Chest"}],
         }  # fmt: skip
LOCALISER = {"Modality": "CT", "SliceThickness": 10.0, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}


def route(when: str, *instances: dict[str, Any], source: str = "PACS1", more: str = "") -> RouteExplanation:
    text = f"routes:\n  - name: r\n    when: {{{when}}}\n    run: [p]\n    send: [d]\n{more}"
    return explain(parse(text, "a.yaml").routes, instances, {"source": source})[0]


@pytest.mark.parametrize(
    ("when", "outcome"),
    [
        ("modality: ct", "met"),
        ("modality: [MR, CT]", "met"),
        ("modality: MR", "not met"),
        ("slice_thickness: {at_most: 1.5}", "met"),
        ("slice_thickness: {at_least: 2}", "not met"),
        ("image_type: {contains: axial}", "met"),
        ("image_type: {matches: '^ORIG'}", "met"),
        ("source: PACS1", "met"),
        ("'(0019,100c)': 7", "met"),
        ("body_part: CHEST", "unknown"),
        ("not: {body_part: CHEST}", "unknown"),
        ("not: {modality: MR}", "met"),
        ("body_part: {exists: false}", "met"),
        ("any: [{modality: MR}, {modality: CT}]", "met"),
        ("any: [{modality: MR}, {body_part: CHEST}]", "unknown"),
        ("all: [{modality: MR}, {body_part: CHEST}]", "not met"),
        ("modality: {at_most: 3}", "unknown"),
        ("'(0019,xx0c,SIEMENS MR HEADER)': 7", "met"),
        ("'(0019,100C, SIEMENS MR HEADER)': 7", "met"),
        ("'(0019,xx0c,OTHER)': 7", "unknown"),
        ("patient_weight: {at_least: 1}", "unknown"),
        ("not: {patient_weight: {at_least: 1}}", "unknown"),
        ("image_comments: {matches: '^x'}", "unknown"),
        ("image_comments: {contains: X}", "met"),
        ("anatomic_region_sequence: chest", "met"),
        ("patient_sex: {exists: true}", "not met"),
        ("patient_sex: F", "unknown"),
        ("slice_thickness: {at_least: 1, at_most: 2}", "met"),
    ],
)
def test_a_condition_is_met_not_met_or_unknown(when: str, outcome: str) -> None:
    explanation = route(when, AXIAL)
    (asked,) = parse(f"routes: [{{name: r, when: {{{when}}}, run: [p], send: [d]}}]", "a.yaml").routes
    assert matches(asked, said([AXIAL], {"source": "PACS1"})) == explanation.matched

    assert explanation.conditions[0].outcome == outcome
    assert explanation.matched == (outcome == "met")


@pytest.mark.catalogue("G5")
def test_a_localiser_does_not_hide_the_images_beside_it() -> None:
    explanation = route("modality: CT, slice_thickness: {at_most: 3}", LOCALISER, AXIAL, AXIAL)

    assert explanation.matched
    assert explanation.matching == 2
    assert [condition.matching for condition in explanation.conditions] == [3, 2]


def test_conditions_met_by_different_images_are_no_match() -> None:
    explanation = route("slice_thickness: {at_most: 3}, image_type: {contains: LOCALIZER}", LOCALISER, AXIAL)

    assert not explanation.matched
    assert [condition.outcome for condition in explanation.conditions] == ["met", "met"]


def test_a_disabled_route_never_matches_and_says_so() -> None:
    explanation = route("modality: CT", AXIAL, more="    enabled: false\n")

    assert not explanation.matched
    assert "disabled" in render(as_json([explanation]))


@pytest.mark.catalogue("I7")
def test_a_value_from_the_network_is_only_ever_data() -> None:
    hostile = {"Modality": "__import__('os').system('false')", "SeriesDescription": "a' or 'a'=='a"}

    assert not route("modality: CT, series_description: lung", hostile).matched


@pytest.mark.catalogue("S5")
def test_the_explanation_names_condition_outcome_and_values_seen() -> None:
    text = render(as_json([route("modality: CT, slice_thickness: {at_most: 1.0}", AXIAL)]))

    assert "route r: did not match" in text
    assert "met      modality is CT   seen: CT (1 match)" in text
    assert "not met  slice_thickness at most 1.0   seen: 1.5 (0 match)" in text


def test_many_and_long_values_are_shown_short() -> None:
    images = [{"InstanceNumber": number, "ImageComments": "x" * 9999} for number in range(9)]

    explanation = route("instance_number: {at_least: 3}, image_comments: {exists: true}", *images)

    assert explanation.conditions[0].seen == ("0", "1", "2", "3", "4", "… 4 more")
    assert len(explanation.conditions[1].seen[0]) == 101


def test_a_source_that_is_not_known_makes_its_condition_unknown() -> None:
    configuration = parse("routes:\n  - {name: r, when: {source: PACS1}, run: [p], send: [d]}\n", "a.yaml")

    (explanation,) = explain(configuration.routes, [AXIAL], {})

    assert explanation.conditions[0].outcome == "unknown"


def test_no_image_is_no_match_and_no_route_is_said() -> None:
    explanation = route("modality: CT")

    assert (explanation.matched, explanation.conditions[0].outcome) == (False, "unknown")
    assert "no route" in render([])


def test_an_explanation_survives_storage_as_json() -> None:
    stored = json.loads(json.dumps(as_json([route("modality: CT", AXIAL)])))

    assert stored[0].keys() == {"route", "enabled", "matched", "instances", "matching", "conditions"}
    assert stored[0]["conditions"] == [{"condition": "modality is CT", "outcome": "met", "seen": ["CT"], "matching": 1}]
    assert "matched (1 of 1" in render(stored)


@pytest.mark.catalogue("D15")
@pytest.mark.parametrize("when", ["modality: CT", "not: {modality: MR}", "modality: {exists: false}"])
def test_a_condition_on_an_ambiguous_attribute_is_unknown_and_says_why(when: str) -> None:
    explanation = route(when, {"SliceThickness": 1.5, "ambiguous": ["Modality"]})
    assert not explanation.matched
    (condition,) = explanation.conditions
    assert condition.outcome == "unknown"
    assert condition.seen == ("ambiguous, it is there twice or out of order",)
    assert route("slice_thickness: 1.5", {"SliceThickness": 1.5, "ambiguous": ["Modality"]}).matched
