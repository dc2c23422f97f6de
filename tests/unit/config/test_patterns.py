"""An expression of a route answers in bounded time, or is refused."""

from __future__ import annotations

import re

import pytest

from radnode.config.patterns import LONGEST_PATTERN, wrong_pattern
from radnode.node.routing import LONGEST_TEXT


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)lung|thorax|chest",
        "^ORIG",
        r"\bCT\d{2,3}\b",
        "(?:thin|thick).*mm$",
        r"[(+*]+ \(a+\)*",
        "(lung){2}",
        "a.*b.*c.*d",
        r"(?=x)y?[]*)+]",
    ],
)
def test_an_ordinary_pattern_is_taken(pattern: str) -> None:
    re.compile(pattern)
    assert wrong_pattern(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$", "((a+))+$", "(a*)*b", "(a|a)*b", "(a|ab)+c", "(?:(?:a?){9})+", "(a?b?){50}", "([a-z]+)*x",
        "(?P<x>a{1,9})*", "(a+){9}",
    ],
)  # fmt: skip
def test_a_repetition_inside_a_repetition_is_refused(pattern: str) -> None:
    found = wrong_pattern(pattern)

    assert found is not None
    assert "for ever" in found[0]


@pytest.mark.parametrize("pattern", ["a*a*a*a*b", "a?" * 30 + "a" * 30])
def test_many_repetitions_beside_each_other_are_refused(pattern: str) -> None:
    assert "repeats" in (wrong_pattern(pattern) or ("",))[0]


@pytest.mark.parametrize("pattern", ["(", "[", "a**", "(?<=a+)b", "x" * (LONGEST_PATTERN + 1), "[[a]"])
def test_what_is_no_expression_or_too_long_is_refused(pattern: str) -> None:
    assert wrong_pattern(pattern) is not None


@pytest.mark.catalogue("C2")
def test_the_worst_pattern_that_is_taken_ends_on_the_longest_text() -> None:
    pattern = "a*a*a*[^a]"
    assert wrong_pattern(pattern) is None
    assert re.search(pattern, "a" * LONGEST_TEXT) is None
