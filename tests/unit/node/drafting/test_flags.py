"""What is odd about routes is said before a study waits for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.rows import NOW

from radnode.config.loading import parse
from radnode.node.drafting import flags as flagging
from radnode.pipelines import registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MANIFESTS = registry.installed().manifests


def flagged(*routes: str, forms: Mapping[str, Sequence[str]] | None = None) -> dict[str, list[str]]:
    read = parse("routes:\n" + "".join(f"  - {{{each}}}\n" for each in routes), "test").routes
    found = flagging.flags(read, MANIFESTS, {each.name: NOW for each in read}, forms or {"PACS": ("SEG",)})
    return {name: [each.kind for each in some] for name, some in found.items()}


CHEST = "name: chest, when: {modality: CT}, run: [ct-lung], send: [PACS]"


def test_a_route_that_matched_nothing_yet_says_so_unless_it_is_off() -> None:
    routes = parse(f"routes: [{{{CHEST}}}, {{{CHEST.replace('chest', 'off')}, enabled: false}}]", "test").routes
    found = flagging.flags(routes, MANIFESTS, {}, {})
    assert [each.kind for each in found["chest"]] == [flagging.NEVER]
    assert found["off"] == []


def test_two_routes_that_send_the_same_to_the_same_place_are_named() -> None:
    other = "name: other, when: {body_part: CHEST}, run: [ct-lung], send: [PACS]"
    assert flagged(CHEST, other) == {"chest": [flagging.TWICE], "other": [flagging.TWICE]}


def test_routes_for_other_modalities_or_other_places_or_in_shadow_are_no_conflict() -> None:
    assert flagged(CHEST, "name: b, when: {modality: [MR, PT]}, run: [mr-brain], send: [PACS]") == {
        "chest": [], "b": []}
    assert flagged(CHEST, "name: b, when: {modality: CT}, run: [ct-lung], send: [B]") == {"chest": [], "b": []}
    assert flagged(CHEST, f"{CHEST.replace('chest', 'b')}, shadow: true") == {"chest": [], "b": []}
    assert flagged(CHEST, f"{CHEST.replace('chest', 'b')}, enabled: false") == {"chest": [], "b": []}


def test_a_route_that_adds_nothing_to_one_with_fewer_conditions_is_covered() -> None:
    narrow = "name: narrow, when: {modality: CT, rows: 512}, run: [ct-lung], send: [PACS]"
    assert flagging.COVERED in flagged(CHEST, narrow)["narrow"]
    assert flagging.COVERED not in flagged(CHEST, narrow)["chest"]
    assert flagging.COVERED not in flagged(CHEST, f"{narrow}, priority: urgent")["narrow"]
    same = flagged(CHEST, CHEST.replace("chest", "again"))
    assert (flagging.COVERED in same["again"], flagging.COVERED in same["chest"]) == (True, False)


def test_a_pipeline_that_is_not_there_or_reads_something_else_is_named() -> None:
    assert flagged(CHEST.replace("ct-lung", "ct-lnug")) == {"chest": [flagging.NO_PIPELINE]}
    assert flagged(CHEST.replace("ct-lung", "mr-brain")) == {"chest": [flagging.MODALITY]}
    assert flagged("name: a, when: {rows: 512}, run: [mr-brain], send: [PACS]") == {"a": []}


def test_a_destination_that_takes_none_of_its_forms_is_named() -> None:
    assert flagged(CHEST, forms={"PACS": ()}) == {"chest": [flagging.NO_FORM]}
