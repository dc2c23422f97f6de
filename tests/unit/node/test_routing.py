"""A route says for every condition why it did or did not match."""

from __future__ import annotations

from typing import Any

import pytest

from radnode.config.loading import parse
from radnode.node.routing import RouteExplanation, as_json, explain, render

AXIAL = {"Modality": "CT", "SliceThickness": 1.5, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "(0019,100c)": 7}
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
    ],
)
def test_a_condition_is_met_not_met_or_unknown(when: str, outcome: str) -> None:
    explanation = route(when, AXIAL)

    assert explanation.conditions[0].outcome == outcome
    assert explanation.matched == (outcome == "met")


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


def test_a_value_from_the_network_is_only_ever_data() -> None:
    hostile = {"Modality": "__import__('os').system('false')", "SeriesDescription": "a' or 'a'=='a"}

    assert not route("modality: CT, series_description: lung", hostile).matched


def test_the_explanation_names_condition_outcome_and_values_seen() -> None:
    text = render(as_json([route("modality: CT, slice_thickness: {at_most: 1.0}", AXIAL)]))

    assert "route r: did not match" in text
    assert "met      modality is CT   seen: CT (1 match)" in text
    assert "not met  slice_thickness at most 1.0   seen: 1.5 (0 match)" in text
