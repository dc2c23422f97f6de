"""Which two jobs are compared: over the same input, by two pipelines or versions that measure the same things."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.pipelines.evaluation.truth import words
from radnode.storage import comparisons

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy.orm import Session


def pair_up(session: Session, job_ids: Sequence[int], now: datetime) -> int:
    """Have the overlap of these jobs with others over the same input computed; returns how many pairs are new."""
    number = 0
    for pair in comparisons.pairs_of(session, job_ids):
        if measures(pair.report) & measures(pair.other_report):
            number += comparisons.want(session, pair.job_id, pair.other_job_id, now)
    return number


def measures(report: Mapping[str, Any]) -> set[str]:
    """What a job found parts of, by the words of their names."""
    return {words(str(each.get("label") or "")) for each in report.get("measurements", ()) if each.get("label")}
