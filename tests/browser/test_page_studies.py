"""Studies: found by what an administrator knows of them, and explained from the first image to the proof of arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import pages

if TYPE_CHECKING:
    from browser.conftest import Hospital
    from playwright.sync_api import Browser


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
