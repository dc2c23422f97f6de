"""The page explains settings with the words of the manual, and says what a running node takes over."""

from __future__ import annotations

import pytest

from radnode.config import manual
from radnode.config.document import NotReadable, read_document
from radnode.config.loading import needs_restart, parse


@pytest.mark.parametrize("section", manual.MODELS)
def test_every_key_of_a_section_is_explained(section: str) -> None:
    keys = {info.alias or name for name, info in manual.MODELS[section].model_fields.items()}
    assert {each.key for each in manual.entries() if each.section == section} == keys
    assert [each.key for each in manual.entries() if not each.explanation] == []


def test_the_manual_says_live_where_the_node_takes_a_change_over() -> None:
    text = manual.FILE.read_text(encoding="utf-8")
    lines = text[text.index("\nnode:"):text.index("\npeers:")].splitlines()
    said = set()
    for number, line in enumerate(lines):
        if "(live)" in line:
            key = next(each for each in lines[number:] if not each.strip().startswith("#"))
            said.add(key.strip().partition(":")[0])
    assert said == {each.key for each in manual.entries() if each.section == "node" and each.live}


@pytest.mark.parametrize(("change", "live"), [
    ("node: {quiet_time_s: 7}", True), ("node: {retention_days: 7}", False), ("alarms: {job_waits: 2 h}", True),
    ("messaging: {issuers: {patient_authority: HOSPITAL}}", False),
])
def test_what_needs_a_restart_is_what_the_loader_says(change: str, live: bool) -> None:
    document, _ = read_document(change)
    section, keys = next(iter(document.items()))
    assert manual.is_live(section, next(iter(keys))) is live
    assert (needs_restart(parse("", "old"), parse(change, "new")) == []) is live


@pytest.mark.parametrize(("text", "value"), [
    ("7", 7), ("5 GB", "5 GB"), ("null", None), ("[CT, MR]", ["CT", "MR"]), ("https://a.example", "https://a.example"),
    ("host: mail.example\nport: 25", {"host": "mail.example", "port": 25}), ("- device: cpu", [{"device": "cpu"}]),
    ("host: mail.example", {"host": "mail.example"}),
])
def test_what_is_written_below_a_key_is_read_as_in_the_file(text: str, value: object) -> None:
    assert manual.value_of(text) == value


@pytest.mark.parametrize("text", ["", "!!python/name:os.system", "&a 1", "a: b: c", "7\nnode: {}", "]"])
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(NotReadable):
        manual.value_of(text)


def test_the_default_of_each_key_is_one_that_the_loader_takes() -> None:
    for each in manual.entries():
        manual.value_of(each.default)
