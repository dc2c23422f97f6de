"""Administration in a real browser: people, tokens, one's own account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import pages

if TYPE_CHECKING:
    from browser.conftest import Hospital
    from playwright.sync_api import Browser


def test_an_administrator_adds_somebody_whose_link_is_shown_once_and_ends_the_account(
    hospital: Hospital, browser: Browser
) -> None:
    context = pages.logged_in(browser, hospital.node)
    page = pages.opened(context, "/administration")
    assert page.url.endswith("/administration/people")
    page.fill("#new-name", "ann.chen")
    page.select_option("#new-role", "operator")
    page.get_by_role("button", name="Add user").click()
    link = page.locator("#once").input_value()
    assert "/link/" in link
    pages.assert_well(page)
    pages.picture(page, "administration-people")
    page.reload()
    assert page.locator("#once").count() == 0
    row = page.locator("tr", has_text="ann.chen")
    row.get_by_label("Role of ann.chen").select_option("auditor")
    row.get_by_role("button", name="Change role").click()
    page.get_by_text("ann.chen has another role from now on").wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("tr", has_text="ann.chen").get_by_role("button", name="Disable").click()
    page.locator("tr", has_text="ann.chen").get_by_text("disabled", exact=True).wait_for()
    context.close()


def test_the_last_administrator_is_neither_disabled_nor_made_less(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node)
    page = pages.opened(context, "/administration/people")
    page.get_by_label("Role of admin-in-tests").select_option("radiologist")
    page.locator("tr", has_text="admin-in-tests").get_by_role("button", name="Change role").click()
    page.get_by_text("this is the only administrator with a password").wait_for()
    context.close()


def test_a_token_is_shown_once_and_revoked(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node)
    page = pages.opened(context, "/administration/people")
    page.fill("#token-name", "viewer-1")
    page.fill("#token-days", "20")
    page.get_by_role("button", name="Add token").click()
    assert page.locator("#once").input_value().startswith("radnode_")
    row = page.locator("tr", has_text="viewer-1")
    row.get_by_text("ends soon").wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Revoke").click()
    page.locator("tr", has_text="viewer-1").get_by_text("revoked", exact=True).wait_for()
    pages.assert_well(page)
    context.close()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_everybody_sees_his_own_sessions_and_ends_the_others(
    hospital: Hospital, browser: Browser, language: str
) -> None:
    elsewhere = pages.logged_in(browser, hospital.node, role="radiologist")
    context = pages.logged_in(browser, hospital.node, role="radiologist", language=language, dark=language == "zh")
    page = pages.opened(context, "/administration")
    assert page.url.endswith("/administration/me")
    pages.assert_well(page)
    pages.picture(page, f"administration-me-{language}")
    page.get_by_role("button", name={"en": "End all others", "zh": "结束其他全部会话"}[language]).click()
    page.get_by_text({"en": "Your other sessions have ended", "zh": "您的其他会话已结束"}[language]).wait_for()
    assert page.locator("tbody tr").count() == 1
    other = elsewhere.new_page()
    other.goto("/administration/me")
    assert "/login" in other.url
    elsewhere.close()
    context.close()


def test_a_password_is_changed_by_who_knows_the_old_one(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node, role="auditor")
    page = pages.opened(context, "/administration/me")
    for old, new, answer in (
        ("something else", "a much longer sentence", "the present password is another one"),
        (pages.PASSWORD, "short", ""),
        (pages.PASSWORD, "a much longer sentence", "Your password was changed"),
        ("a much longer sentence", pages.PASSWORD, "Your password was changed"),
    ):
        page.fill("#old", old)
        page.fill("#new", new)
        page.fill("#again", new)
        page.get_by_role("button", name="Change the password").click()
        if answer:
            page.get_by_text(answer).wait_for()
            page.reload()
        else:
            assert page.locator("#new:invalid").count() == 1
    context.close()


def test_an_auditor_filters_the_trail_pages_through_it_and_takes_it_away_as_a_file(
    hospital: Hospital, browser: Browser
) -> None:
    context = pages.logged_in(browser, hospital.node, role="auditor", language="zh")
    page = pages.opened(context, "/administration/audit")
    pages.assert_well(page)
    pages.picture(page, "audit-zh")
    page.select_option("#event", "User Authentication")
    page.fill("#who", "auditor-in-tests")
    page.fill("#since", "2020-01-01")
    page.locator("main form button").click()
    events = page.locator("tbody tr td:nth-child(3)").all_inner_texts()
    assert events
    assert {each.splitlines()[0] for each in events} == {"User Authentication"}
    assert any("Login" in each for each in events)
    assert set(page.locator("tbody tr td:nth-child(5)").all_inner_texts()) == {"auditor-in-tests"}
    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV").click()
    lines = waiting.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("number,at,event")
    assert len(lines) == len(events) + 1
    page.fill("#until", "2020-01-02")
    page.locator("main form button").click()
    assert page.locator("tbody tr").count() == 0
    context.close()
