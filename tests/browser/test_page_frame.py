"""What stands around every page: login, language, theme, keyboard, nothing without login."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from support import pages

if TYPE_CHECKING:
    from browser.conftest import Hospital
    from playwright.sync_api import Browser


def test_who_comes_without_a_session_is_led_to_the_login_and_back(hospital: Hospital, browser: Browser) -> None:
    context = browser.new_context(base_url=f"http://127.0.0.1:{hospital.node.http_port}")
    page = context.new_page()
    page.goto("/")
    assert page.url.endswith("/login?then=%2F")
    context.close()
    context = pages.logged_in(browser, hospital.node)
    page = pages.opened(context, "/")
    assert page.title() == "Overview · RADNODE"
    pages.assert_well(page)
    pages.picture(page, "overview")
    context.close()


def test_the_page_is_chinese_and_dark_for_who_reads_so_and_can_be_changed(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node, language="zh", dark=True)
    page = pages.opened(context, "/")
    assert page.get_by_role("heading", level=1).inner_text() == "总览"
    pages.assert_well(page)
    page.get_by_role("link", name="English").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Overview"
    page.get_by_role("button", name="Light or dark").click()
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "light"
    context.close()


@pages.both
def test_who_logs_out_comes_in_no_more_without_the_login(
    hospital: Hospital, browser: Browser, language: str
) -> None:
    say = partial(pages.said, language, "frame")
    context = pages.logged_in(browser, hospital.node, role="auditor", language=language, alone=True)
    page = pages.opened(context, "/")
    page.get_by_role("button", name=say("Log out")).click()
    page.wait_for_url("**/logout")
    page.goto("/alarms")
    assert "/login" in page.url
    context.close()


def test_what_is_not_there_and_what_is_not_allowed_say_so_on_a_page(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node, role="operator")
    page = context.new_page()
    answer = page.goto("/nothing-here")
    assert answer is not None
    assert answer.status == 404
    assert page.get_by_role("heading", level=1).inner_text() == "There is nothing here"
    context.close()
