"""What the demonstration tells: progress while it runs, the table at its end, agreement with the phantom, pictures."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.uid import SegmentationStorage
from rich.console import Group
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from radnode.pipelines import registry
from radnode.pipelines.results.decoding import masks
from radnode.pipelines.results.overlay import Outline, overlay_png
from radnode.pipelines.sources.select import read_instances, select_stack
from radnode.pipelines.sources.volume import read_volume

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset
    from rich.console import RenderableType

    from radnode.node.demo.demo import Shown
    from radnode.pipelines.ct_lung.phantom import Phantom
    from radnode.pipelines.geometry import Affine

ENDED_JOBS = {"PRODUCED", "NOT_PROCESSED", "FAILED", "SUPERSEDED", "DISCARDED"}
ENDED_DELIVERIES = {"CONFIRMED", "DEAD", "WITHDRAWN", "REPLACED"}
SETTLED_SERIES = {"CLOSED", "HELD", "CONFLICT", "DISCARDED"}
COLOURS = ((80, 200, 255), (255, 170, 60), (120, 230, 120), (240, 110, 200))


def is_finished(study: Mapping[str, Any]) -> bool:
    """Whether every series is decided, every job has ended and every result object has an end of its way."""
    return bool(
        study.get("series")
        and all(series["state"] in SETTLED_SERIES for series in study["series"])
        and all(job["state"] in ENDED_JOBS for job in study["jobs"])
        and all(delivery["state"] in ENDED_DELIVERIES for delivery in study["deliveries"])
    )


def progress(shown: Shown, total: int) -> RenderableType:
    """The live view: images acknowledged, then where the study is."""
    bar = Table.grid(padding=(0, 1))
    bar.add_row("acknowledged", ProgressBar(total=total, completed=shown.sent, width=40), f"{shown.sent}/{total}")
    lines = [f"series {series['state']}, {series['instances']} instances" for series in shown.study.get("series", [])]
    lines += [f"{stage['pipeline']}: {stage['stage'] or 'starting'}" for stage in shown.stages]
    lines += [f"{each['form']} → {each['destination']}: {each['state']}" for each in shown.study.get("deliveries", [])]
    return Group(bar, *(Text(line) for line in lines))


def summarise(
    shown: Shown, delivered: Sequence[Path], sent: Sequence[Path], phantom: Phantom | None, output: Path
) -> dict[str, Any]:
    """The table as data. Agreement and pictures are of what the PACS holds, not of what the node meant to send."""
    segmentations = [dataset for dataset in map(pydicom.dcmread, delivered) if _is_segmentation(dataset)]
    jobs, deliveries = shown.study.get("jobs", []), shown.study.get("deliveries", [])
    summary: dict[str, Any] = {
        "objects": [
            {
                "kind": each["form"],
                "state": each["state"].lower(),
                "destination": each["destination"],
                "sop_instance_uid": each["sop_instance_uid"],
                "attempts": each["attempts"],
            }
            for each in deliveries
        ],
        "dice": _agreement(segmentations, phantom) if phantom else {},
        "seconds": {name: round(value, 3) for name, value in _seconds(shown).items()},
        "measurements": [each for job in jobs for each in job["report"].get("measurements", [])],
        "remarks": [each for job in jobs for each in job["report"].get("remarks", [])],
        "pictures": [str(path) for path in _draw(segmentations, sent, output)],
    }
    produced = any(job["state"] == "PRODUCED" for job in jobs)
    summary["good"] = (
        is_finished(shown.study)
        and not shown.refused
        and all(each["state"] == "CONFIRMED" for each in deliveries)
        and (phantom is None or (produced and bool(deliveries)))
    )
    return summary


def table(shown: Shown, summary: Mapping[str, Any]) -> RenderableType:
    """The way of the study, step by step, with times and reasons."""
    way = Table("step", "what happened", "seconds", title=f"study {shown.study_instance_uid}", title_justify="left")
    way.add_row("received", f"{shown.sent} acknowledged, {shown.refused} refused",
                _time(summary, "sent and acknowledged"))
    for series in shown.study.get("series", []):
        grounds = "\n".join(ground["text"] for ground in series["grounds"]) or series.get("reason") or ""
        way.add_row("complete", escape(f"{series['state'].lower()}: {grounds}"), _time(summary, "series closed"))
        for route in series["routes"]:
            way.add_row("route", escape(_route(route)), "")
    for job in shown.study.get("jobs", []):
        text = f"{job['pipeline']} {job['pipeline_version']}: {job['report'].get('state') or job['state'].lower()}"
        way.add_row("job", escape(f"{text}\n{job['reason']}" if job["reason"] else text), _time(summary, "job"))
    for each in summary["objects"]:
        way.add_row("result", f"{each['kind']} → {each['destination']}: {each['state']}", "")
    way.add_row("delivered", "all result objects", _time(summary, "results confirmed"))
    for name, value in summary["dice"].items():
        way.add_row("agreement", f"Dice {name} against the phantom's truth: {value:.4f}", "")
    numbers = Table("of", "measurement", "value", "unit")
    for each in summary["measurements"]:
        numbers.add_row(each["label"], each["name"], f"{each['value']:.1f}", escape(each["unit"]))
    remarks = [Text(f"• {remark}") for remark in summary["remarks"]]
    return Group(way, numbers, *remarks) if summary["measurements"] else Group(way, *remarks)


def _route(route: Mapping[str, Any]) -> str:
    conditions = "; ".join(f"{each['condition']}: {each['outcome']}" for each in route["conditions"])
    return f"{route['route']} {'matched' if route['matched'] else 'did not match'} ({conditions})"


def _time(summary: Mapping[str, Any], name: str) -> str:
    value = summary["seconds"].get(name)
    return "" if value is None else f"{value:.2f}"


def _seconds(shown: Shown) -> dict[str, float]:
    seconds = dict(shown.seconds)
    for job in shown.study.get("jobs", []):
        for stage, value in job["report"].get("seconds", {}).items():
            seconds[f"stage {stage}"] = value
        if job["started_at"] and job["ended_at"]:
            span = datetime.fromisoformat(job["ended_at"]) - datetime.fromisoformat(job["started_at"])
            seconds["job"] = span.total_seconds()
    for series in shown.study.get("series", []):
        if series["closed_at"]:
            wait = datetime.fromisoformat(series["closed_at"]) - datetime.fromisoformat(series["last_received_at"])
            seconds["series closed"] = wait.total_seconds()
    return seconds


def _is_segmentation(dataset: Dataset) -> bool:
    return bool(dataset.SOPClassUID == SegmentationStorage)


def _masks(segmentation: Dataset, affine: Affine, shape: tuple[int, ...]) -> dict[str, NDArray[np.bool_]]:
    """Segment label -> mask on a grid (slice, row, column)."""
    found = masks(segmentation, affine, shape)
    return {str(segment.SegmentLabel): found[int(segment.SegmentNumber)] for segment in segmentation.SegmentSequence}


def _agreement(segmentations: Sequence[Dataset], phantom: Phantom) -> dict[str, float]:
    """Dice coefficient of each lung against the phantom's truth; 0 for a lung that was not delivered."""
    found: dict[str, NDArray[np.bool_]] = {}
    for segmentation in segmentations:
        shown = _masks(segmentation, phantom.affine, phantom.hu.shape)
        found |= {label.lower(): mask for label, mask in shown.items()}
    truth = {"left lung": phantom.left_mask, "right lung": phantom.right_mask}
    return {name: _dice(found.get(name, np.zeros_like(mask)), mask) for name, mask in truth.items()}


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))


def _draw(segmentations: Sequence[Dataset], sent: Sequence[Path], output: Path) -> list[Path]:
    """One overlay for each segmentation, over the images it refers to."""
    pictures = []
    for number, segmentation in enumerate(segmentations, start=1):
        referenced = {
            str(each.ReferencedSOPInstanceUID)
            for series in segmentation.ReferencedSeriesSequence
            for each in series.ReferencedInstanceSequence
        }
        instances = [each for each in read_instances(sent) if str(each.dataset.SOPInstanceUID) in referenced]
        volume = read_volume(select_stack(instances, registry.installed().manifests["ct-lung"]))
        masks = _masks(segmentation, volume.affine, volume.voxels.shape)
        outlines = [
            Outline(label=label, mask=mask, rgb=COLOURS[place % len(COLOURS)])
            for place, (label, mask) in enumerate(masks.items())
        ]
        path = (output / f"overlay-{number}.png").resolve()
        overlay_png(volume, outlines, path, title=str(segmentation.SeriesDescription))
        pictures.append(path)
    return pictures
