"""When to try a destination again."""

from __future__ import annotations

import random
from datetime import timedelta

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
HORIZON = timedelta(hours=72)
"""An outage over a long weekend loses nothing; after that an administrator has to look."""


def next_wait(attempts: int, jitter: float) -> timedelta:
    """How long to wait after the given number of failed attempts (1 for the first).

    jitter: uniform in [0, 1); spreads the return of many deliveries over the last quarter of the wait.
    """
    doubled = FIRST_WAIT * (1 << min(attempts - 1, 12))
    return min(doubled, LONGEST_WAIT) * (0.75 + 0.25 * jitter)


def jitter() -> float:
    """For :func:`next_wait`."""
    return random.random()  # noqa: S311 - spreads attempts, guards nothing
