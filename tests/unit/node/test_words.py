"""Every text of the pages is there in every language."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from jinja2 import Environment

from radnode.config import manual
from radnode.node import pages, web
from radnode.node.alarming.kinds import KINDS
from radnode.node.pages.words import FOLDER, LANGUAGES, catalogue, language_of
from radnode.node.security import passwords

HERE, LOGIN = Path(pages.__file__).parent, Path(web.__file__).parent
MARKED = ("N_", "_", "gettext", "ngettext")


def texts_of_templates() -> set[str | None]:
    reader = Environment(extensions=["jinja2.ext.i18n", "jinja2.ext.do"], autoescape=True)
    found: set[str | None] = set()
    for path in (*(HERE / "templates").rglob("*.html"), *LOGIN.glob("pages/*.html")):
        for _, _, message in reader.extract_translations(path.read_text(encoding="utf-8")):  # type: ignore[attr-defined]
            found.add(message if isinstance(message, str) or message is None else message[0])
    return found - {None}


def texts_of_code() -> set[str | None]:
    modules = (*HERE.rglob("*.py"), LOGIN / "login.py")
    calls = [each for path in modules for each in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "N_"]
    of_passwords = {passwords.objection(each, "somebody") for each in ("", "a" * 20, "somebody and more")}
    of_alarms = {text for kind in KINDS.values() for text in (kind.says, kind.remedy)}
    return {str(ast.literal_eval(each.args[0])) for each in calls} | of_alarms | of_passwords


def texts_of_the_manual() -> set[str | None]:
    """What the page of the settings says of each."""
    return {each.explanation for each in manual.entries()} | {
        manual.introduction(section) for section in manual.MODELS if section != "node"}


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_every_text_has_a_translation_and_no_translation_is_left_over(language: str) -> None:
    used, known = texts_of_templates() | texts_of_code() | texts_of_the_manual(), catalogue(language)
    assert used - known.keys() == set()
    assert known.keys() - used == set()


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_a_translation_has_the_places_of_its_text(language: str) -> None:
    def places(text: str) -> set[str]:
        return {part.partition(")")[0] for part in text.split("%(")[1:]}

    assert {text: each for text, each in catalogue(language).items() if places(text) != places(each)} == {}


def test_there_is_a_catalogue_for_each_language() -> None:
    assert {each.name for each in FOLDER.iterdir()} == LANGUAGES.keys() - {"en"}


class Asking:
    """As much of a request as is read."""

    def __init__(self, cookie: str = "", accept: str = "") -> None:
        self.cookies = {"language": cookie} if cookie else {}
        self.headers = {"accept-language": accept} if accept else {}


@pytest.mark.parametrize(("asking", "language"), [
    (Asking(), "en"), (Asking(accept="zh-CN,zh;q=0.9,en;q=0.8"), "zh"), (Asking(accept="de,en;q=0.5"), "en"),
    (Asking(cookie="en", accept="zh"), "en"), (Asking(cookie="../../etc", accept="zh"), "zh"),
])
def test_the_chosen_language_comes_before_the_browsers(asking: Asking, language: str) -> None:
    assert language_of(asking) == language  # type: ignore[arg-type]
