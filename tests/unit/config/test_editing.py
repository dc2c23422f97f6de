"""A change from a page leaves an administrator's comments and layout as he wrote them."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import radnode.config
from radnode.config.document import NotReadable
from radnode.config.editing import edited
from radnode.config.loading import parse

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

MANUAL = (Path(radnode.config.__file__).parent / "defaults" / "radnode.yaml").read_text(encoding="utf-8")

ODD = """\
# Ours
node:   {ae_title:   RADNODE,
         quiet_time_s: 20 }   # as agreed

peers:
    PACS1:       # the archive
        ae_title: 'PACS1'
        host: "10.0.0.1"
        port: 104


routes:
- name: chest   # first
  when: { modality: CT,
          body_part: [ CHEST ] }
  run: [ct-lung]
  send: [ PACS1 ]
# the last line is a comment
"""


def disable(document: CommentedMap) -> None:
    document["routes"][0]["enabled"] = False


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [each for each in lines if each[0] in "+-"]


@pytest.mark.parametrize("text", [MANUAL, ODD])
def test_a_change_of_nothing_changes_no_character(text: str) -> None:
    assert edited(text, lambda document: None) == text


def test_only_the_line_of_a_changed_value_changes() -> None:
    assert changed_lines(MANUAL, edited(MANUAL, disable)) == ["-     enabled: true", "+     enabled: false"]


def test_an_added_key_leaves_an_odd_layout_alone() -> None:
    after = edited(ODD, disable)
    assert changed_lines(ODD, after) == ["+   enabled: false"]
    assert parse(after, "odd").routes[0].enabled is False


def test_an_added_route_leaves_the_others_alone() -> None:
    def add(document: CommentedMap) -> None:
        document["routes"].append({"name": "new", "when": {"modality": "MR"}, "run": ["mr-brain"], "send": ["PACS1"]})

    for text in (MANUAL, ODD):
        after = edited(text, add)
        assert [each for each in changed_lines(text, after) if each.startswith("-")] == []
        assert [route.name for route in parse(after, "x").routes][-1] == "new"


def test_a_text_without_routes_gets_them() -> None:
    def add(document: CommentedMap) -> None:
        document["routes"] = [{"name": "new", "when": {"modality": "MR"}, "run": ["x"], "send": ["P"]}]

    assert parse(edited("# nothing yet\nnode: {}\n", add), "x").routes[0].name == "new"
    assert parse(edited("", add), "x").routes[0].name == "new"


def test_what_is_not_read_is_not_edited() -> None:
    with pytest.raises(NotReadable):
        edited("node: &a {}\n", disable)


def test_what_is_put_below_a_key_that_said_null_is_still_yaml() -> None:
    text = "node: {ae_title: RADNODE}   # ours\nmessaging: null\n"

    def add(document: CommentedMap) -> None:
        document["messaging"] = {"listen": {"port": 2575}}

    listen = parse(edited(text, add), "test").messaging.listen
    assert listen is not None
    assert listen.port == 2575
