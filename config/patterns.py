"""Which regular expressions a route may use: those whose time is bounded on every text.

`re` backtracks and cannot be interrupted, so an expression is judged before it is used. With at most three unbounded
repetitions, none inside another and none around alternatives, the work on n characters is at most n⁴/24.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field

LONGEST_PATTERN = 200
MOST_REPETITIONS = 6
MOST_UNBOUNDED = 3

_TOKEN = re.compile(
    r"""\\.
      | (?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])
      | (?P<open>\()
      | (?P<close>\))
      | (?P<or>\|)
      | (?P<repeat>(?:[*+?]|\{(?P<least>\d*)(?P<comma>,?)(?P<most>\d*)\})[?+]?)
      | .""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class _Group:
    """An open parenthesis. ambiguous: repeating it could match one text in many ways."""

    ambiguous: bool = False


@dataclass(slots=True)
class _Scan:
    groups: list[_Group] = field(default_factory=lambda: [_Group()])
    closed: _Group | None = None  # the group that ended just before
    repetitions: int = 0
    unbounded: int = 0
    nested: bool = False

    def take(self, token: re.Match[str]) -> None:
        """One token of the pattern, from left to right."""
        closed, self.closed = self.closed, None
        if token["open"]:
            self.groups.append(_Group())
        elif token["close"] and len(self.groups) > 1:
            self.closed = self.groups.pop()
            self.groups[-1].ambiguous |= self.closed.ambiguous
        elif token["or"]:
            self.groups[-1].ambiguous = True
        elif token["repeat"] and token[0][0] != "?":
            self._repeat(token, closed)
        elif token["repeat"] and not self._opens_a_group(token):
            self.repetitions += 1
            self.groups[-1].ambiguous = True

    def _repeat(self, token: re.Match[str], closed: _Group | None) -> None:
        self.nested |= closed is not None and closed.ambiguous
        self.repetitions += 1
        exact = token[0][0] == "{" and not token["comma"]
        self.unbounded += not exact
        self.groups[-1].ambiguous |= not exact

    @staticmethod
    def _opens_a_group(token: re.Match[str]) -> bool:
        """The question mark of `(?i)`, `(?:…)`, `(?=…)` repeats nothing."""
        before = token.string[: token.start()]
        return before.endswith("(") and not before.endswith("\\(")


def wrong_pattern(pattern: str) -> tuple[str, str] | None:
    """(what is wrong, what would be right), None if nothing is."""
    if len(pattern) > LONGEST_PATTERN:
        return f"the pattern has {len(pattern)} characters", f"use at most {LONGEST_PATTERN}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        return f"not a regular expression: {error}", 'write for example "(?i)lung|thorax"'
    scan = _Scan()
    for token in _TOKEN.finditer(pattern):
        scan.take(token)
    if scan.nested:
        return (
            "a repeated group that holds a repetition or alternatives can take for ever",
            "leave out the repetition around the group",
        )
    if scan.unbounded > MOST_UNBOUNDED or scan.repetitions > MOST_REPETITIONS:
        return (
            f"the pattern repeats {scan.repetitions} times",
            f"use at most {MOST_REPETITIONS} of * + ? {{}}, {MOST_UNBOUNDED} of them open like .*",
        )
    return None
