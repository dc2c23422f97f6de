"""Patients that only exist in the images of tests. Whatever a node logs or counts must never name one of them."""

from __future__ import annotations

_SHORTEST = 6
"""Shorter values ("QA-7") are found in digests and times by chance."""

_known: set[str] = set()


def know(*values: object) -> None:
    """These are a patient's: the name whole and in its parts, the identifier."""
    for value in values:
        parts = str(value).replace("=", "^").split("^")
        _known.update(each.casefold() for each in (str(value), *parts) if len(each) >= _SHORTEST)


def named_in(text: str) -> set[str]:
    """Which of them the text names, in letters or escaped as a log line escapes them."""
    said = text.casefold()
    return {
        each for each in _known
        if each in said or each.encode("unicode_escape").decode("ascii").casefold() in said
    }
