"""Studies: found by what an administrator knows of them, and explained from the first image to the proof of arrival."""

from __future__ import annotations

import json
import re
from functools import partial
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
    """A node of its own with a study that no route matches and two that lack slices for each language."""
    folder = tmp_path_factory.mktemp("troubled")
    whole, lacking = ([list(write_series(chest_phantom(slices=30, size=96, seed=seed), folder / str(seed)))
                       for seed in seeds] for seeds in ((11, 13), (12, 14, 16, 18)))
    routes = [{"name": "thin", "when": {"modality": "CT", "slice_thickness": {"at_most": 3.0}}, "run": ["ct-lung"],
               "send": ["PACS"]}]
    with StandInPacs() as pacs, NodeProcess(
        folder / "node", peers=[modality(), archive(pacs.port)], routes=routes
    ) as node:
        for files in whole:
            dcmtk.dcmsend(node.port, files, called="RADNODE")
        for files in lacking:
            dcmtk.dcmsend(node.port, files[:10] + files[12:], called="RADNODE")
        node.wait_for_states(NOT_ROUTED=60, INCOMPLETE=112, within=60)
        yield node


def said_of(page: Page) -> str:
    return page.locator(".said").inner_text()


def order(page: Page, name: str, reason: str = "") -> None:
    """Open an order and give it, as a person does. name: in the language of the page."""
    summary = page.locator("summary", has_text=re.compile(f"^{re.escape(name)}$"))
    act = page.locator("details.act", has=summary).first
    act.locator("summary").click()
    if reason:
        act.locator("input[name=reason]").fill(reason)
    act.locator("form button").click()


@pages.both
def test_why_a_study_did_not_run_is_the_first_sentence_and_it_is_found_by_what_is_known_of_it(
    troubled: NodeProcess, browser: Browser, language: str
) -> None:
    say = partial(pages.said, language, "studies")
    context = pages.logged_in(browser, troubled, role="operator", language=language)
    page = pages.opened(context, "/studies?state=no%20route")
    assert page.locator("#found tbody tr").count()
    page.goto("/studies")
    page.fill("#patient_name", "chest, phan")
    page.click("form.search button")
    expect(page.locator("#found")).to_contain_text(say("No study was found."))
    page.fill("#patient_name", "phan chest")
    page.click("form.search button")
    expect(page.locator("#found tbody tr")).to_have_count(6)
    assert page.url.endswith("/studies"), "what was searched for is in no address"
    page.select_option("#state", "incomplete")
    page.click("form.search button")
    expect(page.locator("#found tbody tr")).to_have_count(4)
    page.goto("/studies?state=no%20route")
    page.locator("#found tbody a").first.click()
    assert said_of(page) == {
        "en": "No route matched. The nearest, thin, wants “slice_thickness at most 3.0”; the images say “10.666667”.",
        "zh": "没有匹配的路由。最接近的 thin 要求“slice_thickness 不大于 3.0”，而影像中为“10.666667”。",  # noqa: RUF001
    }[language]
    pages.assert_well(page)
    pages.picture(page, f"study-no-route-{language}")
    context.close()


@pages.both
def test_an_operator_holds_a_study_runs_a_route_on_it_and_runs_it_again(
    troubled: NodeProcess, browser: Browser, language: str
) -> None:
    say = partial(pages.said, language, "studies")
    context = pages.logged_in(browser, troubled, role="operator", language=language)
    page = pages.opened(context, "/studies?state=no%20route")
    page.locator("#found tbody a").first.click()
    order(page, say("Hold"), "the physicist asks")
    expect(page.locator("#said")).to_have_text(say("The study is held: no job of it starts."))
    assert said_of(page) == say("Held by %(by)s, no job of it starts: %(reason)s", by="operator-in-tests",
                                reason="the physicist asks")
    order(page, say("Run a route"))
    expect(page.locator("#said")).to_have_text(say("Jobs that wait for their turn: %(number)s", number=1))
    pages.assert_well(page)
    pages.picture(page, f"study-held-{language}")
    assert [job["state"] for job in troubled.jobs() if job["state"] != "PRODUCED"] == ["WAITING"]
    order(page, say("Let go"))
    expect(page.locator(".said")).not_to_contain_text("the physicist asks")
    done = say("%(pipelines)s has run; %(destinations)s has the results.", pipelines="ct-lung", destinations="PACS")
    eventually(lambda: page.reload() and said_of(page) == done, within=120, why=lambda: said_of(page))
    order(page, say("Send again"))
    expect(page.locator("#said")).to_have_text(say("Results that wait to be sent again: %(number)s", number=1))
    order(page, say("Run again"))
    judged = say("Series that are judged and routed again within seconds: %(number)s", number=1)
    expect(page.locator("#said")).to_have_text(judged)
    assert "operator-in-tests" in page.locator("#events + .scroll").inner_text()
    context.close()


@pages.both
def test_what_is_discarded_or_read_incomplete_wants_a_reason_that_its_timeline_keeps(
    troubled: NodeProcess, browser: Browser, language: str
) -> None:
    say = partial(pages.said, language, "studies")
    context = pages.logged_in(browser, troubled, role="operator", language=language)
    page = pages.opened(context, "/studies?state=incomplete")
    page.locator("#found tbody a").first.click()
    pages.picture(page, f"study-incomplete-{language}")
    order(page, say("Discard"))
    assert page.locator("input[name=reason]:invalid").count()
    page.reload()
    order(page, say("Discard"), "not to be read")
    discarded = say("Discarded. The images stay until their time is over; what runs ends within ten seconds.")
    expect(page.locator("#said")).to_have_text(discarded)
    assert said_of(page) == say("It is not to be read: %(reason)s",
                                reason=say("discarded by operator-in-tests: not to be read"))
    page.goto("/studies?state=incomplete")
    page.locator("#found tbody a").first.click()
    order(page, say("Process as it is"), "the scanner lost two slices")
    closed = say("The series will be closed as it is within seconds; its results say what was missing.")
    expect(page.locator("#said")).to_have_text(closed)
    eventually(lambda: "no route" in troubled.command("study", "why", uid_of(page), "--config", troubled.config).stdout,
               within=30, why=lambda: troubled.log())
    page.reload()
    grounds = page.locator(".grounds").inner_text()
    assert say("closed as it is, by order of operator-in-tests") in grounds
    assert {"en": "2 slices are missing inside the stack", "zh": "堆栈内部缺少 2 层"}[language] in grounds
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
