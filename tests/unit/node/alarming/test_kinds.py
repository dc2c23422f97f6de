"""The page about alarms is true."""

from __future__ import annotations

from support.sources import REPOSITORY

from radnode.node.alarming.kinds import KINDS, kind_of, subject_of, table

PAGE = REPOSITORY / "docs" / "alarms.md"


def test_the_page_lists_every_kind_as_the_code_has_it() -> None:
    assert PAGE.read_text().endswith(f"\n{table()}\n"), f"write this at its end:\n{table()}"


def test_a_name_without_a_kind_is_a_part_of_the_node_that_fails() -> None:
    assert kind_of("something new").name == "activity"


def test_a_name_is_a_kind_and_a_subject() -> None:
    assert (kind_of("form:PACS:SEG").name, subject_of("form:PACS:SEG")) == ("form", "PACS:SEG")
    assert (kind_of("disk").name, subject_of("disk")) == ("disk", "")


def test_every_kind_says_what_is_wrong_and_what_to_do() -> None:
    assert [kind.name for kind in KINDS.values() if not kind.says or not kind.remedy or "|" in kind.says] == []
