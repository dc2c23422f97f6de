"""What is loaded when it is first needed."""

from __future__ import annotations

from typing import Any


def scipy_stats() -> Any:
    """It takes longer to load than all else that a node loads to start."""
    from scipy import stats  # noqa: PLC0415

    return stats
