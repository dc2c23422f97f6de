"""A configuration is used whole or refused with every mistake explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from radnode.config.loading import ConfigError, check_references, load, needs_restart, parse, stamp

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
    ],
)
def test_a_mistake_is_named_with_its_line_and_its_cure(wrong: str, right: str, expected: str) -> None:
    found = problems(GOOD.replace(wrong, right))

    assert any(expected in problem for problem in found), found


def test_all_mistakes_are_reported_at_once() -> None:
    found = problems(GOOD.replace("port: 104", "port: x").replace("at_most", "most").replace("NODE1", "N" * 17))

    assert len(found) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node:\n  host: a\n  host: b\n", "a.yaml:3: a key stands twice"),
        ("node: !!python/object/apply:os.system ['true']\n", "a.yaml:1: a YAML tag is not used here"),
        ("a: &x [1]\nb: *x\n", "a.yaml:2: a YAML alias is not used here"),
        ("node: [\n", "a.yaml:"),
        ("- 1\n", "a.yaml:1: not a mapping"),
    ],
    ids=["duplicate key", "tag", "alias", "broken", "list"],
)
def test_what_yaml_can_do_beyond_plain_values_is_refused(text: str, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems(text))


def test_a_pattern_that_could_run_for_ever_is_refused() -> None:
    text = GOOD.replace("modality: CT", 'series_description: {matches: "(a+)+$"}')

    assert "can take for ever" in problems(text)[0]


def test_two_senders_under_one_ae_title_need_different_addresses() -> None:
    second = "  PACS2:\n    ae_title: PACS1\n    host: 10.0.0.2\n    port: 104\n    sends: true\n"
    text = GOOD.replace("routes:", second + "routes:")

    assert "sends under the same AE title" in problems(text)[0]
    apart = text.replace("    sends: true\n    receives", "    hosts: [10.0.0.1]\n    sends: true\n    receives")
    assert parse(apart.replace("10.0.0.2\n", "10.0.0.2\n    hosts: [10.0.0.2]\n"), "a.yaml").peers.keys() == {
        "PACS1",
        "PACS2",
    }


def test_a_route_to_nowhere_is_refused_with_the_nearest_name() -> None:
    configuration = parse(GOOD.replace("send: [PACS1]", "send: [PACS]").replace("ct-lung", "ct-lungs"), "a.yaml")

    found = [str(problem) for problem in check_references(configuration, ["ct-lung"])]

    assert found == [
        'a.yaml:16: routes.chest: no pipeline "ct-lungs" is installed; did you mean "ct-lung"?',
        'a.yaml:17: routes.chest: no peer is named "PACS"; did you mean "PACS1"?',
    ]


def test_the_digest_follows_the_meaning_not_the_layout() -> None:
    assert parse(GOOD, "a").digest == parse("# a comment\n" + GOOD.replace("[PACS1]", "[ PACS1 ]"), "b").digest
    assert parse(GOOD, "a").digest != parse(GOOD.replace("3.0", "2.0"), "a").digest


def test_only_settings_need_a_restart() -> None:
    old = parse(GOOD, "a")

    assert needs_restart(old, parse(GOOD.replace("3.0", "2.0"), "a")) == []
    assert needs_restart(old, parse(GOOD.replace("NODE1", "NODE2"), "a")) == ["ae_title"]


def test_the_environment_keeps_the_database_password_out_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADNODE_DATABASE_URL", "postgresql+psycopg://radnode@db/radnode")

    assert parse(GOOD, "a").settings.effective_database_url.startswith("postgresql")


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
