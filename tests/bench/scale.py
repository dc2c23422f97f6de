"""The arithmetic of docs/scale.md, from one site to 10^7 studies a year, written between its two marks there.

    python tests/bench/scale.py

What an exam is made of comes from the simulated working day (`radnode simulate --seed 1`); what a receiver takes is the
measured figure that the simulation uses; what the database is asked is counted by test_statements.py. All else is
multiplication, and stands beside the table.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from radnode.node.simulating.day import exams  # noqa: E402
from radnode.node.simulating.load import JobTime, Load  # noqa: E402

BEGIN, END = "<!-- made by tests/bench/scale.py -->", "<!-- end of what is made -->"
PAGE = ROOT / "docs" / "scale.md"
DAY_S, YEAR_DAYS = 86_400, 365
KEPT_DAYS = 14
BUSY = 0.6
"""Of what there is, so that a queue ends again."""
STATEMENTS_OF_AN_IMAGE, STATEMENTS_OF_A_JOB = 12, 40
ROWS_OF_AN_IMAGE = 5
"""In `instances`, and four in `ledger_events`: acknowledged, in a job, processed, expired."""
OF_ONE_MACHINE = 4
"""Workers, one GPU each."""
TIMES = "\N{MULTIPLICATION SIGN}"
NORMAL_95 = 1.6448536269514722


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What the simulated day came to. peak: exams of its busiest hour over those of the mean hour."""

    exams: int
    images_of_an_exam: float
    mb_of_an_image: float
    runs_of_an_exam: float
    seconds_of_a_run: float
    peak: float
    receiver_images_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One column: so many exams a day in one place."""

    name: str
    exams: float


def simulated() -> Day:
    """A working day as `radnode simulate --seed 1` has it."""
    load = Load()
    day = exams(load, days=1, seed=1)
    images = sum(exam.images for exam in day)
    megabytes = sum(exam.images * load.kinds[exam.kind].image_mb for exam in day)
    hours = Counter(int(exam.begins_s // 3600) % 24 for exam in day)
    time = JobTime()
    sigma = math.log(time.p95 / time.median) / NORMAL_95
    return Day(
        exams=len(day), images_of_an_exam=images / len(day), mb_of_an_image=megabytes / images,
        runs_of_an_exam=sum(len(exam.pipelines) for exam in day) / len(day),
        seconds_of_a_run=time.median * math.exp(sigma**2 / 2), peak=max(hours.values()) * 24 / len(day),
        receiver_images_s=load.receiver_images_s,
    )


def steps(day: Day) -> tuple[Step, ...]:
    """From one site to all."""
    return (
        Step(name="one site of 350 GB a day", exams=day.exams), Step(name="10⁵ studies a year", exams=1e5 / YEAR_DAYS),
        Step(name="10⁶ in one place", exams=1e6 / YEAR_DAYS), Step(name="10⁷ in one place", exams=1e7 / YEAR_DAYS),
        Step(name="10⁷ over 100 sites, each", exams=1e5 / YEAR_DAYS),
    )


def figures(day: Day, step: Step) -> dict[str, str]:
    """What it comes to, by what it is."""
    images = step.exams * day.images_of_an_exam
    second, busiest = images / DAY_S, images / DAY_S * day.peak
    runs_second = step.exams * day.runs_of_an_exam / DAY_S * day.peak
    receivers = busiest / day.receiver_images_s
    disk_tb = images * day.mb_of_an_image * KEPT_DAYS / 1e6
    rows = images * YEAR_DAYS * ROWS_OF_AN_IMAGE
    hours = step.exams * day.runs_of_an_exam * day.seconds_of_a_run / 3600
    workers = math.ceil(hours / 24 * day.peak / BUSY)
    return {
        "exams a day": f"{step.exams:,.0f}",
        "images a second, mean and busiest hour": f"{_two(second)}, {_two(busiest)}",
        f"of one receiver's {day.receiver_images_s:.0f} a second, busiest hour": f"{_two(receivers * 100)} %",
        "megabytes a second, busiest hour": _two(busiest * day.mb_of_an_image),
        "statements a second, busiest hour":
            _two(busiest * STATEMENTS_OF_AN_IMAGE + runs_second * STATEMENTS_OF_A_JOB),
        "rows of images and their journal a year": _power(rows),
        f"disk for {KEPT_DAYS} days": f"{_two(disk_tb)} TB",
        "files that are written a year, one an image": _power(images * YEAR_DAYS),
        "hours of workers a day": _two(hours),
        f"workers for the busiest hour at {BUSY * 100:.0f} %": str(workers),
        "**so**": _so(receivers, workers),
    }


def _so(receivers: float, workers: int) -> str:
    needed = max(1, math.ceil(receivers / BUSY))
    where = "the machine of the node" if workers <= OF_ONE_MACHINE else "a Ray cluster"
    return f"{needed} receiver{'s' * (needed > 1)} by speed, workers on {where}"


def _two(value: float) -> str:
    """Two digits that count."""
    digits = max(0, 1 - math.floor(math.log10(value)))
    return f"{round(value, 1 - math.floor(math.log10(value))):,.{min(digits, 3)}f}"


def _power(value: float) -> str:
    exponent = math.floor(math.log10(value))
    return f"{value / 10**exponent:.1f} {TIMES} 10{str(exponent).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def made() -> str:
    """What stands between the marks."""
    day = simulated()
    columns = [figures(day, step) for step in steps(day)]
    lines = [
        f"An exam of the simulated day has {day.images_of_an_exam:.0f} images of {day.mb_of_an_image:.2f} MB and "
        f"{day.runs_of_an_exam:.2f} runs of {day.seconds_of_a_run:.0f} s",
        f"(the mean of the assumed distribution); the busiest hour has {day.peak:.1f} times the exams of the mean one.",
        "",
        "| | " + " | ".join(step.name for step in steps(day)) + " |",
        "|---" * (len(columns) + 1) + "|",
        *(f"| {name} | " + " | ".join(column[name] for column in columns) + " |" for name in columns[0]),
        "",
        f"Images = exams {TIMES} {day.images_of_an_exam:.0f}; rows = images {TIMES} {ROWS_OF_AN_IMAGE} (one in "
        f"`instances`, four in `ledger_events`); statements = images {TIMES}",
        f"{STATEMENTS_OF_AN_IMAGE} + runs {TIMES} {STATEMENTS_OF_A_JOB}, at the most; workers = hours / 24 {TIMES} "
        f"{day.peak:.1f} / {BUSY}, rounded up.",
    ]
    return "\n".join(lines)


def written(page: str) -> str:
    """The page with what is made now."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{made()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """See above."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(made())


if __name__ == "__main__":
    main()
