"""The live overview in a browser: kept up to date without a reload, in both languages, honest when it is cut off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support import dcmtk, pages
from support.node import archive, modality
from support.waiting import eventually

from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from browser.conftest import Hospital
    from playwright.sync_api import Browser, Page
    from support.node import NodeProcess
    from support.pacs import StandInPacs

PARTS = ("alarms", "studies", "queue", "workers", "destinations", "sources", "ledger", "disk")


def part(page: Page, name: str) -> str:
    """What a part says now."""
    return page.locator(f"[data-part={name}]").inner_text()


def is_live(page: Page) -> None:
    """Wait until the events have come once."""
    page.locator("[data-live-badge].good").wait_for(timeout=20_000)


def narrowed(page: Page) -> None:
    """On a narrow screen it is no wider than that."""
    page.set_viewport_size({"width": 420, "height": 900})
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth <= innerWidth"), within=10)


@pytest.mark.parametrize(("language", "dark", "words"), [
    ("en", False, ("Phantom Chest", "30", "delivered", "balances", "No GPU")),
    ("zh", True, ("Phantom Chest", "30", "已送达", "平衡", "无 GPU")),
])
def test_the_overview_shows_what_the_node_has_done(
    hospital: Hospital, browser: Browser, language: str, dark: bool, words: tuple[str, ...]
) -> None:
    context = pages.logged_in(browser, hospital.node, language=language, dark=dark)
    page = pages.opened(context, "/")
    is_live(page)
    shown = " ".join(part(page, name) for name in PARTS)
    assert [word for word in words if word not in shown] == []
    assert "CT1" in part(page, "sources")
    assert "PACS" in part(page, "destinations")
    assert page.locator(".uplot canvas").count() == 3
    page.locator("details summary").click()
    table = page.locator("[data-hours] tbody tr")
    table.first.wait_for()
    assert table.count() == 24
    assert sum(int(each) for each in page.locator("[data-hours] tr td:nth-child(3)").all_inner_texts()) == 30
    page.locator("[data-days='7']").click()
    page.locator("[data-hours] tbody tr").nth(24 * 7 - 1).wait_for()
    pages.assert_well(page)
    pages.picture(page, f"overview-{language}")
    narrowed(page)
    pages.picture(page, f"overview-narrow-{language}")
    context.close()


@pages.both
def test_the_overview_of_a_node_on_which_much_has_happened_fits_a_narrow_screen(
    crowd: NodeProcess, browser: Browser, language: str
) -> None:
    context = pages.logged_in(browser, crowd, language=language, dark=language == "zh")
    page = pages.opened(context, "/")
    is_live(page)
    entries = [page.locator(f"[data-part={name}] {each}").count() for name, each in (
        ("alarms", "li"), ("studies", "tbody tr"), ("queue", "tbody tr"), ("destinations", "li"), ("sources", "li"))]
    assert [number > least for number, least in zip(entries, (5, 9, 2, 5, 5), strict=True)] == [True] * 5, entries
    pages.assert_well(page)
    pages.picture(page, f"overview-crowded-{language}")
    narrowed(page)
    pages.assert_well(page)
    pages.picture(page, f"overview-crowded-narrow-{language}")
    context.close()


def test_who_may_not_see_studies_sees_no_patient(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node, role="auditor")
    page = pages.opened(context, "/")
    is_live(page)
    assert "30" in part(page, "studies")
    assert not any(word in page.content() for word in ("Phantom", "PHANTOM-1", "A-1", "CT chest"))
    assert page.locator("a[href^='/studies/']").count() == 0
    pages.assert_well(page)
    context.close()


def test_a_study_appears_while_it_comes_and_a_page_that_is_open_does_not_hold_up_the_stop_of_the_node(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, browser: Browser, tmp_path: Path
) -> None:
    node = start_node(peers=[modality(), archive(pacs.port)], routes=[])
    files = write_series(chest_phantom(slices=12, size=32, seed=7), tmp_path / "ct")
    context = pages.logged_in(browser, node)
    opened = [context.new_page() for _ in range(4)]
    for page in opened:
        page.goto("/")
    page = opened[0]
    is_live(page)
    assert "No image has come yet." in part(page, "studies")
    page.locator("#to-alarms").focus()
    dcmtk.dcmsend(node.port, files, called="RADNODE")
    page.locator("[data-part=studies] tbody tr").wait_for(timeout=20_000)
    page.get_by_text("no route").first.wait_for(timeout=30_000)
    assert page.evaluate("document.activeElement.id") == "to-alarms", "what has the focus keeps it"
    assert node.get("/api/ledger")["holds"], "open pages leave the API alone"
    began = time.monotonic()
    node.stop()
    assert time.monotonic() - began < 30, "uvicorn would wait for ever; an idle node ends in a second"
    page.locator("[data-live-badge].bad").wait_for(timeout=20_000)
    assert "no connection; this is of" in page.locator("[data-live-badge]").inner_text()
    node.start()
    is_live(page)
    context.close()


def test_a_page_whose_session_has_ended_shows_nothing_new_and_leads_to_the_login(
    hospital: Hospital, browser: Browser
) -> None:
    context = pages.logged_in(browser, hospital.node, role="operator")
    page = context.new_page()
    page.goto("/")
    is_live(page)
    context.clear_cookies()
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
                  "document.dispatchEvent(new Event('visibilitychange'));"
                  "Object.defineProperty(document, 'hidden', {value: false});"
                  "document.dispatchEvent(new Event('visibilitychange'))")
    link = page.get_by_role("link", name="your session has ended: log in")
    link.wait_for(timeout=20_000)
    assert link.get_attribute("href") == "/login?then=%2F"
    context.close()


def test_an_alarm_is_shown_with_its_cure_silenced_for_a_time_and_told_again(
    start_node: Callable[..., NodeProcess], browser: Browser, pacs: StandInPacs
) -> None:
    away = archive(pacs.port, expect={"every": "1 s"})
    node = start_node(peers=[away], routes=[])
    eventually(lambda: "silence:PACS" in node.alarms(), within=60, why=node.log)
    for language, says in (("en", "look whether the source is on"), ("zh", "检查来源是否开机")):
        context = pages.logged_in(browser, node, language=language)
        page = pages.opened(context, "/")
        page.get_by_text(says).first.wait_for(timeout=20_000)
        page.locator("#to-alarms").click()
        page.get_by_text(says).first.wait_for()
        pages.assert_well(page)
        pages.picture(page, f"alarms-{language}")
        page.locator("#standing summary").first.click()
        page.locator("#standing select").first.select_option("8")
        page.locator("#standing input[name=reason]").first.fill("the scanner is being serviced")
        page.locator("#standing form button").first.click()
        page.locator("#standing").get_by_text("the scanner is being serviced").wait_for()
        (alarm,) = [each for each in node.get("/api/alarms") if each["name"] == "silence:PACS"]
        assert alarm["silenced"]["who"] == "admin-in-tests"
        pages.assert_well(page)
        page.locator("#standing form button").first.click()
        page.locator("#standing summary").first.wait_for()
        assert node.get("/api/alarms")[0]["silenced"] is None
        context.close()
    context = pages.logged_in(browser, node, role="radiologist")
    page = pages.opened(context, "/alarms")
    assert page.locator("#standing form").count() == 0, "who may not act sees no form"
    context.close()
