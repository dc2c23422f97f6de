"""The forms of connections over HTTP: every kind is written, in force, kept as a version, and refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML
from support.web import Site, whole_site

from radnode.storage import versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient
    from httpx import Response

WRITTEN = """\
peers:   # both in the cellar
  PACS: {ae_title: PACS, host: 10.1.2.3, port: 104, sends: true, receives: true}
routes:
  - {name: chest, when: {modality: CT}, run: [ct-lung], send: [PACS]}
"""
WEB = "https://web.example/dicom-web"
KINDS: list[tuple[str, str, dict[str, str], str]] = [
    ("peer", "CT1", {"ae_title": "CT1", "host": "10.1.2.4", "port": "104", "sends": "on"}, "peer"),
    ("dicomweb", "VNA", {"receives": "on", "dicomweb.url": WEB}, "peer"),
    ("archive", "PACS", {"retrieve": "c-move"}, "peer"),
    ("archive", "CLOUD", {"dicomweb.url": WEB}, "archive"),
    ("pull", "night", {"from": "PACS", "schedule": "0 20 * * *", "window": "1 d"}, "pull"),
    ("folder", "import", {"path": "in"}, "folder"),
    ("listener", "listener", {"port": "2575"}, "listener"),
    ("sender", "HIS", {"hosts": "10.1.2.5"}, "sender"),
    ("hl7", "RIS", {"host": "10.1.2.5", "not_processed": "on"}, "hl7"),
    ("fhir", "EHR", {"url": "https://fhir.example/r4", "not_processed": "on"}, "fhir"),
    ("orders", "orders", {"url": "https://fhir.example/r4"}, "orders"),
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with whole_site(tmp_path / "node", WRITTEN) as running:
        yield running


class Person:
    """Somebody at a browser, who sends what the forms send."""

    def __init__(self, site: Site, role: str = "admin") -> None:
        self.client: TestClient = site.logged_in(f"{role}-at-work", role)
        self._csrf = {"X-CSRF-Token": self.client.get("/api/me").json()["csrf"]}

    def seen(self) -> str:
        page = self.client.get("/connections/entries/new/peer").text
        return page.partition('name="seen" value="')[2].partition('"')[0]

    def post(self, address: str, **fields: str) -> Response:
        data = {"seen": self.seen(), **fields}
        return self.client.post(f"/connections/entries/{address}", data=data, headers=self._csrf)  # type: ignore[return-value]


def document(site: Site) -> dict[str, Any]:
    assert site.configuration.path is not None
    return dict(YAML(typ="safe", pure=True).load(site.configuration.path.read_text()))


def test_every_kind_is_added_one_after_the_other_in_force_at_once_and_kept_with_its_author(site: Site) -> None:
    admin = Person(site)
    for kind, name, fields, page in KINDS:
        said = admin.post(f"save/{kind}", name=name, is_new="1", enabled="on", note="first", **fields)
        assert (said.status_code, said.headers.get("HX-Redirect")) == (200, f"/connections/{page}/{name}"), said.text
        assert admin.client.get(f"/connections/{page}/{name}").status_code == 200
        form = admin.client.get(f"/connections/entries/change/{kind}/{name}").text
        assert all(f'value="{each}"' in form for key, each in fields.items() if each != "on" and key != "retrieve")
    assert site.configuration.path is not None
    assert "peers:   # both in the cellar\n" in site.configuration.path.read_text()
    with site.database.read() as session:
        kept = versions.newest(session, 20)
    assert [(each.author, each.note) for each in kept[:len(KINDS)]] == [
        ("admin-at-work", f"{kind} {name}: first") for kind, name, _, _ in reversed(KINDS)]
    assert document(site)["archives"] == {"PACS": {"retrieve": "c-move"}, "CLOUD": {"dicomweb": {"url": WEB}}}


def test_a_mistake_stands_below_its_field_and_changes_nothing(site: Site) -> None:
    admin, before = Person(site), document(site)
    fields = {"name": "night", "from": "PACS", "schedule": "often", "window": "2", "enabled": "on"}
    shown = admin.client.get("/connections/entries/preview/pull", params=fields).text
    beside = {each.partition('"')[0]: each.partition(">")[2].partition("</p>")[0]
              for each in shown.split('<p class="wrong" id="')[1:]}
    assert {key for key, said in beside.items() if said} == {"f-window-wrong", "f-schedule-wrong"}
    assert "five fields as of cron" in beside["f-schedule-wrong"]
    refused = admin.post("save/pull", is_new="1", **fields)
    assert (refused.status_code, document(site)) == (422, before)
    assert admin.post("save/peer", name="PACS", is_new="1", ae_title="P").status_code == 409
    stale = admin.post("save/hl7", name="RIS", host="ris", enabled="on", seen="0" * 64)
    assert (stale.status_code, document(site)) == (409, before)


def test_what_a_route_needs_is_neither_removed_nor_put_aside_and_the_route_is_named(site: Site) -> None:
    admin, before = Person(site), document(site)
    removed = admin.post("remove/peer/PACS", note="gone")
    assert removed.status_code == 422
    assert 'routes.chest: no peer is named "PACS"' in removed.json()["detail"]
    fields = {"ae_title": "PACS", "host": "10.1.2.3", "port": "104", "sends": "on", "receives": "on"}
    aside = admin.post("save/peer", name="PACS", **fields)
    assert "it says `enabled: false`" in aside.json()["detail"]
    assert document(site) == before
    assert admin.post("save/hl7", name="RIS", host="ris", is_new="1").status_code == 200
    assert "not in use" in admin.client.get("/connections/hl7/RIS").text
    assert admin.post("remove/hl7/RIS").status_code == 422  # without a reason
    assert admin.post("remove/hl7/RIS", note="gone").status_code == 200
    assert admin.client.get("/connections/hl7/RIS").status_code == 404


def test_only_who_may_configure_has_forms(site: Site) -> None:
    operator = Person(site, "operator")
    for path in ("new", "new/hl7", "change/peer/PACS", "preview/hl7?name=a"):
        assert operator.client.get(f"/connections/entries/{path}").status_code == 403
    for path in ("save/hl7", "try/hl7", "remove/peer/PACS"):
        assert operator.post(path, name="a").status_code == 403
