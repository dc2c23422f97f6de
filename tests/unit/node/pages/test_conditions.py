"""A stored condition is said in another language, however deeply groups lie in groups."""

from __future__ import annotations

import pytest

from radnode.config.loading import parse
from radnode.node.pages.routes.shown import conditions, written_again
from radnode.node.pages.words import Words
from radnode.node.routing import explain

SAY = Words.of("zh", "routes").gettext
GROUPS = """
routes:
  - name: nested
    when:
      any: [{modality: MR}, {all: [{modality: [CT, PT]}, {slice_thickness: {at_most: 3.0}}]}]
      not: {series_description: {matches: "(?i)scout|topogram"}, body_part: {contains: "and"}}
      contrast_bolus_agent: {exists: true}
      "(0019,100c)": {is: 5}
      source: {exists: false}
    run: [ct-lung]
    send: [PACS]
"""


def test_what_a_route_asks_and_what_it_answered_are_said_alike() -> None:
    (route,) = parse(GROUPS, "file").routes
    (explained,) = explain([route], [{"Modality": "CT"}], {})
    said = [written_again(each.condition, SAY) for each in explained.conditions]
    assert said == [
        "(modality 等于 MR 或 (modality 属于 [CT, PT] 且 slice_thickness 不大于 3.0))",
        "非 ((series_description 匹配模式 (?i)scout|topogram 且 body_part 包含 and))",
        "contrast_bolus_agent 存在", "(0019,100c) 等于 5", "source 不存在",
    ]
    assert len(conditions(route.when, SAY)) == len(said)


@pytest.mark.parametrize("written", [
    "modality", "(modality is CT", "not (modality)", "(modality is CT and or)", "a b c",
])
def test_what_is_not_understood_stays_as_it_was_written(written: str) -> None:
    assert written_again(written, SAY) == written


def test_a_study_that_is_not_read_by_itself_says_so() -> None:
    assert written_again("sent to be read", SAY) == "为读取而发送"
