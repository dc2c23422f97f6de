"""Patients that only exist in the images of tests. Whatever a node logs or counts must never name one of them."""

from __future__ import annotations

import re

_SHORTEST = 6
"""Shorter values ("QA-7") are found in digests and times by chance."""

_known: set[str] = set()


def know(*values: object) -> None:
    """These are a patient's: the name whole and in its parts, the identifier."""
    for value in values:
        parts = str(value).replace("=", "^").split("^")
        _known.update(each.casefold() for each in (str(value), *parts) if len(each) >= _SHORTEST)


def named_in(text: str) -> set[str]:
    """Which of them the text names, in letters or escaped as a log line escapes them; not as a part of another word."""
    said = text.casefold()
    escaped = {each: each.encode("unicode_escape").decode("ascii").casefold() for each in _known}
    return {each for each in _known if any(_stands_in(said, form) for form in (each, escaped[each]))}


def _stands_in(text: str, words: str) -> bool:
    return words in text and re.search(rf"(?<![a-z]){re.escape(words)}(?![a-z])", text) is not None
