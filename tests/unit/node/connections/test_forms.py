"""A form and the configuration: both ways, for every kind of connection."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from radnode.config import manual
from radnode.config.editing import edited
from radnode.config.loading import ConfigError, parse
from radnode.config.peers import size
from radnode.node.connections import forms, listing
from radnode.node.connections.forms import FORMS, Key
from radnode.node.pages.connections.entering import GROUPS
from radnode.node.pages.connections.words import KINDS, NEW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from radnode.config.loading import Configuration

WRITTEN = """\
node: {ae_title: RADNODE}
peers:
  PACS:  # the one in the cellar
    ae_title: PACS
    host: 10.1.2.3   # since March
    port: 104
    sends: true
    receives: false
    result_forms: [TID1500, SEG]
    tls: null
pulls:
  # of the night
  - name: chest
    from: PACS
    schedule: "*/15 * * * *"   # quarters
    window: 2 d
    modality: CT
    enabled: false
archives: {PACS: {retrieve: c-move}}
messaging:
  # the RIS
  listen: {port: 2575}
  hl7:
    RIS:
      host: ris.example
      largest_result: 20000000
      not_processed: false  # it does not want to know
"""
MASKS = "- {manufacturer: ACME, model: Sono 1, rows: 768, columns: 1024, boxes: [[0, 0, 1024, 60]]}"
WEB = {"url": "https://web.example/r4", "oauth2.token_url": "https://login.example/token",
       "oauth2.client_id": "radnode", "oauth2.secret_file": "secret", "oauth2.scope": "system/*.write",
       "tls.ca": "ca.pem"}
FULL: Mapping[str, Mapping[str, str]] = {
    "peer": {
        "sends": "on", "receives": "on", "enabled": "on", "ae_title": "LAB", "host": "lab.example", "port": "11112",
        "hosts": "10.1.2.0/24, 10.1.3.4", "largest_result": "500 MB", "result_forms.SEG": "on",
        "result_forms.PDF": "on", "expect.every": "2 h", "expect.between": "07:00-19:00", "expect.days.mon": "on",
        "expect.days.fri": "on", "tls.ca": "ca.pem", "deidentify.secret_file": "secret",
        "deidentify.retain.device": "on", "deidentify.clean.pixels": "on", "deidentify.masks": MASKS,
        "deidentify.returns_to": "PACS2",
    },
    "dicomweb": {"receives": "on", "enabled": "on", "profile": "ohif", "tls.ca": "ca.pem", "tls.certificate": "own.pem",
                 "tls.key": "own.key", "dicomweb.url": "https://web.example/dicom-web", "dicomweb.user": "radnode",
                 "dicomweb.password_file": "password"},
    "archive": {"enabled": "on", "dicomweb.url": "https://vna.example/dicom-web", "dicomweb.token_file": "token",
                "dicomweb.ca_file": "ca.pem", "associations": "2", "images_per_minute": "600"},
    "pull": {"from": "PACS", "schedule": "0 20 * * mon-fri", "window": "2 d", "modality": "CT, MR", "enabled": "on",
             "study_description": "(?i)chest", "between": "20:00-06:00", "days.mon": "on", "days.tue": "on"},
    "folder": {"enabled": "on", "path": "/srv/import", "stable": "10 s", "largest": "2 GB"},
    "listener": {"host": "10.1.2.3", "port": "2576", "max_message": "2 MB", "idle_s": "600.5", "max_connections": "5"},
    "sender": {"enabled": "on", "hosts": "10.1.2.5, 10.1.3.0/24", "character_set": "GB 18030-2000",
               "accession": "OBR-18, IPC-1"},
    "hl7": {"enabled": "on", "host": "ris.example", "port": "2580", "application": "RIS", "facility": "HOSPITAL",
            "largest_result": "5 MB", "tls.ca": "ca.pem", "tls.name": "ris"},
    "fhir": {"enabled": "on", "not_processed": "on", **WEB},
    "orders": WEB,
}
MANUAL = manual.FILE.read_text(encoding="utf-8")
MORE = "  PACS2: {ae_title: P2, host: p2, port: 104, receives: true}\n"


def read(text: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(text))


def fields_in(text: str, kind: str, name: str) -> dict[str, str]:
    where = forms.place_of(FORMS[kind], read(text), name)
    assert where is not None
    return forms.fields_of(FORMS[kind], forms.entry_at(read(text), where))


def saved(text: str, kind: str, name: str, fields: Mapping[str, str]) -> str:
    section = forms.section_of(FORMS[kind], fields)
    return edited(text, lambda document: forms.put(document, FORMS[kind], name, section))


def keys_of(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inside = [each for each in (field.annotation, *get_args(field.annotation))  # of a list of sections: none
                  if get_origin(field.annotation) is not tuple and isinstance(each, type)
                  and issubclass(each, BaseModel)]
        called = f"{above}{field.alias or name}"
        if inside:
            yield from keys_of(inside[0], f"{called}.")
        else:
            yield called


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_asks_for_every_key_of_its_model_once_and_explains_it(kind: str) -> None:
    form = FORMS[kind]
    assert set(form.keys) == set(keys_of(form.model)) - {"name"}
    asked = [field for group in GROUPS[kind] for field in group.fields]
    assert sorted(each.key for each in asked) == sorted(form.keys)
    for each in asked:
        assert set(each.choices) <= set(form.keys[each.key].choices)


def test_every_kind_of_connection_has_a_form_and_a_word() -> None:
    assert NEW.keys() == FORMS.keys() == GROUPS.keys()
    assert set(get_args(listing.Kind)) == set(KINDS) == FORMS.keys() - {"dicomweb"}


def test_how_a_key_is_asked_for_follows_from_its_type() -> None:
    keys = {**FORMS["peer"].keys, **FORMS["pull"].keys, **FORMS["sender"].keys, **FORMS["listener"].keys}
    assert keys["port"] == Key(kind="number", default=2575)
    assert keys["tls"] == Key(kind="flag", default=False)
    assert keys["days"].kind == keys["result_forms"].kind == "choices"
    assert keys["character_set"].kind == keys["profile"].kind == "choice"
    assert keys["hosts"].kind == keys["accession"].kind == keys["modality"].kind == "list"
    assert keys["deidentify.masks"].kind == "yaml"
    assert {keys[each].kind for each in ("max_message", "window", "tls.ca", "schedule")} == {"text"}
    assert (keys["max_message"].holds, keys["accession"].holds) == ("1 MB", "IPC-1, OBR-18, OBR-3, ORC-3")
    assert [size(each) for each in (10**9, 1500 * 10**6, 1001, 0)] == ["1 GB", "1500 MB", "1001 B", "0 TB"]


@pytest.mark.parametrize("kind", FORMS)
def test_what_a_form_writes_the_loader_reads_and_the_form_shows_again(kind: str) -> None:
    text = WRITTEN.replace("pulls:", MORE + "pulls:", 1)
    name = kind if FORMS[kind].shape == "single" else "NEW"
    made = saved(text, kind, name, FULL[kind])
    found = parse(made, "test")
    connections = [(each.form, each.name) for each in listing.connections(found)]
    assert (kind, name) in connections
    assert fields_in(made, kind, name) == FULL[kind]
    assert saved(made, kind, name, fields_in(made, kind, name)) == made
    assert_means(found)


def assert_means(found: Configuration) -> None:
    """What was filled in holds, where it is there."""
    if lab := found.peers.get("NEW"):
        assert lab.dicomweb or (lab.port, lab.hosts, lab.largest_result) == (
            11112, ("10.1.2.0/24", "10.1.3.4/32"), 500_000_000)
        assert lab.deidentify is None or lab.deidentify.masks[0].boxes == ((0, 0, 1024, 60),)
    if vna := found.retrieving.archives.get("NEW"):
        assert (vna.associations, vna.images_per_minute) == (2, 600)
    for pull in found.retrieving.pulls:
        assert pull.name != "NEW" or (pull.modality, pull.days, pull.between) == (
            ("CT", "MR"), ("mon", "tue"), "20:00-06:00")
    if ris := found.messaging.senders.get("NEW"):
        assert (ris.character_set, ris.accession) == ("GB 18030-2000", ("OBR-18", "IPC-1"))
    if out := found.messaging.hl7.get("NEW"):
        assert (out.not_processed, out.largest_result) == (False, 5 * 10**6)


@pytest.mark.parametrize(("kind", "name"), [
    ("peer", "PACS"), ("pull", "chest"), ("listener", "listener"), ("hl7", "RIS"), ("archive", "PACS")])
def test_a_form_that_is_saved_as_it_was_opened_changes_nothing(kind: str, name: str) -> None:
    assert saved(WRITTEN, kind, name, fields_in(WRITTEN, kind, name)) == WRITTEN


def test_a_changed_entry_keeps_its_comments_and_what_was_written_to_say_nothing() -> None:
    fields = fields_in(WRITTEN, "peer", "PACS")
    del fields["result_forms.SEG"], fields["result_forms.TID1500"]
    assert saved(WRITTEN, "peer", "PACS", {**fields, "port": "105", "profile": "ohif"}) == WRITTEN.replace(
        "port: 104", "port: 105").replace("    result_forms: [TID1500, SEG]\n", "").replace(
        "    tls: null\n", "    tls: null\n    profile: ohif\n")
    chest = fields_in(WRITTEN, "pull", "chest")
    assert saved(WRITTEN, "pull", "chest", {**chest, "window": "3 d", "enabled": "on"}) == WRITTEN.replace(
        "window: 2 d", "window: 3 d").replace("    enabled: false\n", "")


def test_a_tick_that_is_there_by_itself_is_written_only_where_it_is_taken_away() -> None:
    fields = fields_in(WRITTEN, "hl7", "RIS")
    assert "not_processed" not in fields
    told = saved(WRITTEN, "hl7", "RIS", {**fields, "not_processed": "on"})
    assert parse(told, "test").messaging.hl7["RIS"].not_processed
    del fields["enabled"]
    assert parse(saved(WRITTEN, "hl7", "RIS", fields), "test").disabled == (("messaging", "hl7", "RIS"),)


@pytest.mark.parametrize("kind", [each for each in FORMS if each not in ("pull", "orders")])
def test_the_first_of_its_kind_is_written_into_a_file_without_any(kind: str) -> None:
    name = kind if FORMS[kind].shape == "single" else "NEW"
    more = {"sender": "messaging:\n  listen: {port: 2575}\n", "peer": f"peers:\n{MORE}"}.get(kind, "messaging: null\n")
    made = saved(f"node: {{ae_title: RADNODE}}\n{more}", kind, name, FULL[kind])
    assert (kind, name) in [(each.form, each.name) for each in listing.connections(parse(made, "test"))]


@pytest.mark.parametrize("kind", [each for each in FORMS if each not in ("pull", "peer", "sender")])
def test_what_is_added_to_the_manual_leaves_its_comments_where_they_were(kind: str) -> None:
    name = kind if FORMS[kind].shape == "single" else "NEW"
    made = saved(MANUAL, kind, name, FULL[kind])
    assert (kind, name) in [(each.form, each.name) for each in listing.connections(parse(made, "test"))]
    kept = difflib.SequenceMatcher(None, MANUAL.splitlines(), made.splitlines(), autojunk=False).get_opcodes()
    lost = [line for how, a, b, _, _ in kept if how in ("replace", "delete") for line in MANUAL.splitlines()[a:b]]
    assert len(lost) <= 1, lost  # `fhir: {}` becomes `fhir:`


def test_a_proposed_profile_takes_the_place_of_result_forms() -> None:
    text = edited(WRITTEN, lambda document: forms.take_over(
        document, "PACS", {"profile": "any-pacs", "answers_find": True, "commitment": False}))
    peer = parse(text, "test").peers["PACS"]
    assert (peer.profile, peer.answers_find, peer.commitment) == ("any-pacs", True, False)
    assert "commitment" not in text


@pytest.mark.parametrize("kind", ["peer", "folder", "orders", "fhir"])
def test_a_removed_entry_leaves_the_others_as_they_were(kind: str) -> None:
    name = kind if FORMS[kind].shape == "single" else "NEW"
    more = saved(WRITTEN, kind, name, FULL[kind])
    less = edited(more, lambda document: forms.remove(document, FORMS[kind], name))
    assert parse(less, "test") == parse(WRITTEN, "test")
    assert [each for each in WRITTEN.splitlines() if each not in less.splitlines()] == []


def test_the_last_of_its_kind_leaves_the_comments_around_it() -> None:
    text = ("peers:   # both\n  CT1: {ae_title: CT1, host: ct1, port: 104, sends: true}\n"
            "# what is fetched\nfolders:\n  - name: import\n    path: in\n# the rest\nbackup: {keep: 7}\n")
    without = edited(text, lambda document: forms.remove(document, FORMS["peer"], "CT1"))
    without = edited(without, lambda document: forms.remove(document, FORMS["folder"], "import"))
    said = [each for each in without.splitlines() if "#" in each]
    assert said == ["peers:   # both", "# what is fetched", "# the rest"]
    assert parse(without, "test") == parse("backup: {keep: 7}", "test")


def test_what_is_wrong_is_said_beside_the_field_that_is_wrong() -> None:
    def beside(kind: str, name: str, **fields: str) -> dict[str, list[str]]:
        text = saved(WRITTEN, kind, name, fields)
        where = forms.place_of(FORMS[kind], read(text), name)
        with pytest.raises(ConfigError) as refused:
            parse(text, "test")
        assert where is not None
        return forms.beside_fields(FORMS[kind], where, refused.value.problems)

    pull = beside("pull", "NEW", schedule="often", window="2", enabled="on")
    assert pull.keys() == {"from", "schedule", "window"}
    assert pull["schedule"] == ["'often' is wrong; five fields as of cron, for example \"*/15 * * * *\" or "
                                "\"0 20 * * mon-fri\""]
    assert beside("archive", "VNA", enabled="on").keys() == {"name"}
    assert beside("hl7", "NEW", host="ris", **{"tls.certificate": "own.pem"}).keys() == {"tls.ca"}
    assert beside("sender", "NEW", accession="OBR-3, OBR-99", enabled="on").keys() == {"accession"}
    assert beside("listener", "listener", port="11112").keys() == {"port"}


@pytest.mark.parametrize("name", ["<<", "a: b", "- x", "#", "1", "null", "{{a}}", "&x", "*x", "!t", "'", "PACS"])
@pytest.mark.parametrize("kind", ["peer", "folder"])
def test_whatever_name_is_typed_the_lines_are_read_back_under_it_or_refused(kind: str, name: str) -> None:
    fields = {"ae_title": "CT1", "host": "ct1", "port": "104", "sends": "on"} if kind == "peer" else {"path": "/srv"}
    text = saved(WRITTEN, kind, name, {**fields, "enabled": "on"})
    try:
        found = {each.name for each in listing.connections(parse(text, "test")) if each.kind == kind}
    except ConfigError:
        return
    assert found == {name} | ({"PACS"} if kind == "peer" else set())
