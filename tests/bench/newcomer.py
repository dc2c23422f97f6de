"""How long a newcomer takes from `radnode demo` to the result of a route of his own on the images, by clicks alone.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/newcomer.py

The command as it is, and a real browser. A machine finds a button at once, so each click and each field waits first for
as long as a person may take to find it (--person). Writes newcomer.json; with RADNODE_TEST_PICTURES a picture of every
page on the way.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from support import pages  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.node import RADNODE  # noqa: E402
from support.processes import Program  # noqa: E402
from support.waiting import eventually  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


class Person:
    """Somebody at the page who takes a while to find each thing. `steps`: what he did, and when he had it."""

    def __init__(self, page: Page, began: float, takes_s: float) -> None:
        self.page = page
        self.acts = 0
        self.steps: dict[str, float] = {}
        self._began = began
        self._takes_s = takes_s

    def click(self, what: Locator) -> None:
        """After he has found it."""
        self._find()
        what.click()

    def write(self, field: str, value: str) -> None:
        """Into a field, by its label."""
        self._find()
        self.page.get_by_label(field, exact=True).first.fill(value)

    def has(self, step: str) -> None:
        """He is so far."""
        self.steps[step] = round(time.monotonic() - self._began, 1)
        pages.picture(self.page, f"newcomer-{len(self.steps)}")

    def _find(self) -> None:
        self.acts += 1
        time.sleep(self._takes_s)


def walk(person: Person, link: str) -> None:
    """From the link that the command prints to the overlay."""
    page = person.page
    page.goto(link)
    for field in ("#password", "#again"):
        person.click(page.locator(field))
        page.fill(field, pages.PASSWORD)
    person.click(page.get_by_role("button").first)
    page.wait_for_url("**/administration/start/**")
    person.has("logged in")

    person.click(page.get_by_role("navigation").get_by_role("link", name="Routes").first)
    person.click(page.get_by_role("link", name="New route").first)
    person.write("Name", "my-chest")
    person.click(page.locator('[name="line.value"]').first)
    page.locator('[name="line.value"]').first.fill("CT")
    person.click(page.get_by_label("ct-lung"))
    person.click(page.get_by_role("checkbox", name="DEMOPACS", exact=True))
    page.get_by_text("of 1 series").first.wait_for()
    person.click(page.get_by_role("button", name="Put in force"))
    page.wait_for_url("**/routes")
    page.locator("ol.routes").get_by_text("my-chest").first.wait_for()
    person.has("route in force")

    person.click(page.get_by_role("navigation").get_by_role("link", name="Administration").first)
    person.click(page.get_by_role("link", name="First start").first)
    person.click(page.get_by_role("link", name=re.compile("Test study|test study")).first)
    person.click(page.get_by_role("button", name="Send the test study"))
    page.get_by_text("the result has arrived").wait_for(timeout=240_000)
    person.has("result arrived")

    person.click(page.get_by_role("link", name="See the result on the images"))
    page.wait_for_url("**/pictures")
    person.click(page.locator("main a[href*='/series/']").first)
    page.locator(".layers img").first.wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    person.has("overlay seen")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--person", type=float, default=5.0, help="seconds to find a button or a field")
    takes_s = parser.parse_args().person
    with tempfile.TemporaryDirectory(prefix="radnode-newcomer-") as name, pages.browser() as browser:
        folder, began = Path(name), time.monotonic()
        demo = Program([RADNODE, "demo", "--output", folder / "demo"], folder / "demo.log")
        try:
            eventually(lambda: "The node stays up" in demo.tail(), within=300, why=demo.tail)
            shown = time.monotonic() - began
            address = re.search(r"http://\S+/link/[\w-]+", demo.tail().partition("The node stays up")[2])
            assert address
            person = Person(pages.opened(browser.new_context(locale="en-GB"), "about:blank"), began, takes_s)
            walk(person, address.group())
        finally:
            demo.send_signal(signal.SIGINT)
            demo.stop(within=30)
    measured = {"person_s": takes_s, "clicks_and_fields": person.acts,
                "steps_s": {"demonstration shown": round(shown, 1), **person.steps}}
    write_down("newcomer", **measured)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
