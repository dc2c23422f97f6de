"""Studies: found by what an administrator knows of them, and explained from the first image to the proof of arrival."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from support import dcmtk, pages
from support.node import NodeProcess, archive, modality
from support.pacs import StandInPacs
from support.waiting import eventually

from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser.conftest import Hospital
    from playwright.sync_api import Browser, Page


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("zh", True)])
def test_the_newest_study_is_listed_and_leads_to_its_timeline(
    hospital: Hospital, browser: Browser, language: str, dark: bool
) -> None:
    context = pages.logged_in(browser, hospital.node, language=language, dark=dark)
    page = pages.opened(context, "/studies")
    pages.assert_well(page)
    pages.picture(page, f"studies-{language}")
    page.locator("#found tbody a").first.click()
    page.wait_for_url("**/studies/*")
    assert page.locator(".said").inner_text()
    pages.assert_well(page)
    pages.picture(page, f"study-{language}")
    context.close()


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node of its own with a study that no route matches and one that lacks slices."""
    folder = tmp_path_factory.mktemp("troubled")
    whole = list(write_series(chest_phantom(slices=30, size=96, seed=11), folder / "whole"))
    lacking = list(write_series(chest_phantom(slices=30, size=96, seed=12), folder / "lacking"))
    routes = [{"name": "thin", "when": {"modality": "CT", "slice_thickness": {"at_most": 3.0}}, "run": ["ct-lung"],
               "send": ["PACS"]}]
    with StandInPacs() as pacs, NodeProcess(
        folder / "node", peers=[modality(), archive(pacs.port)], routes=routes
    ) as node:
        dcmtk.dcmsend(node.port, whole, called="RADNODE")
        dcmtk.dcmsend(node.port, lacking[:10] + lacking[12:], called="RADNODE")
        node.wait_for_states(NOT_ROUTED=30, INCOMPLETE=28, within=60)
        yield node


def said_of(page: Page) -> str:
    return page.locator(".said").inner_text()


def order(page: Page, name: str, reason: str = "") -> None:
    """Open an order and give it, as a person does."""
    act = page.locator("details.act", has=page.locator("summary", has_text=re.compile(f"^{name}$"))).first
    act.locator("summary").click()
    if reason:
        act.locator("input[name=reason]").fill(reason)
    act.locator("form button").click()


def test_why_a_study_did_not_run_is_the_first_sentence_and_it_is_found_by_what_is_known_of_it(
    troubled: NodeProcess, browser: Browser
) -> None:
    context = pages.logged_in(browser, troubled, role="operator")
    page = pages.opened(context, "/studies?state=no%20route")
    assert page.locator("#found tbody tr").count() == 1
    page.goto("/studies")
    page.fill("#patient_name", "chest, phan")
    page.click("form.search button")
    expect(page.locator("#found")).to_contain_text("No study was found.")
    page.fill("#patient_name", "phan chest")
    page.click("form.search button")
    expect(page.locator("#found tbody tr")).to_have_count(2)
    assert page.url.endswith("/studies"), "what was searched for is in no address"
    page.select_option("#state", "incomplete")
    page.click("form.search button")
    expect(page.locator("#found tbody tr")).to_have_count(1)
    page.goto("/studies?state=no%20route")
    page.locator("#found tbody a").first.click()
    assert said_of(page) == ("No route matched. The nearest, thin, wants “slice_thickness at most 3.0”; the images "
                             "say “10.666667”.")
    pages.assert_well(page)
    pages.picture(page, "study-no-route")
    context.close()


def test_an_operator_holds_a_study_runs_a_route_on_it_and_runs_it_again(
    troubled: NodeProcess, browser: Browser
) -> None:
    context = pages.logged_in(browser, troubled, role="operator")
    page = pages.opened(context, "/studies?state=no%20route")
    page.locator("#found tbody a").first.click()
    order(page, "Hold", "the physicist asks")
    expect(page.locator("#said")).to_have_text("The study is held: no job of it starts.")
    assert said_of(page) == "Held by operator-in-tests, no job of it starts: the physicist asks"
    order(page, "Run a route")
    expect(page.locator("#said")).to_have_text("Jobs that wait for their turn: 1")
    pages.assert_well(page)
    pages.picture(page, "study-held")
    assert [job["state"] for job in troubled.jobs()] == ["WAITING"]
    order(page, "Let go")
    expect(page.locator(".said")).not_to_contain_text("Held by")
    troubled.wait_for_states(PROCESSED=30, INCOMPLETE=28, within=120)
    eventually(lambda: page.reload() and "PACS has" in said_of(page), within=30, why=lambda: said_of(page))
    order(page, "Send again")
    expect(page.locator("#said")).to_have_text("Results that wait to be sent again: 1")
    order(page, "Run again", "")
    expect(page.locator("#said")).to_contain_text("judged and routed again")
    assert "operator-in-tests" in page.locator("#events + .scroll").inner_text()
    context.close()


def test_what_is_discarded_or_read_incomplete_wants_a_reason_that_its_timeline_keeps(
    troubled: NodeProcess, browser: Browser
) -> None:
    context = pages.logged_in(browser, troubled, role="operator")
    page = pages.opened(context, "/studies?state=incomplete")
    page.locator("#found tbody a").first.click()
    pages.picture(page, "study-incomplete")
    order(page, "Discard")
    assert page.locator("input[name=reason]:invalid").count()
    page.reload()
    order(page, "Process as it is", "the scanner lost two slices")
    expect(page.locator("#said")).to_contain_text("closed as it is")
    eventually(lambda: "no route" in troubled.command("study", "why", uid_of(page), "--config", troubled.config).stdout,
               within=30, why=lambda: troubled.log())
    page.reload()
    assert "closed as it is, by order of operator-in-tests" in page.locator(".grounds").inner_text()
    assert "2 slices are missing" in page.locator(".grounds").inner_text()
    assert "the scanner lost two slices" in page.locator("#events + .scroll").inner_text()
    context.close()


def uid_of(page: Page) -> str:
    return page.locator("p .uid").first.inner_text()


def test_who_may_only_look_is_offered_no_order_and_given_none(troubled: NodeProcess, browser: Browser) -> None:
    context = pages.logged_in(browser, troubled, role="radiologist")
    page = pages.opened(context, "/studies/1")
    assert page.locator("details.act").count() == 0
    token = page.locator("body").get_attribute("hx-headers") or ""
    answer = context.request.post("/studies/1/hold", headers=json.loads(token))
    assert answer.status == 403
    context.close()
