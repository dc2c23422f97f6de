"""The languages of the pages. English is what stands in the code; the others are catalogues, an area each."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from babel.messages.pofile import read_po
from babel.support import NullTranslations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi import Request

LANGUAGES = {"en": "English", "zh": "中文"}
DEFAULT = "en"
COOKIE = "language"
FRAME = "frame"
"""The catalogue of what stands around every page."""
FOLDER = Path(__file__).parent / "words"


def N_(text: str) -> str:  # noqa: N802 - as gettext calls it
    """Marks a text that is translated where it is shown."""
    return text


def catalogue(language: str, *first: str) -> Mapping[str, str]:
    """English text -> text of the language, of all areas together; what `first` say counts, the earlier the more."""
    paths = sorted((FOLDER / language).glob("*.po"))
    paths.sort(key=lambda path: first[::-1].index(path.stem) if path.stem in first else -1)
    return messages_in(paths, language)


def messages_in(paths: Iterable[Path], language: str) -> dict[str, str]:
    """English text -> text of the language, of catalogues; a later one counts more."""
    found: dict[str, str] = {}
    for path in paths:
        with path.open("rb") as file:
            messages = read_po(file, locale=language)
        found |= {str(each.id): str(each.string) for each in messages if each.id and each.string}
    return found


class Words(NullTranslations):
    """One language, as Jinja's i18n extension asks for it; what has no translation stays English.

    area: whose word counts where two areas mean different things by the same English word.
    """

    def __init__(self, language: str, area: str) -> None:
        super().__init__()
        self._known = catalogue(language, area, FRAME)

    def gettext(self, message: str) -> str:
        """A text."""
        return self._known.get(message, message)

    ugettext = gettext

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """English tells one from many; Chinese does not, and its catalogue has the singular."""
        if msgid1 in self._known:
            return self._known[msgid1]
        return msgid1 if n == 1 else msgid2

    ungettext = ngettext

    @staticmethod
    @cache
    def of(language: str, area: str = FRAME) -> Words:
        """The language, read once."""
        return Words(language, area)


def language_of(request: Request) -> str:
    """Chosen on the page, else the first of the browser's languages that there is (RFC 9110 12.5.4)."""
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    for wanted in request.headers.get("accept-language", "").split(","):
        name = wanted.split(";")[0].strip().split("-")[0].lower()
        if name in LANGUAGES:
            return name
    return DEFAULT
