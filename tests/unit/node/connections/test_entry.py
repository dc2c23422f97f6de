from __future__ import annotations

from typing import TYPE_CHECKING, get_args, get_origin

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from radnode.config.editing import edited
from radnode.config.loading import ConfigError, parse
from radnode.config.peers import Peer
from radnode.node.connections import entry
from radnode.node.pages.connections.entry_words import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITTEN = """\
node: {ae_title: RADNODE}
peers:
  PACS:  # the one in the cellar
    ae_title: PACS
    host: 10.1.2.3   # since March
    port: 104
    sends: true
    receives: false
    result_forms: [SEG, TID1500]
    tls: null
"""
MASKS = "- {manufacturer: ACME, model: Sono 1, rows: 768, columns: 1024, boxes: [[0, 0, 1024, 60]]}"
FULL = {
    "sends": "on", "receives": "on", "ae_title": "LAB", "host": "lab.example", "port": "11112",
    "hosts": "10.1.2.0/24, 10.1.3.4", "largest_result": "500 MB", "result_forms.SEG": "on", "result_forms.PDF": "on",
    "expect.every": "2 h", "expect.between": "07:00-19:00", "expect.days.mon": "on", "expect.days.fri": "on",
    "tls.ca": "ca.pem", "deidentify.secret_file": "secret", "deidentify.retain.device": "on",
    "deidentify.clean.pixels": "on", "deidentify.masks": MASKS, "deidentify.returns_to": "PACS",
}


def keys_of(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inside = [each for each in (field.annotation, *get_args(field.annotation))  # of a list of sections: none
                  if get_origin(field.annotation) is not tuple and isinstance(each, type)
                  and issubclass(each, BaseModel)]
        if inside:
            yield from keys_of(inside[0], f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_the_form_asks_for_every_key_of_a_peer_once_and_for_no_other() -> None:
    assert set(entry.KEYS) == set(keys_of(Peer)) - {"name"}
    asked = [field.key for group in GROUPS for field in group.fields]
    assert sorted(asked) == sorted(entry.KEYS)


def test_what_a_form_writes_the_loader_reads_and_the_form_shows_again() -> None:
    section = entry.section_of(FULL)
    text = edited(WRITTEN.replace("receives: false", "receives: true"), lambda document: entry.put(
        document, "LAB", section))
    peer = parse(text, "test").peers["LAB"]
    assert (peer.port, peer.hosts, peer.largest_result) == (11112, ("10.1.2.0/24", "10.1.3.4/32"), 500_000_000)
    assert peer.deidentify is not None
    assert peer.deidentify.masks[0].boxes == ((0, 0, 1024, 60),)
    assert entry.fields_of(YAML(typ="safe", pure=True).load(text)["peers"]["LAB"]) == FULL


def test_a_changed_peer_keeps_its_comments_and_what_was_written_to_say_nothing() -> None:
    fields = entry.fields_of(YAML(typ="safe", pure=True).load(WRITTEN)["peers"]["PACS"])
    del fields["result_forms.SEG"], fields["result_forms.TID1500"]
    section = entry.section_of({**fields, "port": "105", "profile": "ohif"})
    text = edited(WRITTEN, lambda document: entry.put(document, "PACS", section))
    assert text == WRITTEN.replace("port: 104", "port: 105").replace(
        "    result_forms: [SEG, TID1500]\n", "").replace("    tls: null\n", "    tls: null\n    profile: ohif\n")


def test_the_first_peer_of_a_file_without_any_is_written_below_peers() -> None:
    text = edited("node: {ae_title: RADNODE}\n", lambda document: entry.put(
        document, "CT1", entry.section_of({"ae_title": "CT1", "host": "ct1", "port": "104", "sends": "on"})))
    assert parse(text, "test").peers["CT1"].sends


def test_a_proposed_profile_takes_the_place_of_result_forms() -> None:
    text = edited(WRITTEN, lambda document: entry.take_over(
        document, "PACS", {"profile": "any-pacs", "answers_find": True, "commitment": False}))
    peer = parse(text, "test").peers["PACS"]
    assert (peer.profile, peer.answers_find, peer.commitment) == ("any-pacs", True, False)
    assert "commitment" not in text


def test_a_removed_peer_leaves_the_others_as_they_were() -> None:
    more = WRITTEN + "  CT1: {ae_title: CT1, host: ct1, port: 104, sends: true}\n"
    assert edited(more, lambda document: entry.remove(document, "CT1")) == WRITTEN


@pytest.mark.parametrize("name", ["<<", "a: b", "- x", "#", "1", "null", "{{a}}", "&x", "*x", "!t", "'", "PACS"])
def test_whatever_name_is_typed_the_lines_are_read_back_under_it_or_refused(name: str) -> None:
    section = entry.section_of({"ae_title": "CT1", "host": "ct1", "port": "104", "sends": "on"})
    text = edited(WRITTEN, lambda document: entry.put(document, name, section))
    try:
        found = parse(text, "test").peers
    except ConfigError:
        return
    assert found[name].ae_title == "CT1"
    assert set(found) == {"PACS", name}
