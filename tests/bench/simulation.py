"""Whether `radnode simulate` foretells what a node does: a real run, and the same arrivals in virtual time.

    python tests/bench/simulation.py --out bench-results

A whole node (`radnode serve`) with two workers and a pipeline that takes 2 to 3 s; three routes by priority. The CT
exams of a simulated morning are sent to it in a minute, by `radnode.node.simulating.sending`. Then the times of its
jobs are taken from its database, and the exams go through the virtual node at the times at which they were sent: once
with the time that each job took, and twenty times with one drawn from all of them, as `--measured` does: their mean.

With each job's own time and with drawn ones, these must be within 15 %: workers busy, the mean and the 95th percentile
of waiting for a worker, and of the time from the last image to the recorded result. The same by priority stands beside
it. Writes simulation.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from sqlalchemy import func, select  # noqa: E402
from support import sample_pipelines  # noqa: E402
from support.network import enter_private_network, free_port  # noqa: E402
from support.node import NodeProcess, archive, modality  # noqa: E402
from support.waiting import eventually  # noqa: E402

from radnode.config.peers import Peer  # noqa: E402
from radnode.node.simulating import sending  # noqa: E402
from radnode.node.simulating.day import exams  # noqa: E402
from radnode.node.simulating.figures import spread  # noqa: E402
from radnode.node.simulating.load import JobTime, Kind, Load  # noqa: E402
from radnode.node.simulating.measured import job_times  # noqa: E402
from radnode.node.simulating.virtual import VirtualNode  # noqa: E402
from radnode.storage.database import Database  # noqa: E402
from radnode.storage.tables import InstanceRow, JobRow, SeriesRow  # noqa: E402

if TYPE_CHECKING:
    from radnode.node.simulating.day import Exam
    from radnode.node.simulating.sending import Sent

WORKERS = 2
EXAMS = 40
SENT_WITHIN_S = 75.0
WARM = 4
"""Exams before the clock runs: a worker's first job is not like the others."""
GOAL = 0.15
DRAWS = 20
SLEEPS = """
import time
time.sleep(2.0 + 1.0 * (abs(int(volume.voxels.sum())) % 101) / 100)
"""
LOAD = Load(kinds={"CT": Kind(share=1, series=1, images=sending.SLICES, image_mb=0.01, run={"sample": 1})},
            runs_a_week=None, gb_a_day=EXAMS * sending.SLICES * 0.01 / 1000, urgent=0.2, low=0.25, batched=0.5, batch=4,
            hours=(*(0,) * 9, 1, *(0,) * 14), late=0, sent_again=0, with_priors=0, counted=0, outages=(),
            workers=WORKERS)


def main() -> None:
    """Run it really, then in virtual time, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--seed", type=int, default=3)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    enter_private_network()
    with tempfile.TemporaryDirectory() as name:
        sent, real, load = really(Path(name), asked.seed)
    known = {row["series"]: row["spent"] for row in real}
    rows = compared(real, virtually(sent, load, 0, known), [virtually(sent, load, seed) for seed in range(DRAWS)])
    result = {"exams": len(sent), "workers": WORKERS, "draws": DRAWS, "rows": rows}
    (asked.out / "simulation.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
    print(json.dumps(result, indent=2))
    wrong = [row["figure"] for row in rows
             if row["goal"] and max(abs(row["difference"]), abs(row["drawn_difference"])) > GOAL]
    if wrong:
        raise SystemExit(f"further than {GOAL:.0%} from what was measured: {', '.join(wrong)}")


def really(folder: Path, seed: int) -> tuple[list[Sent], list[dict[str, Any]], Load]:
    """Send the morning to a node; what was sent, what its tables say of each job, and the load with its job times."""
    where = sample_pipelines.install(folder / "installed", extra=SLEEPS)
    port = free_port()
    routes: list[dict[str, Any]] = [
        {"name": f"simulated-{priority}", "when": {"series_description": f"simulated {priority}"}, "run": ["sample"],
         "send": ["PACS"], "priority": priority}
        for priority in ("urgent", "routine", "low")
    ]

    with NodeProcess(
        folder / "node", peers=[modality("RADNODE"), archive(port)], routes=routes,
        settings={"workers": [{"device": "cpu", "memory_limit": "4 GB"}] * WORKERS},
        environment={"PYTHONPATH": str(where)},
    ) as node:
        peer = Peer(name="node", ae_title="RADNODE", host="127.0.0.1", port=node.port)
        # Emergencies come at any hour; here in the same one as the others.
        morning = sorted((replace(exam, begins_s=exam.begins_s % 3600) for exam in exams(LOAD, days=1, seed=seed)),
                         key=lambda exam: exam.begins_s)
        hour = morning[-1].begins_s - morning[0].begins_s
        database = Database(node.database_url)
        warm = list(sending.send(morning[:WARM], peer, "RADNODE", speed=1e6, longest_s=60, name="warm"))
        eventually(lambda: _ended(database, {each.series_instance_uid for each in warm}), within=120, why=node.log)
        sent = list(sending.send(morning, peer, "RADNODE", speed=hour / SENT_WITHIN_S, longest_s=120, name="bench"))
        assert not [each.reason for each in sent if each.refused]
        series = {each.series_instance_uid for each in sent}
        rows = eventually(lambda: _ended(database, series), within=180, why=node.log)
        with database.read() as session:
            times = job_times(session, most=len(sent))  # not those before
        database.close()
    return sent, rows, LOAD.model_copy(update={"job_seconds": times, "quiet_time_s": 3.0})


def _ended(database: Database, series: set[str]) -> list[dict[str, Any]]:
    with database.read() as session:
        last = select(func.max(InstanceRow.received_at)).where(InstanceRow.series_id == JobRow.series_id)
        rows = session.execute(
            select(JobRow.route_names, JobRow.state, SeriesRow.series_instance_uid, JobRow.created_at,
                   JobRow.started_at, JobRow.ended_at, last.scalar_subquery().label("acknowledged_at"))
            .join(SeriesRow, SeriesRow.id == JobRow.series_id)
            .where(SeriesRow.series_instance_uid.in_(series))
        ).all()
    found = [row for row in rows if row.ended_at is not None]
    if len(found) < len(series):
        return []
    assert {row.state for row in found} == {"PRODUCED"}, {row.state for row in found}
    return [
        {"priority": row.route_names[0].removeprefix("simulated-"), "waited": _between(row.created_at, row.started_at),
         "spent": _between(row.started_at, row.ended_at), "whole": _between(row.acknowledged_at, row.ended_at),
         "ended": row.ended_at.timestamp(), "began": row.acknowledged_at.timestamp(),
         "series": row.series_instance_uid}
        for row in found
    ]


def _between(earlier: Any, later: Any) -> float:
    return float((later - earlier).total_seconds())


def virtually(
    sent: list[Sent], load: Load, seed: int, known: dict[str, float] | None = None
) -> list[dict[str, Any]]:
    """The same exams at the same times through the virtual node. known: seconds of the job over each series."""
    rate = statistics.median(sending.SLICES / max(each.acknowledged_s - each.begun_s, 1e-3) for each in sent)
    load = load.model_copy(update={"sender_images_s": rate})

    def at(each: Sent) -> Exam:
        pipelines = ("sample",) if known is None else (each.series_instance_uid,)
        return replace(each.exam, begins_s=each.begun_s, evidence="geometry", pipelines=pipelines)

    if known is not None:
        load = load.model_copy(update={"job_seconds": {each: JobTime(samples=(known[each],)) for each in known}})

    reads = VirtualNode(load=load, seed=seed).run(sorted(map(at, sent), key=lambda exam: exam.begins_s))
    return [{"priority": read.priority, "waited": read.waited_s, "spent": read.ended_s - read.leased_s,
             "whole": read.ended_s - read.acknowledged_s, "ended": read.ended_s, "began": read.acknowledged_s}
            for read in reads]


def _figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    span = max(row["ended"] for row in rows) - min(row["began"] for row in rows)
    found = {"workers busy": sum(row["spent"] for row in rows) / (WORKERS * span)}
    for priority in ("all", "urgent", "routine", "low"):
        of = [row for row in rows if priority in ("all", row["priority"])]
        for column, label in (("waited", "wait for a worker"), ("whole", "last image to recorded result")):
            values = [row[column] for row in of]
            found[f"{priority}: {label}, mean s"] = statistics.fmean(values)
            found[f"{priority}: {label}, p95 s"] = spread(values).p95 or 0.0
    return found


def compared(
    real: list[dict[str, Any]], foretold: list[dict[str, Any]], draws: list[list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Each figure, measured, foretold and drawn; those of all jobs have the goal."""
    measured, expected, drawn = _figures(real), _figures(foretold), [_figures(each) for each in draws]
    rows = []
    for figure, value in measured.items():
        mean = statistics.fmean(each[figure] for each in drawn)
        rows.append({"figure": figure, "measured": round(value, 3), "foretold": round(expected[figure], 3),
                     "difference": round(expected[figure] / value - 1, 3), "drawn": round(mean, 3),
                     "drawn_difference": round(mean / value - 1, 3), "goal": figure.startswith(("all", "workers"))})
    return rows


if __name__ == "__main__":
    main()
