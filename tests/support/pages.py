"""The node's pages in a real browser: Chromium driven by Playwright; axe-core looks for what shuts people out."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from radnode.node.pages.reasons import Reasons
from radnode.node.pages.words import Words
from radnode.node.security import passwords
from radnode.storage import accounts
from radnode.storage.database import Database
from support.processes import required
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page, Request

    from support.node import NodeProcess

PASSWORD = "a long phrase for tests"  # noqa: S105 - of accounts that live as long as a test
SERIOUS = ("serious", "critical")
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
         "resultTypes": ["violations"], "elementRef": False}
"""What axe-core looks for: WCAG 2.2, A and AA; what passes is not told."""
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
GIVEN: set[tuple[str, str, str]] = set()
"""Language, method and path of every action that a test has given in a browser."""
_SESSIONS: dict[tuple[str, str], list[Any]] = {}
"""The cookies of who is logged in, by node and role."""
both = pytest.mark.parametrize("language", ["en", "zh"])
"""Each action is given in both."""


def said(language: str, area: str, text: str, /, **values: object) -> str:
    """What a page of an area says in a language for an English label or message, or for a reason."""
    found = Words.of(language, area).gettext(text)
    return found % values if values else found if found != text else Reasons.of(language).said(text)


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window; a skip where it is not installed, a failure in CI."""
    program = required("/usr/bin/chromium")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield running
        finally:
            running.close()


def logged_in(
    running: Browser, node: NodeProcess, role: str = "admin", language: str = "en", dark: bool = False,
    *, alone: bool = False,
) -> BrowserContext:
    """A browser of its own for one person; `context.new_page().goto("/...")`.

    The first of a role at a node comes in by the login form, and the others share its session while it lasts, but
    for who is to have one alone.
    """
    name = f"{role}-in-tests"
    context = running.new_context(
        base_url=f"http://127.0.0.1:{node.http_port}", locale=LOCALES[language],
        color_scheme="dark" if dark else "light", viewport={"width": 1280, "height": 900}, timezone_id="Europe/Berlin",
    )
    written_down(context, language)
    kept = _SESSIONS.get((node.database_url, role), [])
    if kept and not alone:
        context.add_cookies(kept)
        if context.request.get("/api/me").ok:
            return context
        context.clear_cookies()
    _have_account(node, name, role)
    page = context.new_page()
    page.goto("/login")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("button")
    page.wait_for_url("**/")
    page.close()
    if not alone:
        _SESSIONS[node.database_url, role] = context.cookies()
    return context


def _have_account(node: NodeProcess, name: str, role: str) -> None:
    database = Database(node.database_url)
    try:
        with database.begin() as session:
            if accounts.account(session, name) is None:
                accounts.add_account(session, name, role, datetime.now(UTC))
                made = accounts.account(session, name)
                assert made is not None
                accounts.set_password(session, made.account_id, passwords.hashed(PASSWORD))
    finally:
        database.close()


def written_down(context: BrowserContext, language: str) -> BrowserContext:
    """The actions that are given in it are kept in :data:`GIVEN`."""
    def note(request: Request) -> None:
        if request.method != "GET":
            GIVEN.add((language, request.method, urlsplit(request.url).path))

    context.on("request", note)
    return context


def opened(context: BrowserContext, path: str) -> Page:
    """A page whose errors in the console or from the network fail the test that calls :func:`assert_well`."""
    page = context.new_page()
    page.said: list[str] = []  # type: ignore[attr-defined, misc]
    page.on("console", lambda each: page.said.append(each.text) if each.type in ("error", "warning") else None)  # type: ignore[attr-defined]
    page.on("pageerror", lambda each: page.said.append(str(each)))  # type: ignore[attr-defined]
    page.goto(path)
    return page


def assert_well(page: Page) -> None:
    """No error in the console, and nothing that axe-core calls serious (WCAG 2.2 A, AA) once colours have settled."""
    assert page.said == [], page.said  # type: ignore[attr-defined]
    found: list[str] = []

    def well() -> bool:
        found[:] = _faults(page)
        return not found

    eventually(well, within=5, every=0.5, why=lambda: "\n".join(found))


def _faults(page: Page) -> list[str]:
    found = [each for each in Axe().run(page, options=RULES).response["violations"] if each["impact"] in SERIOUS]
    return [f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']][:3]}" for each in found]


def picture(page: Page, name: str) -> None:
    """Where RADNODE_TEST_PICTURES names a folder: the whole page as `name`.png, for the documentation."""
    if folder := os.environ.get("RADNODE_TEST_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
