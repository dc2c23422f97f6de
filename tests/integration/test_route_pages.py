"""The pages of routes and models over HTTP: what somebody else changed meanwhile is said, what was done is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import bundles
from support.web import Site, whole_site

from radnode.config.loading import load
from radnode.pipelines.models import store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient

WRITTEN = """\
peers:
  PACS: {ae_title: PACS, host: 10.1.2.3, port: 104, sends: true, receives: true}
routes:
  - {name: chest, when: {modality: CT}, run: [ct-lung], send: [PACS]}
  - {name: head, when: {modality: MR}, run: [mr-brain], send: [PACS]}
"""
DRAFT = {
    "original": "chest", "name": "chest", "line.group": "", "line.attribute": "modality", "line.operator": "is",
    "line.value": "CT", "run": "ct-lung", "send": "PACS", "enabled": "on", "days": "7",
}
GONE = {
    "en": "there is no route chest any more; somebody renamed or deleted it; go back to the version that has it",
    "zh": "路由 chest 已不存在；有人已将其改名或删除；请退回到含有它的版本",  # noqa: RUF001
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with whole_site(tmp_path / "node", WRITTEN) as running:
        yield running


def at_work(site: Site, language: str) -> TestClient:
    """An administrator's browser in a language."""
    client = site.logged_in("admin-at-work", "admin")
    client.headers["X-CSRF-Token"] = client.get("/api/me").json()["csrf"]
    client.cookies.set("language", language)
    return client


def seen(page: str) -> str:
    """The digest that a form carries."""
    return page.partition('name="seen" value="')[2].partition('"')[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_draft_of_a_route_that_somebody_deleted_meanwhile_says_so_and_what_to_do(site: Site, language: str) -> None:
    admin = at_work(site, language)
    open_form = admin.get("/routes/edit?route=chest").text
    before = admin.post("/routes/draft", data=DRAFT)
    assert GONE[language] not in before.text
    digest = seen(admin.get("/routes").text)
    assert admin.post("/routes/delete", data={"route": "chest", "seen": digest}).status_code == 200
    draft = admin.post("/routes/draft", data=DRAFT)
    assert (draft.status_code, GONE[language] in draft.text) == (200, True), draft.text
    assert "modality: CT" in draft.text, "what was written is still there to be taken over"
    tried = admin.post("/routes/draft/past", data=DRAFT)
    assert (tried.status_code, tried.text) == (200, "")
    saved = admin.post("/routes/save", data={**DRAFT, "seen": seen(open_form)})
    assert saved.status_code == 409, "the configuration is another than he saw"
    now = {**DRAFT, "seen": seen(admin.get("/routes").text)}
    again = admin.post("/routes/save", data=now, headers={"HX-Request": "true"})
    assert (again.status_code, GONE[language] in again.text) == (404, True), again.text


def test_a_model_that_was_removed_is_listed_no_more_on_the_page_that_follows(site: Site, tmp_path: Path) -> None:
    assert site.configuration.path is not None
    models = load(site.configuration.path).settings.model_store
    store.add(models, bundles.write_bundle(tmp_path / "threshold"), name="threshold")
    admin = at_work(site, "en")
    switched = {"route": "head", "key": "enabled", "value": "false", "seen": seen(admin.get("/routes").text)}
    assert admin.post("/routes/switch", data=switched).status_code == 200, "this takes over what is installed, too"
    assert "/pipelines/threshold" in admin.get("/pipelines").text
    removed = admin.post("/pipelines/remove/threshold", data={"name": "threshold", "note": "it was tried"})
    assert (removed.status_code, removed.headers.get("HX-Redirect")) == (200, "/pipelines"), removed.text
    assert "/pipelines/threshold" not in admin.get("/pipelines").text
    assert admin.get("/pipelines/threshold").status_code == 404
