"""Administration in a real browser: people, tokens, one's own account."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from support import pages

if TYPE_CHECKING:
    from browser.conftest import Hospital
    from playwright.sync_api import Browser


@pages.both
def test_an_administrator_adds_somebody_whose_link_is_shown_once_and_ends_the_account(
    hospital: Hospital, browser: Browser, language: str
) -> None:
    say, ann = partial(pages.said, language, "administration"), f"ann.chen.{language}"
    context = pages.logged_in(browser, hospital.node, language=language)
    page = pages.opened(context, "/administration")
    assert page.url.endswith("/administration/people")
    page.fill("#new-name", ann)
    page.select_option("#new-role", "operator")
    page.get_by_role("button", name=say("Add user")).click()
    link = page.locator("#once").input_value()
    assert "/link/" in link
    pages.assert_well(page)
    pages.picture(page, f"administration-people-{language}")
    page.reload()
    assert page.locator("#once").count() == 0
    row = page.locator("tr", has_text=ann)
    row.get_by_role("button", name=say("New link")).click()
    page.locator("#once").wait_for()
    assert page.locator("#once").input_value() != link
    row.get_by_label(say("Role of %(name)s", name=ann)).select_option("auditor")
    row.get_by_role("button", name=say("Change role")).click()
    page.get_by_text(say("%(name)s has another role from now on", name=ann)).wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name=say("Disable")).click()
    row.get_by_text(say("disabled"), exact=True).wait_for()
    context.close()


@pages.both
def test_the_last_administrator_is_neither_disabled_nor_made_less(
    hospital: Hospital, browser: Browser, language: str
) -> None:
    say = partial(pages.said, language, "administration")
    context = pages.logged_in(browser, hospital.node, language=language)
    page = pages.opened(context, "/administration/people")
    page.get_by_label(say("Role of %(name)s", name="admin-in-tests")).select_option("radiologist")
    page.locator("tr", has_text="admin-in-tests").get_by_role("button", name=say("Change role")).click()
    page.get_by_text(say("this is the only administrator with a password; let another one set his first")).wait_for()
    context.close()


@pages.both
def test_a_token_is_shown_once_and_revoked(hospital: Hospital, browser: Browser, language: str) -> None:
    say, token = partial(pages.said, language, "administration"), f"viewer-{language}"
    context = pages.logged_in(browser, hospital.node, language=language)
    page = pages.opened(context, "/administration/people")
    page.fill("#token-name", token)
    page.fill("#token-days", "20")
    page.get_by_role("button", name=say("Add token")).click()
    assert page.locator("#once").input_value().startswith("radnode_")
    row = page.locator("tr", has_text=token)
    row.get_by_text(say("ends soon")).wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name=say("Revoke")).click()
    row.get_by_text(say("revoked"), exact=True).wait_for()
    pages.assert_well(page)
    context.close()


@pages.both
def test_everybody_sees_his_own_sessions_and_ends_the_others(
    hospital: Hospital, browser: Browser, language: str
) -> None:
    say = partial(pages.said, language, "administration")
    elsewhere, third = (pages.logged_in(browser, hospital.node, role="radiologist", alone=True)
                        for _ in range(2))
    context = pages.logged_in(
        browser, hospital.node, role="radiologist", language=language, dark=language == "zh", alone=True)
    page = pages.opened(context, "/administration")
    assert page.url.endswith("/administration/me")
    pages.assert_well(page)
    pages.picture(page, f"administration-me-{language}")
    page.get_by_role("button", name=say("End"), exact=True).first.click()
    page.get_by_text(say("The session has ended")).wait_for()
    page.get_by_role("button", name=say("End all others")).click()
    page.get_by_text(say("Your other sessions have ended")).wait_for()
    assert page.locator("tbody tr").count() == 1
    other = elsewhere.new_page()
    other.goto("/administration/me")
    assert "/login" in other.url
    for each in (elsewhere, third, context):
        each.close()


@pages.both
def test_a_password_is_changed_by_who_knows_the_old_one(hospital: Hospital, browser: Browser, language: str) -> None:
    say = partial(pages.said, language, "administration")
    context = pages.logged_in(browser, hospital.node, role="auditor", language=language, alone=True)
    page = pages.opened(context, "/administration/me")
    for old, new, answer in (
        ("something else", "a much longer sentence", "the present password is another one"),
        (pages.PASSWORD, "short", ""),
        (pages.PASSWORD, "a much longer sentence", "Your password was changed; your other sessions have ended"),
        ("a much longer sentence", pages.PASSWORD, "Your password was changed; your other sessions have ended"),
    ):
        page.fill("#old", old)
        page.fill("#new", new)
        page.fill("#again", new)
        page.get_by_role("button", name=say("Change the password")).click()
        if answer:
            page.get_by_text(say(answer)).wait_for()
            page.reload()
        else:
            assert page.locator("#new:invalid").count() == 1
    context.close()


def test_an_auditor_filters_the_trail_pages_through_it_and_takes_it_away_as_a_file(
    hospital: Hospital, browser: Browser
) -> None:
    context = pages.logged_in(browser, hospital.node, role="auditor", language="zh", alone=True)
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
