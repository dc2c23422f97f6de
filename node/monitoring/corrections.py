"""Corrected results that come back: a segmentation or a report by somebody else about images that a job read.

They are compared, and nothing else: they trigger no route and no pipeline reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.header_process import ABOUT_OTHERS, ABOUT_SERIES, PREDECESSORS
from radnode.node.own_results import is_own_result
from radnode.storage import corrections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.storage.catalog import InstanceHeader, SeriesSnapshot

CORRECTS = "compared with our results as feedback"


def recognised(
    session: Session, configuration: Configuration, series: SeriesSnapshot, headers: Sequence[InstanceHeader],
    now: datetime,
) -> list[int]:
    """The instances of a series that correct results of ours, each noted to be compared.

    Only what comes from a configured peer counts: its senders are known.
    """
    if series.source not in configuration.peers:
        return []
    found = []
    for header in headers:
        if not may_correct(header.attributes):
            continue
        jobs = corrections.jobs_about(
            session, series.study_id, series=header.attributes.get(ABOUT_SERIES) or [],
            results=header.attributes.get(PREDECESSORS) or [],
        )
        for job_id in jobs:
            corrections.note(session, header.instance_id, job_id, series.source, now)
        if jobs:
            found.append(header.instance_id)
    return found


def may_correct(attributes: Mapping[str, Any]) -> bool:
    """A segmentation or a report of measurements that is not our own."""
    return attributes.get("SOPClassUID") in ABOUT_OTHERS and not is_own_result(attributes)
