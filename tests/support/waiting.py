"""Waiting with a deadline: the only place where tests sleep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


def eventually(
    look: Callable[[], Value], *, within: float = 30, every: float = 0.1, why: str | Callable[[], str] = ""
) -> Value:
    """What `look` returns as soon as that is true; AssertionError with `why` and the last value else."""
    deadline = time.monotonic() + within
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            reason = why() if callable(why) else why
            raise AssertionError(f"not within {within} s: {reason or look.__name__}; last seen: {value!r}")
        time.sleep(every)


def stays(look: Callable[[], Value], *, during: float, every: float = 0.25, why: str = "") -> None:
    """Passes when `look` is true all the time for `during` seconds: something does not happen."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        value = look()
        assert value, f"{why or 'it changed'}: {value!r}"
        time.sleep(every)
