"""Months of figures without months: a node's database filled as if jobs had ended, day by day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.node.monitoring.figures import figures_of
from radnode.storage import figures
from radnode.storage.figures import EndedJob

if TYPE_CHECKING:
    from datetime import datetime

    from radnode.storage.database import Database

HEADER = {"Modality": "CT", "Manufacturer": "SIEMENS", "ManufacturerModelName": "SOMATOM Force", "SliceThickness": 3.0,
          "ConvolutionKernel": "B70f", "KVP": 120.0, "ContrastBolusAgent": "Iodine"}


def months(
    database: Database, now: datetime, *, days: int = 70, a_day: int = 5, moved_at: int | None = None,
    pipeline: str = "ct-nodule", seed: int = 1,
) -> None:
    """Jobs of two scanners, CT1 and CT2, up to today. moved_at: so many days ago CT2 got another kernel and thinner
    slices, so more noise, and from then on twice as many positive results.
    """
    random, number = np.random.default_rng(seed), 0
    entered = []
    for ago in range(days, -1, -1):
        for station in ("CT1", "CT2"):
            moved = station == "CT2" and moved_at is not None and ago <= moved_at
            for _ in range(a_day):
                number += 1
                entered.append(figures_of(_job(number, now - timedelta(days=ago), station, pipeline, moved, random)))
    with database.begin() as session:
        figures.enter(session, entered, now)


def _job(number: int, at: datetime, station: str, pipeline: str, moved: bool, random: np.random.Generator) -> EndedJob:
    found = random.random() < (0.6 if moved else 0.25)
    changed = {"ConvolutionKernel": "Br64d", "SliceThickness": 1.0} if moved else {}
    refused = random.random() < 0.02
    report: dict[str, Any] = {
        "state": "not processed" if refused else "findings" if found else "nothing found",
        "observed": {"noise": random.normal(30 if moved else 14, 1.5), "intensity p50": random.normal(-650, 30),
                     "images": random.integers(280, 420), "detections": float(found),
                     **({"certainty": random.uniform(0.6, 0.99)} if found else {})},
        "measurements": [{"of": "a", "label": "Nodule 1", "name": "Diameter", "unit": "mm", "method": "",
                          "value": random.normal(9, 2)}] if found else [],
        "seconds": {"decode": random.normal(2, 0.2), "infer": random.normal(9, 1)},
        "memory": {"run_mb": random.normal(900, 20)},
    }
    return EndedJob(
        job_id=number, pipeline=pipeline, version="1.0", state="NOT_PROCESSED" if refused else "PRODUCED",
        reason="it is a localiser" if refused else "", report={} if refused else report,
        ended_at=at, source="PACS", attributes={**HEADER, **changed, "StationName": station},
    )
