"""What a check says: a question, its answer, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "wrong", "not checked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the table. remedy: empty exactly where there is nothing to do."""

    question: str
    state: State
    answer: str
    remedy: str = ""


def good(question: str, answer: str) -> Finding:
    """All is as it should be."""
    return Finding(question=question, state="ok", answer=answer)


def warning(question: str, answer: str, remedy: str) -> Finding:
    """The node works, and something should be looked at."""
    return Finding(question=question, state="warning", answer=answer, remedy=remedy)


def wrong(question: str, answer: str, remedy: str) -> Finding:
    """The node does not do what it is for until this is mended."""
    return Finding(question=question, state="wrong", answer=answer, remedy=remedy)


def unchecked(question: str, because: str) -> Finding:
    """Nobody knows: `because` says why."""
    return Finding(question=question, state="not checked", answer=f"because {because}")
