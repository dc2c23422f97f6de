"""The newcomer's path: one-time link, guided first start, a route built by clicks, a test study, its result."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support import pages
from support.node import NodeProcess
from support.pacs import StandInPacs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page


def first_link(node: NodeProcess) -> str:
    """As the log of the first start says it."""
    found = re.search(r"/link/[\w-]+", node.log())
    assert found, node.log()
    return found.group()


def begun(context: BrowserContext, node: NodeProcess) -> Page:
    """A password by the first link, which leads to the guide."""
    page = pages.opened(context, first_link(node))
    page.fill("#password", pages.PASSWORD)
    page.fill("#again", pages.PASSWORD)
    page.get_by_role("button").click()
    page.wait_for_url("**/administration/start/name")
    return page


def see_the_overlay(page: Page, say: Callable[..., str]) -> None:
    """By the guide's own link, and from there to the series that was read."""
    page.get_by_role("link", name=say("See the result on the images")).click()
    page.wait_for_url("**/pictures")
    page.locator("main a[href*='/series/']").first.click()
    page.locator(".layers img").first.wait_for(state="attached")
    pages.assert_well(page)
    pages.picture(page, "start-overlay")


@pages.both
def test_an_administrator_comes_from_the_first_link_to_a_result_by_clicks_alone(
    tmp_path: Path, browser: Browser, language: str
) -> None:
    say = partial(pages.said, language, "administration")
    with StandInPacs() as pacs, NodeProcess(tmp_path / "node", routes=()) as node:
        context = browser.new_context(base_url=f"http://127.0.0.1:{node.http_port}", locale=pages.LOCALES[language],
                                      viewport={"width": 1280, "height": 900})
        page = begun(pages.written_down(context, language), node)
        pages.assert_well(page)
        pages.picture(page, f"start-name-{language}")
        page.get_by_role("button", name=say("Keep this and go on")).click()

        page.wait_for_url("**/administration/start/source")
        page.fill("#name", "PACS1")
        page.fill("#ae", pacs.ae_title)
        page.fill("#host", "127.0.0.1")
        page.fill("#port", "99999")
        page.get_by_role("button", name=say("Save and go on")).click()
        page.get_by_role("alert").get_by_text("peers.PACS1.port").wait_for()
        page.fill("#port", str(pacs.port))
        page.get_by_label(say("It also gets the results (a PACS mostly does)")).check()
        page.get_by_role("button", name=say("Try the connection")).click()
        page.get_by_text(say("answers C-ECHO and knows RADNODE")).wait_for()
        pages.assert_well(page)
        pages.picture(page, f"start-source-{language}")
        page.get_by_role("button", name=say("Save and go on")).click()

        page.wait_for_url("**/administration/start/destination")
        page.get_by_role("link", name=say("Go on with these")).click()
        page.fill("#name", "chest-ct")
        pages.assert_well(page)
        pages.picture(page, f"start-route-{language}")
        page.get_by_role("button", name=say("Save and go on")).click()

        page.wait_for_url("**/administration/start/test")
        assert "chest-ct" in node.config.read_text()
        page.get_by_role("button", name=say("Send the test study")).click()
        page.get_by_text(say("the result has arrived")).wait_for(timeout=120_000)
        pages.assert_well(page)
        pages.picture(page, {"en": "page-first-start", "zh": "page-first-start-zh"}[language])
        assert {str(each.PatientID) for each in pacs.stored()} == {"RADNODE-TEST"}
        see_the_overlay(page, say)
        page.goto("/administration/start")
        assert page.get_by_text(say("done"), exact=True).count() == 5
        context.close()


@pages.both
def test_the_first_start_is_left_and_taken_up_where_it_was(tmp_path: Path, browser: Browser, language: str) -> None:
    say = partial(pages.said, language, "administration")
    with NodeProcess(tmp_path / "node", routes=()) as node:
        context = pages.logged_in(browser, node, language=language, dark=language == "zh")
        page = pages.opened(context, "/administration/start")
        assert page.url.endswith("/start/name")
        page.locator("main form button").click()
        page.wait_for_url("**/start/source")
        pages.assert_well(page)
        pages.picture(page, f"start-first-{language}")
        page.goto("/")
        page.goto("/administration/start")
        assert page.url.endswith("/start/source")
        for step in ("destination", "route", "test"):
            page.goto(f"/administration/start/{step}")
            pages.assert_well(page)
        page.goto("/administration/start/destination")
        for field, value in (("#name", "ARCHIVE"), ("#ae", "ARCHIVE"), ("#host", "127.0.0.1"), ("#port", "104")):
            page.fill(field, value)
        page.get_by_role("button", name=say("Save and go on")).click()
        page.wait_for_url("**/start/route")
        assert "ARCHIVE" in node.config.read_text()
        context.close()


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node whose settings are changed, and that makes back-ups."""
    folder = tmp_path_factory.mktemp("managed")
    kept = {"backup": {"folder": str(folder / "backups"), "at": "02:30", "keep": 3}}
    with NodeProcess(folder / "node", routes=(), more=kept) as node:
        yield node


@pages.both
def test_a_setting_is_explained_refused_with_the_loaders_sentence_and_changed(
    managed: NodeProcess, browser: Browser, language: str
) -> None:
    say, seconds = partial(pages.said, language, "administration"), {"en": 42, "zh": 43}[language]
    context = pages.logged_in(browser, managed, language=language)
    page = pages.opened(context, "/administration/settings")
    pages.assert_well(page)
    pages.picture(page, f"settings-{language}")
    page.get_by_role("link", name="quiet_time_s").click()
    page.fill("#value", "-3")
    page.get_by_role("button", name=say("Save")).click()
    page.get_by_role("alert").get_by_text("node.quiet_time_s").wait_for()
    pages.assert_well(page)
    pages.picture(page, f"setting-{language}")
    page.fill("#value", str(seconds))
    page.get_by_role("button", name=say("Save")).click()
    page.get_by_text(say("Saved; it is in force")).wait_for()
    assert f"quiet_time_s: {seconds}" in managed.config.read_text()
    page.goto("/administration/settings/node/retention_days")
    page.fill("#value", str(seconds))
    page.get_by_role("button", name=say("Save")).click()
    page.get_by_text(say("Saved; it takes effect after a restart")).wait_for()
    page.goto("/administration/settings/alarms/webhook")
    page.fill("#value", f"url: http://127.0.0.1:9/{language}")
    page.get_by_role("button", name=say("Save")).click()
    page.get_by_text(say("Saved; it is in force")).wait_for()
    page.goto("/administration/settings")
    page.get_by_role("button", name=say("Send a test to the webhook")).click()
    page.locator("#said", has_text=re.compile("[Rr]efused")).wait_for()
    context.close()


@pages.both
def test_a_backup_is_made_by_a_click_and_listed_and_the_doctor_is_a_page(
    managed: NodeProcess, browser: Browser, language: str
) -> None:
    say = partial(pages.said, language, "administration")
    context = pages.logged_in(browser, managed, language=language)
    page = pages.opened(context, "/administration/backups")
    page.get_by_role("button", name=say("Make a back-up now")).click()
    page.get_by_text(say("The back-up was made")).wait_for()
    assert page.locator("tbody tr").count() >= 1
    pages.assert_well(page)
    pages.picture(page, f"backups-{language}")
    page.get_by_role("link", name=say("Diagnosis")).click()
    page.get_by_text(say("What was looked at")).wait_for(timeout=120_000)
    assert say("free space") in page.locator("main").inner_text()
    pages.assert_well(page)
    pages.picture(page, f"diagnosis-{language}")
    context.close()
