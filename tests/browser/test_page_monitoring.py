"""The administrator sees what drifted, where and since when; the radiologist says what a result was worth."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support import pages, watched
from support.node import NodeProcess, modality
from support.waiting import eventually

from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser.conftest import Hospital
    from playwright.sync_api import Browser

MOVED = (datetime.now(UTC) - timedelta(days=20)).strftime("%Y-%m-%d")
PAGES = ("/monitoring", "/monitoring/scanners", "/monitoring/feedback", "/monitoring/comparison",
         "/monitoring/pipelines/ct-nodule", "/monitoring/pipelines/ct-nodule?figure=image%2Fnoise&scanner=2")


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that has worked for seventy days; a kernel was changed at CT2 twenty days ago."""
    folder = tmp_path_factory.mktemp("watching")
    node = NodeProcess(folder, peers=[modality()], routes=())
    node.data.mkdir()
    database = Database(node.database_url)
    database.upgrade()
    watched.months(database, datetime.now(UTC), moved_at=20)
    database.close()
    with node:
        eventually(lambda: "drift" in node.alarms(), within=30, why=node.alarms)
        yield node


def test_what_drifted_where_and_since_when_is_said_at_first_sight_and_as_an_alarm(
    watching: NodeProcess, browser: Browser
) -> None:
    context = pages.logged_in(browser, watching)
    page = pages.opened(context, "/monitoring")
    row = page.get_by_role("row").filter(has_text="ct-nodule")
    assert "drifted" in row.inner_text()
    assert "Kernel" in row.inner_text() or "Noise" in row.inner_text() or "Slice" in row.inner_text()
    assert "CT2" in row.inner_text()
    assert "CT1" not in row.inner_text()
    pages.assert_well(page)
    pages.picture(page, "monitoring")
    row.get_by_role("link").nth(1).click()
    page.get_by_text("Population stability index").wait_for()
    context.close()
    assert "ct-nodule no longer gets or gives what it did" in watching.alarms()


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("zh", True)])
def test_every_page_is_well_in_both_languages(
    watching: NodeProcess, browser: Browser, language: str, dark: bool
) -> None:
    context = pages.logged_in(browser, watching, language=language, dark=dark)
    for number, path in enumerate(PAGES):
        page = pages.opened(context, path)
        pages.assert_well(page)
        pages.picture(page, f"monitoring-{language}-{number}")
        page.close()
    page = pages.opened(context, "/monitoring")
    with page.expect_response("**/monitoring/look") as answer:
        page.get_by_role("button", name=pages.said(language, "monitoring", "Look at all figures now")).click()
    assert answer.value.ok
    context.close()


def test_a_figure_is_drawn_and_stands_in_a_table(watching: NodeProcess, browser: Browser) -> None:
    context = pages.logged_in(browser, watching)
    page = pages.opened(context, "/monitoring/pipelines/ct-nodule?figure=image%2Fnoise&scanner=2")
    page.locator(".chart canvas").wait_for()
    page.get_by_text("As a table").click()
    assert page.locator("#course-days tbody tr").count() >= 55
    page.locator("select[name=figure]").select_option(label="Kernel")
    page.get_by_role("button", name="Show").click()
    page.locator("#course-days").get_by_text("Br64d 5").first.wait_for()
    assert page.locator("#course-days").get_by_text("B70f 5").count() > 30
    pages.assert_well(page)
    context.close()


def test_a_registry_gets_a_table_without_patients(watching: NodeProcess) -> None:
    answer = watching._client.get("/monitoring/figures.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert {row["station"] for row in rows} == {"CT1", "CT2"}
    kernels = {row["words"] for row in rows if row["figure"] == "protocol/ConvolutionKernel" and row["day"] > MOVED}
    assert kernels == {"B70f=5", "Br64d=5"}


@pages.both
def test_a_radiologist_says_what_a_result_was_worth_and_it_is_counted(
    hospital: Hospital, browser: Browser, language: str
) -> None:
    say, comment = partial(pages.said, language, "monitoring"), f"the left apex is not lung ({language})"
    context = pages.logged_in(browser, hospital.node, role="radiologist", language=language)
    page = pages.opened(context, "/monitoring/studies/1")
    page.get_by_label(say("false mark")).check()
    page.get_by_label(say("Comment (no patient data)")).fill(comment)
    page.get_by_role("button", name=say("Say so")).click()
    page.get_by_text(say("Noted: %(verdict)s.", verdict=say("false mark"))).wait_for()
    page.get_by_text(comment).wait_for()
    pages.assert_well(page)
    pages.picture(page, f"monitoring-study-{language}")
    page.goto("/monitoring/feedback")
    assert comment in page.locator("main").inner_text()
    assert "0 % (0\u2013" in page.locator("main").inner_text()
    pages.assert_well(page)
    pages.picture(page, f"monitoring-feedback-{language}")
    context.close()


def test_who_may_not_see_studies_sees_figures_and_no_feedback(watching: NodeProcess, browser: Browser) -> None:
    context = pages.logged_in(browser, watching, role="auditor")
    page = pages.opened(context, "/monitoring")
    assert page.get_by_role("link", name="Feedback").count() == 0
    answer = page.goto("/monitoring/feedback")
    assert answer is not None
    assert answer.status == 403
    context.close()
