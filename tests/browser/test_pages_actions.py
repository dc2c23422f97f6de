"""What the tests before this one in the folder have clicked: every action of every page, in every language."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import pages
from support.web import whole_site

from radnode.node.pages.words import LANGUAGES
from radnode.node.studies.ordering import Action
from radnode.node.web.access import endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.web import Site

OF_PROGRAMS = ("/api/", "/dicom-web", "/workitems")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Site]:
    """Everything that a node serves."""
    with whole_site(tmp_path) as found:
        yield found


def _form(path: str) -> re.Pattern[str]:
    """What an address of a route looks like."""
    places = re.sub(r"\\\{\w+(:path)?(:int)?\\\}", lambda found: ".+" if found[1] else "[^/]+", re.escape(path))
    return re.compile(places)


def test_every_action_of_every_page_is_given_in_a_browser_in_every_language(
    served: Site, request: pytest.FixtureRequest
) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("each process has clicked a part: `pytest tests/browser` without -n")
    files = {item.path for item in request.session.items}
    if request.config.getoption("keyword") or set(Path(__file__).parent.glob("test_page_*.py")) - files:
        pytest.skip("only some of the tests of pages run")
    actions = {(method, path.replace("/studies/{study_id}/{action}", f"/studies/{{study_id}}/{action}"))
               for method, path, _ in endpoints(served.app) for action in Action
               if method not in ("GET", "HEAD", "OPTIONS", "*") and not path.startswith(OF_PROGRAMS)}
    assert actions
    forms = {(method, path): _form(path) for method, path in actions}
    lacking = sorted((language, *each) for each, form in forms.items() for language in LANGUAGES
                     if not any(of == language and method == each[0] and form.fullmatch(path)
                                for of, method, path in pages.GIVEN))
    assert lacking == []
