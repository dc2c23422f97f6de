"""The documentation becomes pages in which every link leads somewhere and nothing is fetched from elsewhere."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

import pytest
from mkdocs.exceptions import Abort
from support.sources import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

INTERFACE = {"info": {"version": "1"}, "paths": {"/health": {"get": {
    "description": "Whether it is well.", "responses": {"200": {"description": "It is."}},
    "parameters": [{"name": "history", "in": "query", "schema": {"type": "boolean"}}],
}}}}


def _builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_site_build", REPOSITORY / "docs" / "site" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_whole_and_fetch_nothing(tmp_path: Path) -> None:
    _builder().make(tmp_path / "site", interface=INTERFACE)
    pages = {path: path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html")}
    assert len(pages) > 20
    assert "Whether it is well." in pages[tmp_path / "site" / "api.html"]
    fetched = re.compile(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"?(https?:[^\" >]+)")
    assert {path.name: found for path, text in pages.items() if (found := fetched.findall(text))} == {}


def test_a_link_to_nowhere_ends_the_building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = _builder()
    gather = builder.gather

    def with_one(target: Path) -> None:
        gather(target)
        (target / "alarms.md").write_text("[lost](nowhere.md)\n", encoding="utf-8")

    monkeypatch.setattr(builder, "gather", with_one)
    with pytest.raises(Abort):
        builder.make(tmp_path / "site", interface=INTERFACE)
