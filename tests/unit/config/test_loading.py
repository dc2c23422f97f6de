"""A configuration is used whole or refused with every mistake explained."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import keyword_dict

from radnode.config.loading import ConfigError, load, needs_restart, parse, stamp
from radnode.config.references import check_references
from radnode.config.routes import OPERATORS, snake_case
from radnode.config.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
node:
  ae_title: NODE1
  disk_reserve: 500 MB
peers:
  PACS1:
    ae_title: PACS1
    host: 10.0.0.1
    port: 104
    sends: true
    receives: true
routes:
  - name: chest
    when:
      modality: CT
      slice_thickness: {at_most: 3.0}
    run: [ct-lung]
    send: [PACS1]
"""


KEYS = [*Settings.model_fields, *OPERATORS, "any", "all", "not", "modality", "source", "name", "hosts", "when", "run"]


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse(text, "a.yaml")
    return [str(problem) for problem in refused.value.problems]


def test_a_good_file_says_what_it_means() -> None:
    configuration = parse(GOOD, "a.yaml")

    assert configuration.settings.ae_title == "NODE1"
    assert configuration.settings.disk_reserve == 500_000_000
    assert configuration.peers["PACS1"].result_forms == ("SEG", "TID1500")
    assert configuration.routes[0].send == ("PACS1",)


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ("ae_title: NODE1", "ae_titel: NODE1", 'a.yaml:2: node.ae_titel: unknown key; did you mean "ae_title"?'),
        ("500 MB", "lots", "a.yaml:3: node.disk_reserve: 'lots' is wrong; a size is written like"),
        ("port: 104\n", "port: 70000\n", "a.yaml:8: peers.PACS1.port: 70000 is wrong"),
        ("    host: 10.0.0.1\n", "", "a.yaml:5: peers.PACS1.host: missing"),
        ("slice_thickness", "slice_thikness", 'did you mean "slice_thickness"?'),
        ("slice_thickness", "SliceThickness", 'write "slice_thickness"'),
        ("at_most: 3.0", "atmost: 3.0", 'unknown operator "atmost"; did you mean "at_most"?'),
        ("at_most: 3.0", "at_most: thin", "needs a number"),
        ("run: [ct-lung]", "run: []", "a.yaml:16: routes.run: `run` needs a list of names"),
        ("routes:", "rules:", 'unknown section "rules"; did you mean "routes"?'),
        ("- name: chest", "- nam: chest", "the route has no name"),
        ("disk_reserve: 500 MB", f"disk_reserve: {'9' * 400} GB", "a size is written like"),
        ("disk_reserve: 500 MB", "quiet_time_s: 0", "a.yaml:3: node.quiet_time_s: 0 is wrong"),
        ("disk_reserve: 500 MB", "retention_days: 3", "a.yaml:3: node.retention_days: 3 is wrong"),
        ("disk_reserve: 500 MB", "http_port: 11112", "a.yaml:3: node.http_port: the same port as dicom_port"),
        ("disk_reserve: 500 MB", "max_associations_per_host: 51", "node.max_associations_per_host: more than"),
        ("disk_reserve: 500 MB", "data: ''", "a.yaml:3: node.data: '' is wrong; write a folder"),
        ("disk_reserve: 500 MB", "workers: []", "a.yaml:3: node.workers: empty; give at least one"),
        ("disk_reserve: 500 MB", "workers: [{memory: 1 GB}]", 'did you mean "memory_limit"?'),
        ("    sends: true\n", "    hosts: [10.0.0.300]\n", "a.yaml:9: peers.PACS1.hosts: '10.0.0.300' is wrong"),
        ("    sends: true\n", "    result_forms: []\n", "a.yaml:9: peers.PACS1.result_forms: empty"),
        ("    sends: true\n", "    result_forms: [SR]\n", "a.yaml:9: peers.PACS1.result_forms: 'SR' is wrong"),
        ("{at_most: 3.0}", "{}", "a.yaml:15: routes.when.slice_thickness: no operator is given"),
        ("{at_most: 3.0}", "", "needs one value"),
        ("at_most: 3.0", "at_most: .nan", "needs a number"),
        ("{at_most: 3.0}", "{at_least: 5, at_most: 3}", "nothing can match"),
        ("{at_most: 3.0}", "{exists: maybe}", "needs true or false"),
        ("slice_thickness: {at_most: 3.0}", "'(0019,10xx,ACME)': 1", "does not name one element; write (0019,1008)"),
        ("slice_thickness: {at_most: 3.0}", "'(0019,xx08)': 1", "does not name one element"),
        ("slice_thickness: {at_most: 3.0}", "'(0018,0050)': 1", "unknown attribute"),
        ("slice_thickness: {at_most: 3.0}", "any: {modality: CT}", "needs a list of conditions"),
        ("run: [ct-lung]", "run: [ct-lung]\n    priority: soon", 'unknown priority "soon"'),
        ("run: [ct-lung]", "run: [ct-lung]\n    within: soon", 'a time is written like "30 s"'),
        ("run: [ct-lung]", "run: [ct-lung]\n    enabled: 1", "neither true nor false"),
        ("node:\n", "node: 5\nnodes:\n", "a.yaml:1: node: not a mapping"),
        ("disk_reserve: 500 MB", "settle_time_s: 31", "a.yaml:3: node.settle_time_s: longer than quiet_time_s (30)"),
        ("disk_reserve: 500 MB", "http_port: true", "a.yaml:3: node.http_port: True is wrong; write a number"),
        ("disk_reserve: 500 MB", "workers: [{memory_limit: true}]", "node.workers.memory_limit: True is wrong"),
        ("disk_reserve: 500 MB", "data: 5", "a.yaml:3: node.data: 5 is wrong; write a folder"),
        ("host: 10.0.0.1", "host: 10.0.0.1:104", "a.yaml:7: peers.PACS1.host: '10.0.0.1:104' is wrong; write a host"),
        ("host: 10.0.0.1", "host: http://pacs", "write a host name or an address alone"),
        ("host: 10.0.0.1", "host: pacs\n    name: PACS", "a.yaml:8: peers.PACS1.name: unknown key; a peer is called"),
        ("modality: CT", "study_date: {at_least: 2026-01-31}", "write a date as DICOM does, 20260131"),
    ],
)
def test_C7_a_mistake_is_named_with_its_line_and_its_cure(wrong: str, right: str, expected: str) -> None:
    found = problems(GOOD.replace(wrong, right))

    assert any(expected in problem for problem in found), found


def test_the_time_within_which_a_route_wants_its_results_is_part_of_what_the_configuration_means() -> None:
    plain, wanted = (parse(GOOD.replace("run: [ct-lung]", f"run: [ct-lung]{more}"), "a.yaml")
                     for more in ("", "\n    within: 30 min"))
    assert (plain.routes[0].within, wanted.routes[0].within) == (None, timedelta(minutes=30))
    assert plain.digest != wanted.digest


def test_all_mistakes_are_reported_at_once() -> None:
    found = problems(GOOD.replace("port: 104", "port: x").replace("at_most", "most").replace("NODE1", "N" * 17))

    assert len(found) == 3


@pytest.mark.catalogue("C1")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node:\n  host: a\n  host: b\n", "a.yaml:3: a key stands twice"),
        ("node: !!python/object/apply:os.system ['true']\n", "a.yaml:1: a YAML tag is not used here"),
        ("a: &x [1]\nb: *x\n", "a.yaml:2: a YAML alias is not used here"),
        ("\nnode: &x {}\n", "a.yaml:2: a YAML anchor is not used here"),
        ("%YAML 1.1\n---\nnode: {json_logs: yes}\n", "a.yaml:1: a YAML directive is not used here"),
        ("node: {}\n---\nnode: {}\n", "a.yaml:2: a second document is not used here"),
        ("node:\n  <<: {host: a}\n", "a.yaml:2: a YAML merge is not used here"),
        ("peers:\n  1: {}\n  '1': {}\n", "a.yaml:3: a key stands twice"),
        ("routes:\n- when: {{modality: CT}}\n", "a.yaml:2: a mapping or a list stands where a key belongs"),
        ("? [a]\n: b\n", "a.yaml:1: a mapping or a list stands where a key belongs"),
        ("node: {host: \x01}\n", "a.yaml:1: not YAML"),
        ("node: " + "[" * 9999 + "]" * 9999, "a.yaml:1: nested too deeply"),
        ("#" * 2**20 + "\n", "a.yaml:1: the file is too large"),
        ("node: [\n", "a.yaml:"),
        ("- 1\n", "a.yaml:1: not a mapping"),
    ],
    ids=["duplicate key", "tag", "alias", "anchor", "directive", "two documents", "merge",
         "number and text", "braces in braces", "list as key",
         "control character", "depth", "size",
         "broken", "list"],
)
def test_what_yaml_can_do_beyond_plain_values_is_refused(text: str, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems(text))


@pytest.mark.catalogue("C2")
def test_a_pattern_that_could_run_for_ever_is_refused() -> None:
    text = GOOD.replace("modality: CT", 'series_description: {matches: "(a+)+$"}')

    assert "can take for ever" in problems(text)[0]


@pytest.mark.catalogue("N15")
def test_two_senders_under_one_ae_title_need_different_addresses() -> None:
    second = "  PACS2:\n    ae_title: PACS1\n    host: 10.0.0.2\n    port: 104\n    sends: true\n"
    text = GOOD.replace("routes:", second + "routes:")

    assert "sends under the same AE title" in problems(text)[0]
    apart = text.replace("    sends: true\n    receives", "    hosts: [10.0.0.1]\n    sends: true\n    receives")
    assert parse(apart.replace("10.0.0.2\n", "10.0.0.2\n    hosts: [10.0.0.2]\n"), "a.yaml").peers.keys() == {
        "PACS1",
        "PACS2",
    }


@pytest.mark.catalogue("C4")
def test_a_route_to_nowhere_is_refused_with_the_nearest_name() -> None:
    configuration = parse(GOOD.replace("send: [PACS1]", "send: [PACS]").replace("ct-lung", "ct-lungs"), "a.yaml")

    found = [str(problem) for problem in check_references(configuration, ["ct-lung"])]

    assert found == [
        'a.yaml:16: routes.chest: no pipeline "ct-lungs" is installed; did you mean "ct-lung"?',
        'a.yaml:17: routes.chest: no peer is named "PACS"; did you mean "PACS1"?',
    ]


def test_a_source_that_cannot_send_is_refused_unless_strangers_may() -> None:
    text = GOOD.replace("modality: CT", "source: [pacs1, PACS9]")

    found = [str(problem) for problem in check_references(parse(text, "a.yaml"), ["ct-lung"])]

    assert found == [
        'a.yaml:13: routes.chest: source: no peer that sends is named "PACS9"; did you mean "PACS1"?',
    ]
    strangers = text.replace("ae_title: NODE1", "accept_unknown_peers: true")
    assert check_references(parse(strangers, "a.yaml"), ["ct-lung"]) == []


def test_a_destination_that_does_not_receive_is_refused() -> None:
    configuration = parse(GOOD.replace("    receives: true\n", ""), "a.yaml")

    (problem,) = check_references(configuration, ["ct-lung"])

    assert str(problem) == (
        'a.yaml:16: routes.chest: peer "PACS1" does not receive; set `receives: true` at peers.PACS1'
    )


def test_a_second_route_of_the_same_name_is_refused_at_its_own_line() -> None:
    again = "  - {name: broken}\n  - {name: chest, when: {modality: CT}, run: [ct-lung], send: [PACS1]}\n"

    assert 'a.yaml:19: routes.name: a second route is named "chest"; give it its own name' in problems(GOOD + again)


def test_an_empty_file_is_the_defaults() -> None:
    configuration = parse("", "a.yaml")

    assert configuration.settings.dicom_port == 11112
    assert (configuration.peers, configuration.routes) == ({}, ())


def test_any_keyword_of_the_dictionary_has_one_name_in_words() -> None:
    keywords = [keyword for keyword in keyword_dict if keyword]

    assert len({snake_case(keyword) for keyword in keywords}) == len(keywords)
    assert snake_case("KVP") == "kvp"
    assert snake_case("SOPClassUID") == "sop_class_uid"
    assert snake_case("BodyPartExamined") == "body_part_examined"


@settings(max_examples=200)
@given(st.text(max_size=200) | st.text(alphabet="{}[]:-,#&*!|>'\"% \n\tan1~?@`", max_size=60))
def test_any_text_is_used_or_refused_and_never_ends_the_node(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(text, "a.yaml")


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_any_value_in_any_place_is_used_or_refused(value: object) -> None:
    for section in ("node", "peers", "routes"):
        with contextlib.suppress(ConfigError):
            parse(json.dumps({section: value}), "a.yaml")
    with contextlib.suppress(ConfigError):
        parse(json.dumps({"routes": [{"name": "r", "when": value, "run": ["p"], "send": ["d"]}]}), "a.yaml")


def test_the_digest_follows_the_meaning_not_the_layout() -> None:
    assert parse(GOOD, "a").digest == parse("# a comment\n" + GOOD.replace("[PACS1]", "[ PACS1 ]"), "b").digest
    assert parse(GOOD, "a").digest != parse(GOOD.replace("3.0", "2.0"), "a").digest


def test_the_digest_is_the_same_wherever_the_node_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = parse(GOOD, "a").digest
    assert parse(GOOD.replace("ae_title: NODE1", "ae_title: NODE1\n  http_port: 8042"), "a").digest == before

    monkeypatch.setenv("RADNODE_DATA", str(tmp_path))
    monkeypatch.setenv("RADNODE_DATABASE_URL", "postgresql+psycopg://radnode:secret@db/radnode")
    assert parse(GOOD, "a").digest == before


@pytest.mark.parametrize("host", ["10.0.0.1", "pacs_1.radiology.example", "fe80::1", "localhost"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert parse(GOOD.replace("host: 10.0.0.1", f"host: '{host}'"), "a").peers["PACS1"].host == host


def test_only_settings_need_a_restart() -> None:
    old = parse(GOOD, "a")

    assert needs_restart(old, parse(GOOD.replace("3.0", "2.0"), "a")) == []
    assert needs_restart(old, parse(GOOD.replace("NODE1", "NODE2"), "a")) == ["ae_title"]
    assert needs_restart(old, parse(GOOD.replace("disk_reserve: 500 MB", "quiet_time_s: 5"), "a")) == ["disk_reserve"]


@pytest.mark.catalogue("C10")
def test_the_environment_keeps_the_database_password_out_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADNODE_DATABASE_URL", "postgresql+psycopg://radnode@db/radnode")

    assert parse(GOOD, "a").settings.effective_database_url.startswith("postgresql")


@pytest.mark.catalogue("C10")
def test_a_database_url_that_is_refused_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADNODE_DATABASE_URL", "mysql://radnode:secret@db/radnode")

    (problem,) = problems(GOOD)

    assert "it begins with sqlite:/// or postgresql+psycopg://" in problem
    assert "secret" not in problem
    monkeypatch.setenv("RADNODE_DATABASE_URL", "postgresql+psycopg://radnode:secret@db/radnode")
    assert "secret" not in repr(parse(GOOD, "a"))


def test_the_environment_moves_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RADNODE_DATA", str(tmp_path))

    assert parse(GOOD, "a").settings.effective_database_url == f"sqlite:///{tmp_path}/radnode.db"


def test_a_file_is_read_relative_to_its_folder_and_noticed_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "radnode.yaml"
    path.write_text(GOOD)
    before = stamp(path)

    assert load(path).settings.data == tmp_path / "radnode-data"
    path.write_text(GOOD + "\n")
    assert stamp(path) != before
    assert stamp(tmp_path / "absent") is None


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "absent.yaml")


def test_a_file_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"node:\n  ae_title: caf\xe9\n")

    with pytest.raises(ConfigError, match=r"latin\.yaml:2: not UTF-8; save it as UTF-8"):
        load(latin)
    with pytest.raises(ConfigError, match="directory"):
        load(tmp_path)


def test_a_route_in_shadow_says_so_in_one_word_and_forwards_nothing() -> None:
    text = "routes: [{name: a, when: {modality: CT}, run: [x], send: [y], shadow: %s}]\n"
    assert parse(text % "true", "test").routes[0].shadow is True
    for wrong, why in (("maybe", "neither true nor false"), ("true, forward: [z]", "a route in shadow sends nothing")):
        with pytest.raises(ConfigError, match=why):
            parse(text % wrong, "test")
