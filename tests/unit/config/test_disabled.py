"""`enabled: false` puts a connection aside: it is checked as any other, and otherwise as if it did not stand there."""

from __future__ import annotations

import pytest

from radnode.config.loading import ConfigError, parse
from radnode.config.references import check_references

GOOD = """\
peers:
  PACS: {ae_title: PACS, host: pacs, port: 104, receives: true}
  CT1: {ae_title: CT1, host: ct1, port: 104, sends: true}
archives:
  VNA: {dicomweb: {url: "https://vna.example/dicom-web"}}
folders:
  - {name: import, path: in}
messaging:
  listen: {port: 2575}
  senders: {RIS: {hosts: [10.1.2.5]}}
  hl7: {RIS-OUT: {host: 10.1.2.5}}
  fhir: {EHR: {url: "https://fhir.example/r4"}}
"""
EACH = {
    ("peers", "PACS"): "receives: true", ("peers", "CT1"): "sends: true", ("archives", "VNA"): "VNA: {",
    ("folders", "import"): "{name: import", ("messaging", "senders", "RIS"): "hosts: [10.1.2.5]",
    ("messaging", "hl7", "RIS-OUT"): "{host: 10.1.2.5", ("messaging", "fhir", "EHR"): "EHR: {",
}


def off(where: tuple[str, ...], value: str = "false") -> str:
    at = EACH[where]
    new = f"{at}enabled: {value}, " if at.endswith("{") else f"{at}, enabled: {value}"
    return GOOD.replace(at, new, 1)


@pytest.mark.parametrize("where", EACH)
def test_what_is_put_aside_is_known_by_name_and_nothing_else_of_it_counts(where: tuple[str, ...]) -> None:
    before, after = parse(GOOD, "a"), parse(off(where), "a")

    assert (before.disabled, after.disabled) == ((), (where,))
    name = where[-1]
    assert name not in {*after.peers, *after.retrieving.archives, *after.retrieving.sources, *after.messaging.senders,
                        *after.destinations}
    assert parse(off(where, "true"), "a") == before


@pytest.mark.parametrize("where", EACH)
def test_what_is_put_aside_is_checked_like_any_other(where: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="is wrong") as refused:
        parse(off(where, "perhaps"), "a")
    assert [each for each in refused.value.problems[0].where if not isinstance(each, int)][-1] == "enabled"


@pytest.mark.parametrize(("where", "route"), [
    (("peers", "PACS"), "{name: a, when: {modality: CT}, run: [ct-lung], send: [PACS]}"),
    (("messaging", "fhir", "EHR"), "{name: a, when: {modality: CT}, run: [ct-lung], send: [EHR]}"),
    (("peers", "CT1"), "{name: a, when: {source: CT1}, run: [ct-lung], send: [PACS]}"),
])
def test_a_route_that_names_it_is_a_mistake_and_told_why(where: tuple[str, ...], route: str) -> None:
    routes = f"routes:\n  - {route}\n"
    assert check_references(parse(GOOD + routes, "a"), ["ct-lung"]) == []

    (problem,) = check_references(parse(off(where) + routes, "a"), ["ct-lung"])
    assert "it says `enabled: false`" in str(problem)


def test_an_archive_that_is_put_aside_is_not_asked_by_a_pull() -> None:
    pull = 'pulls:\n  - {name: today, from: VNA, schedule: "* * * * *", window: 2 d}\n'
    assert parse(GOOD + pull, "a").retrieving.pulls
    with pytest.raises(ConfigError, match='no archive is named "VNA"'):
        parse(off(("archives", "VNA")) + pull, "a")


def test_a_port_for_messages_may_be_open_before_anybody_may_send() -> None:
    assert parse("messaging: {listen: {port: 2575}}", "a").messaging.senders == {}
