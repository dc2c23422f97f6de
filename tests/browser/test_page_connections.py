"""Connections: how each is and why, who was turned away, tried, changed; in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from support import pages

if TYPE_CHECKING:

    from browser.conftest import Hospital
    from playwright.sync_api import Browser


def call(port: int, *, calling: str) -> None:
    """Somebody who is not configured asks for an association."""
    stranger = AE(ae_title=calling)
    stranger.add_requested_context(Verification)
    assert stranger.associate("127.0.0.1", port, ae_title="RADNODE").is_rejected


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("zh", True)])
def test_each_connection_says_how_it_is_and_why(
    hospital: Hospital, browser: Browser, language: str, dark: bool
) -> None:
    context = pages.logged_in(browser, hospital.node, language=language, dark=dark)
    page = pages.opened(context, "/connections")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="PACS", exact=True))
    assert row.get_by_text({"en": "well", "zh": "正常"}[language]).count()
    pages.assert_well(page)
    pages.picture(page, f"connections-{language}")
    page.get_by_role("link", name="PACS", exact=True).click()
    page.wait_for_url("**/connections/peer/PACS")
    assert page.get_by_text({"en": "Last deliveries", "zh": "最近的发送"}[language]).count() == 1
    pages.assert_well(page)
    pages.picture(page, f"connection-{language}")
    context.close()


def test_a_destination_is_tried_from_its_page_and_a_profile_proposed(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node)
    page = pages.opened(context, "/connections/peer/PACS")
    page.get_by_role("button", name="Try it now").click()
    page.get_by_role("heading", name="Proposal").wait_for()
    assert "answers C-ECHO" in page.locator("#probe").inner_text()
    assert "answers_find: true" in page.locator("#probe pre").inner_text()
    pages.assert_well(page)
    pages.picture(page, "connection-tried")
    context.close()
