"""A simulated day as one HTML file without scripts; needs matplotlib."""

from __future__ import annotations

import io
from html import escape
from typing import TYPE_CHECKING, Any

from radnode.node.simulating.figures import PRIORITIES, busy_by_hour, queue_over_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from radnode.node.simulating.figures import Figures
    from radnode.node.simulating.load import Load
    from radnode.node.simulating.ramp import Step
    from radnode.node.simulating.virtual import Read

COLOURS = {"urgent": "#c0501c", "routine": "#20609f", "low": "#777777"}
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto;
       padding: 0 1.2rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .25rem 1.2rem .25rem 0; border-bottom: 1px solid #ddd;
         overflow-wrap: break-word; } td:first-child { white-space: nowrap; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { color: #444; font-size: .9rem; }
"""
NOTE = ("Simulated, not measured: series are judged and jobs are leased by the node's own rules, but exams, the speed "
        "of the receiver and the times of jobs are the parameters below. A prediction is as good as they are.")


def page(load: Load, found: Figures, reads: Sequence[Read], steps: Sequence[Step], holds: float | None) -> str:
    """The whole report."""
    parts = [f"<p>{escape(NOTE)}</p>", "<h2>The day</h2>", _table(("", ""), list(of_day(found))),
             "<h2>Waiting</h2>", _table(HEAD, list(of_priorities(found))),
             _figure(_queue(reads), "Jobs that wait for a worker, over the day."),
             _figure(_busy(load, reads), "Share of the workers that is busy, by hour."),
             _figure(_waits(reads), "From the last image to the delivered result: how many came within.")]
    if steps:
        parts += ["<h2>Where it breaks</h2>", f"<p>{escape(of_ramp(load, holds))}</p>",
                  _figure(_curve(load, steps), "95 of 100 results came within, by the load.")]
    parts += ["<h2>Parameters</h2>", _table(("", "value", "from"), list(load.explained()))]
    title = "A simulated day of radnode"
    return (f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
            f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n")


HEAD = ("priority", "jobs", "waits for a worker: median", "95 %", "99 %", "last image to result: median", "95 %",
        "99 %", "not in time")


def of_priorities(found: Figures) -> Iterable[tuple[str, ...]]:
    """A row for each priority, times written."""
    for each in found.of:
        spreads = (each.waited.median, each.waited.p95, each.waited.p99,
                   each.turnaround.median, each.turnaround.p95, each.turnaround.p99)
        yield (each.priority, str(each.jobs), *map(written, spreads), str(each.late))


def of_day(found: Figures) -> Iterable[tuple[str, str]]:
    """What was simulated and what the workers did."""
    yield "exams", f"{found.exams}, {found.images} images, {found.gigabytes:.0f} GB, in {found.days} d"
    yield "model runs", f"{found.jobs}, {found.jobs_a_week:.0f} in seven such days"
    yield "workers busy", f"{found.busy:.0%} of the time, {found.busiest_hour:.0%} in the busiest hour"
    yield "longest queue", f"{found.longest_queue} jobs"
    yield "an exam that is read costs", "nothing was read" if found.cost is None else f"{found.cost:.3f}"


def of_ramp(load: Load, holds: float | None) -> str:
    """The answer in a sentence."""
    limit = f"{load.limit_min['urgent']:g} min"
    if holds is None:
        return f"Already this load is too much: 95 of 100 urgent results do not come within {limit}."
    return f"95 of 100 urgent results come within {limit} up to {holds:g} times this load."


def written(seconds: float | None) -> str:
    """A time as a person reads it."""
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if any(head) else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table>{top}\n{body}</table>"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _axes(height: float = 2.6) -> tuple[Any, Any]:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "radnode"
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return stream.getvalue()[stream.getvalue().index("<svg"):]


def _queue(reads: Sequence[Read]) -> str:
    figure, axes = _axes()
    steps = queue_over_time(reads)
    axes.step([when / 3600 for when, _ in steps], [waiting for _, waiting in steps], where="post", color="#20609f",
              linewidth=1)
    axes.set(xlabel="hour", ylabel="jobs", ylim=(0, None))
    return _svg(figure)


def _busy(load: Load, reads: Sequence[Read]) -> str:
    figure, axes = _axes()
    hours = busy_by_hour(reads)
    axes.bar([hour + 0.5 for hour in hours], [100 * each / 3600 / load.workers for each in hours.values()], width=0.9,
             color="#20609f")
    axes.set(xlabel="hour", ylabel="% busy", ylim=(0, 105))
    return _svg(figure)


def _waits(reads: Sequence[Read]) -> str:
    figure, axes = _axes(3.0)
    for priority in PRIORITIES:
        times = sorted(max(read.turnaround_s, 0.1) / 60 for read in reads if read.priority == priority)
        if times:
            axes.plot(times, [100 * (place + 1) / len(times) for place in range(len(times))], label=priority,
                      color=COLOURS[priority])
    axes.set(xscale="log", xlabel="minutes", ylabel="% of results", ylim=(0, 101))
    axes.legend(frameon=False)
    return _svg(figure)


def _curve(load: Load, steps: Sequence[Step]) -> str:
    figure, axes = _axes(3.0)
    for priority in PRIORITIES:
        axes.plot([step.factor for step in steps], [max(step.found.p95_of(priority), 1) / 60 for step in steps], "o-",
                  label=priority, color=COLOURS[priority])
    axes.axhline(load.limit_min["urgent"], color=COLOURS["urgent"], linestyle=":", linewidth=1)
    axes.set(yscale="log", xlabel="times the load", ylabel="minutes")
    axes.legend(frameon=False)
    return _svg(figure)
