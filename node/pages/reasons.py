"""Reasons in the language of a page.

A reason is said in English where it arises, and stored, logged and given over HTTP as it was said. A page in another
language finds the pattern that it was said by, and says it by that pattern's translation; what stands at the places
comes from the reason and stays as it is. A sentence without a pattern is shown as it was said, never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from radnode.node.pages.words import DEFAULT, FOLDER, messages_in

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACE = re.compile(r"\{(\w+)(\+?)\}")
"""A place of a pattern: `{name}` holds a value, `{name+}` holds a reason itself, or a piece of one."""
JOINTS = ("; ", ": ")
"""Between two reasons, and between what a reason is about and the reason."""
FEWEST_LETTERS = 7
"""A pattern with fewer letters and signs of its own would fit sentences of others: its values then are single words."""
LONGEST = 2000
"""Characters of a sentence that patterns are tried on, which bounds their time."""
_KEPT = 4096


@dataclass(frozen=True, slots=True)
class _Pattern:
    """form: finds the places in a sentence. piece: the longest text of its own; letters: of all of it.

    nested: places that hold a reason. joined: a place for a value -> the nested one right behind it, found as one.
    """

    form: re.Pattern[str]
    piece: str
    letters: int
    nested: frozenset[str]
    joined: Mapping[str, str]
    said: str


@dataclass(frozen=True, slots=True)
class _Found:
    """A sentence in the language. letters: how many letters and signs of it its patterns account for."""

    said: str
    letters: int


class Reasons:
    """What a language says for English reasons. known: pattern -> translation."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._patterns = [_compiled(text, said) for text, said in sorted(known.items()) if text not in JOINTS]
        self._next, self._about = (known.get(joint, joint) for joint in JOINTS)
        self._known = lru_cache(_KEPT)(self._look)

    def said(self, sentence: str) -> str:
        """The sentence in the language, or as it is."""
        found = self._known(sentence) if 0 < len(sentence) <= LONGEST else None
        return found.said if found else sentence

    def _look(self, sentence: str) -> _Found | None:
        """As the one reason that it is, unless several after one another account for more of it."""
        whole = self._by_pattern(sentence)
        if whole and "; " not in sentence:
            return whole
        parts = self._several(sentence)
        return parts if parts and (not whole or parts.letters > whole.letters) else whole

    def _by_pattern(self, sentence: str) -> _Found | None:
        """By the one that accounts for most of it."""
        fitting = [found for pattern in self._patterns if pattern.piece in sentence
                   if (match := pattern.form.fullmatch(sentence)) and (found := self._filled(pattern, match))]
        return max(fitting, key=lambda found: found.letters, default=None)

    def _filled(self, pattern: _Pattern, match: re.Match[str]) -> _Found | None:
        values, letters = match.groupdict(), pattern.letters
        for value, nested in pattern.joined.items():
            values[value], values[nested] = self._parted(values[value])
        for name in pattern.nested:
            if inner := self._known(values[name]) if values[name] else None:
                values[name], letters = inner.said, letters + inner.letters
            elif values[name] and pattern.letters < FEWEST_LETTERS:
                return None
        return _Found(PLACE.sub(lambda place: values[place[1]], pattern.said), letters)

    def _parted(self, text: str) -> tuple[str, str]:
        """A value and the reason behind it."""
        cuts = (at for at in range(1, len(text)) if not text[at].isalnum() and self._known(text[at:]))
        at = next(cuts, len(text))
        return text[:at], text[at:]

    def _several(self, sentence: str) -> _Found | None:
        """Reasons after one another, or one after the name of what it is about."""
        if "; " in sentence:
            parts = [self._known(part) or self._by_pattern(f"; {part}") for part in sentence.split("; ")]
            known = [part for part in parts if part]
            if len(known) < len(parts):
                return None
            said = self._next.join(part.said.removeprefix(self._next) for part in known)
            return _Found(said, sum(part.letters for part in known))
        about, _, rest = sentence.partition(": ")
        inner = self._known(rest) if rest and " " not in about else None
        return _Found(f"{about}{self._about}{inner.said}", inner.letters) if inner else None

    @staticmethod
    @cache
    def of(language: str) -> Reasons:
        """The language, read once; English says them as they are."""
        paths = sorted((FOLDER / language / "reasons").glob("*.po")) if language != DEFAULT else []
        return Reasons(messages_in(paths, language))


def _compiled(text: str, said: str) -> _Pattern:
    own = PLACE.split(text)[::3]
    letters = sum(not letter.isspace() for letter in "".join(own))
    form, at, joined = "", 0, dict[str, str]()
    last: re.Match[str] | None = None
    for place in PLACE.finditer(text):
        if place[2] and last and not last[2] and last.end() == place.start():
            joined[last[1]] = place[1]
        else:
            anything = ".*?" if place[2] else r"\S+?" if letters < FEWEST_LETTERS else ".+?"
            form += f"{re.escape(text[at:place.start()])}(?P<{place[1]}>{anything})"
        at, last = place.end(), place
    nested = frozenset(place[1] for place in PLACE.finditer(text) if place[2])
    whole = re.compile(form + re.escape(text[at:]), re.DOTALL)
    return _Pattern(whole, max(own, key=len), letters, nested, joined, said)
