"""Every page of a node on which much has happened, in both languages: on a narrow screen, and in one language alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support import pages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from playwright.sync_api import Browser, Page
    from support.node import NodeProcess

NARROW = {"width": 420, "height": 900}
FIRST = ("/", "/studies", "/routes", "/pipelines", "/connections", "/monitoring", "/alarms", "/administration/people",
         "/administration/start/name", "/administration/start/destination", "/administration/start/route",
         "/administration/start/test", "/routes/new")
"""Where the walk begins; it goes on by the links of each page."""
LEFT_OUT = re.compile(r"^/(language|static|link|logout|api|dicom-web)\b|\.(csv|zip|xml|html)\b|/results/")
MOST = {"/studies/N": 5, "/connections/peer/NAME": 3}
"""Pages of one form that differ by what they show; of the others the first is looked at."""
SETTLED = "() => !document.querySelector('.htmx-request') && !document.querySelector('[hx-trigger~=load]:empty')"
TOO_WIDE = """() => {
    if (document.documentElement.scrollWidth <= innerWidth) return [];
    const scrolls = (each) => each && each !== document.body
        && (getComputedStyle(each).overflowX !== "visible" || scrolls(each.parentElement));
    return [...document.querySelectorAll("body *")]
        .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !scrolls(each.parentElement))
        .map((each) => `${each.localName}.${each.className}: ${each.textContent.trim().slice(0, 40)}`).slice(0, 4)
        .concat(`${document.documentElement.scrollWidth} of ${innerWidth}`);
}"""
SAID = """() => {
    const quoted = "pre, code, option, script, style, textarea, .uid, .quoted, main [lang=en]";
    const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT), found = [];
    while (walk.nextNode()) if (!walk.currentNode.parentElement.closest(quoted)) found.push(walk.currentNode.data);
    return found.join("\\n");
}"""
"""What a page says, without what it quotes: code, identifiers, and what the author of a pipeline or a reader wrote."""
ENGLISH = re.compile(r"(?<![\w./-])[A-Za-z][a-z]+(?:[ ,]{1,2}[a-z]{2,}){2,}(?![\w./-])")
"""Three words after one another, the later ones in small letters: no name, no term of DICOM, no SOP class."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A page as it was. wide: what is wider than the screen. said: its text without what it quotes."""

    status: int
    wide: list[str]
    said: str


@pytest.fixture(scope="module", params=["en", "zh"])
def walked(crowd: NodeProcess, browser: Browser, request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Seen]]:
    """The language, and every page that links lead an administrator to, on a narrow screen."""
    language = str(request.param)
    context = pages.logged_in(browser, crowd, language=language, dark=language == "zh")
    page = context.new_page()
    page.set_viewport_size(NARROW)
    waiting, forms, found = list(FIRST), dict[str, int](), dict[str, Seen]()
    while waiting:
        path = waiting.pop(0)
        form = _form(path)
        forms[form] = forms.get(form, 0) + 1
        if path in found or forms[form] > MOST.get(form, 1):
            continue
        found[path] = _looked_at(page, path)
        pages.picture(page, f"narrow-{language}-{len(found)}")
        waiting += [each for each in _links(page) if not LEFT_OUT.search(each)]
    context.close()
    return language, found


def _form(path: str) -> str:
    """Pages of one form differ by a number or the name of a thing."""
    path, _, query = path.partition("?")
    path = re.sub(r"(/peer|/pipelines|/settings/\w+)/[^/]+$", r"\1/NAME", re.sub(r"\d+", "N", path))
    return path + "?" * bool(query) + "&".join(sorted(each.partition("=")[0] for each in query.split("&") if each))


def _looked_at(page: Page, path: str) -> Seen:
    answer = page.goto(path)
    assert answer is not None
    page.wait_for_function(SETTLED, timeout=120_000)  # of which the doctor needs most: peers do not answer
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    return Seen(answer.status, page.evaluate(TOO_WIDE), page.evaluate(SAID))


def _links(page: Page) -> list[str]:
    return [str(each) for each in page.evaluate(
        "[...document.querySelectorAll('a[href^=\"/\"]')].map((each) => each.getAttribute('href').split('#')[0])")]


def test_no_page_is_wider_than_a_narrow_screen(walked: tuple[str, Mapping[str, Seen]]) -> None:
    _, found = walked
    assert {path: seen.status for path, seen in found.items() if seen.status != 200} == {}
    assert len(found) > 60, sorted(found)
    assert {path: seen.wide for path, seen in found.items() if seen.wide} == {}


def test_a_chinese_page_says_nothing_in_english(walked: tuple[str, Mapping[str, Seen]]) -> None:
    language, found = walked
    sentences = {(path, each[0]) for path, seen in found.items()
                 for each in ENGLISH.finditer(re.sub("`[^`]*`", "", seen.said))}
    if language == "en":
        assert len({path for path, _ in sentences}) > len(found) / 2, "this is how English is found"
    else:
        assert sentences == set()
