"""What a form says of a route is what stands in the file, and what it cannot show is kept."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from radnode.config.document import read_document
from radnode.config.editing import edited
from radnode.config.loading import ConfigError, parse, understood
from radnode.node.drafting import edits
from radnode.node.drafting.form import KEPT, Line, RouteForm, acted, form_of, section_of, yaml_of
from radnode.node.drafting.order import deleted, moved

WHENS: list[dict[str, Any]] = [
    {"modality": "CT"},
    {"modality": ["CT", "MR"], "slice_thickness": {"at_least": 0.5, "at_most": 3}},
    {"series_description": {"matches": "(?i)lung|thorax"}, "contrast_bolus_agent": {"exists": False}},
    {"modality": "CT", "any": [{"body_part": "CHEST"}, {"study_description": {"contains": "lung"}}]},
    {"all": [{"modality": "MR"}, {"rows": {"at_least": 64}}], "not": {"image_type": {"contains": "LOCALIZER"}}},
    {"(0019,xx0c,SIEMENS MR HEADER)": 1000, "source": "PACS1", "order_priority": "STAT"},
    {"series_number": "0012"},
]
TOO_DEEP: list[dict[str, Any]] = [
    {"any": [{"modality": "CT", "body_part": "CHEST"}, {"modality": "MR"}]},
    {"not": {"any": [{"modality": "US"}, {"modality": "OT"}]}},
    {"all": [{"any": [{"modality": "CT"}]}]},
    {"series_description": ["a, with a comma", "b"]},
]


def route(when: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "chest", "when": when, "run": ["ct-lung"], "send": ["PACS"], **more}


@pytest.mark.parametrize("when", WHENS)
def test_every_rule_of_one_level_goes_through_the_form_unchanged(when: dict[str, Any]) -> None:
    form = form_of(route(when))
    assert KEPT not in {line.group for line in form.lines}
    assert section_of(form) == route(when)


@pytest.mark.parametrize("when", TOO_DEEP)
def test_what_the_form_cannot_show_is_kept_untouched(when: dict[str, Any]) -> None:
    form = form_of(route({"modality": "CT", **when}))
    assert [line.group for line in form.lines] == ["", KEPT]
    assert section_of(form) == route({"modality": "CT", **when})


def test_every_other_key_of_a_route_goes_through_the_form() -> None:
    section = route({"modality": "CT"}, priority="urgent", within="10 min", enabled=False, shadow=True,
                    priors={"from": "PACS", "studies": 2})
    assert section_of(form_of(section)) == section
    forwards = {"name": "out", "when": {"modality": "CT"}, "forward": ["RESEARCH"]}
    assert section_of(form_of(forwards)) == forwards


def test_the_yaml_beside_the_form_means_what_the_form_says() -> None:
    for when in (*WHENS, *TOO_DEEP):
        assert YAML(typ="safe").load(yaml_of(route(when))) == {"routes": [route(when)]}


def test_one_test_twice_is_refused_by_the_loader_and_not_dropped() -> None:
    twice = RouteForm(name="a", run=("x",), send=("y",), lines=(
        Line(attribute="modality", value="CT"), Line(attribute="modality", value="MR")))
    with pytest.raises(ConfigError, match=r'unknown operator "is \(twice\)"'):
        parse(yaml_of(section_of(twice)), "draft")


def test_buttons_add_a_line_behind_those_of_its_group_and_remove_one() -> None:
    lines = (Line(attribute="modality"), Line(group="any", attribute="rows"), Line(attribute="source"))
    assert [each.group for each in acted(lines, "add:any")] == ["", "any", "any", ""]
    assert [each.attribute for each in acted(lines, "remove:1")] == ["modality", "source"]
    assert acted(lines, "remove:9") == acted(lines, "delete:everything") == lines


TEXT = """\
routes:
  # thin slices only
  - name: chest
    when:
      modality: CT   # of any scanner
      slice_thickness: {at_most: 3.0}
    run: [ct-lung]   # ours
    send: [PACS]
    enabled: true
  # the second
  - {name: head, when: {modality: MR}, run: [mr-brain], send: [PACS]}
  - {name: third, when: {modality: US}, run: [x], send: [PACS]}
"""


def names(text: str) -> list[str]:
    return [each["name"] for each in YAML(typ="safe").load(text)["routes"]]


def test_a_route_that_is_saved_as_it_was_changes_no_character() -> None:
    section = YAML(typ="safe").load(TEXT)["routes"][0]
    assert edited(TEXT, edits.put("chest", section_of(form_of(section)))) == TEXT


def test_only_what_was_changed_in_the_form_is_written() -> None:
    section = route({"modality": "CT", "slice_thickness": {"at_most": 5}}, shadow=True)
    after = edited(TEXT, edits.put("chest", section))
    assert after == TEXT.replace("at_most: 3.0", "at_most: 5").replace(
        "    enabled: true\n", "    shadow: true\n    enabled: true\n")


@pytest.mark.parametrize("name", ["chest", None])
def test_a_draft_means_in_plain_data_what_it_will_mean_in_the_file(name: str | None) -> None:
    section = route({"modality": ["CT", "0012"]}, shadow=True)
    written = parse(edited(TEXT, edits.put(name, {**section, "name": "draft"})), "file").routes
    before = read_document(TEXT)
    plain = edits.put_plain(name, {**section, "name": "draft"})(before[0])
    assert understood(plain, before[1], "file").routes == written
    assert before == read_document(TEXT)
    with pytest.raises(edits.NoSuchRoute):
        edits.put_plain("gone", section)(before[0])


def test_a_route_is_switched_by_its_name() -> None:
    off = edited(TEXT, edits.switch("chest", "enabled", False, True))
    assert off == TEXT.replace("enabled: true", "enabled: false")
    assert edited(TEXT, edits.switch("head", "enabled", True, True)) == TEXT
    with pytest.raises(edits.NoSuchRoute):
        edited(TEXT, edits.switch("gone", "enabled", True, True))


def test_routes_are_moved_and_deleted_with_the_comments_above_them() -> None:
    first, second, third = TEXT.partition("  # the second\n")[0].removeprefix("routes:\n"), *(
        "\n".join(each) + "\n" for each in (TEXT.splitlines()[-3:-1], TEXT.splitlines()[-1:]))
    more = "\n# about peers\npeers: {}\n"
    assert moved(TEXT + more, "third", 0) == f"routes:\n{third}{first}{second}{more}"
    assert moved(TEXT + more, "chest", 9) == f"routes:\n{second}{third}{first}{more}"
    assert moved(TEXT.rstrip("\n"), "third", 1) == f"routes:\n{first}{third}{second}"
    assert deleted(TEXT + more, "head") == f"routes:\n{first}{third}{more}"
    assert names(moved("routes: [{name: a}, {name: b}]\n", "b", 0)) == ["b", "a"]
    assert "routes:\n" in deleted("routes:\n  - name: a\n", "a")
    with pytest.raises(edits.NoSuchRoute):
        deleted(TEXT, "gone")
