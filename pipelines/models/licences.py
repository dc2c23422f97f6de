"""The licence texts in a model's folder: which they are, and what they are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NOT_STATED = "not stated"
_LONGEST_NAME = 64
_FILE = re.compile(r"(.*[_-])?(licen[cs]e|copying)([_-].*)?(\.(txt|md|rst))?", re.IGNORECASE)
_BY_NAME = ("LICENSE", "LICENSE.txt", "LICENSE.md")
# What licences call themselves at their beginning; of what is in none of these words the first line is shown.
_NAMES = (
    ("Apache License 2.0", r"apache license\W+version 2\.0"),
    ("MIT License", r"mit license|permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("BSD 3-Clause License", r"bsd 3-clause"),
    ("BSD 2-Clause License", r"bsd 2-clause"),
    ("GNU Affero General Public License 3", r"gnu affero general public license\W+version 3"),
    ("GNU General Public License 3", r"gnu general public license\W+version 3"),
    ("CC BY-NC-SA 4.0", r"attribution-noncommercial-sharealike 4\.0 international"),
    ("CC BY-NC-ND 4.0", r"attribution-noncommercial-noderivatives 4\.0 international"),
    ("CC BY-NC 4.0", r"attribution-noncommercial 4\.0 international"),
    ("CC BY-SA 4.0", r"attribution-sharealike 4\.0 international"),
    ("CC BY 4.0", r"attribution 4\.0 international"),
)
_BEGINNING = 500


def name(folder: Path) -> str:
    """What the licence of a model is called, or its first line; "not stated" without one."""
    for each in _BY_NAME:
        if (folder / each).is_file():
            return name_of((folder / each).read_text(encoding="utf-8", errors="replace"))
    return NOT_STATED


def name_of(text: str) -> str:
    """By the words at its beginning; the first line, up to 64 characters, if they are of no well-known licence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    beginning = " ".join(" ".join(lines)[:_BEGINNING].lower().split())
    found = next((each for each, words in _NAMES if re.search(words, beginning)), None)
    return found or next((line[:_LONGEST_NAME] for line in lines), NOT_STATED)


def texts(folder: Path) -> dict[Path, int]:
    """Every file of the model that is a licence by its name, that of its data too -> how many lines it has."""
    return {path: len(path.read_text(encoding="utf-8", errors="replace").splitlines())
            for path in sorted(folder.rglob("*")) if path.is_file() and _FILE.fullmatch(path.name)}
