"""How long fifty organs take to become a file, ours and highdicom's in turn, from the same label array in one run.

    python tests/bench/segmentation.py --out bench-results
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import highdicom
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import result_samples as samples

from radnode.pipelines.findings import Findings, Segment
from radnode.pipelines.forms import Wanted
from radnode.pipelines.results import gate, segmentation
from radnode.pipelines.results.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pydicom import Dataset

SLICES, SIZE, ORGANS, ROUNDS = 300, 512, 50, 5


def organs() -> NDArray[np.uint8]:
    """Fifty ellipsoids of the sizes of organs, uint8 (slices, rows, columns); the later one wins where two meet."""
    random = np.random.default_rng(11)
    labels = np.zeros((SLICES, SIZE, SIZE), dtype=np.uint8)
    for number in range(1, ORGANS + 1):
        centre = random.uniform(0.2, 0.8, 3) * labels.shape
        radii = random.uniform(0.05, 0.2, 3) * labels.shape
        low = np.maximum(centre - radii, 0).astype(int)
        high = np.minimum(centre + radii + 1, labels.shape).astype(int)
        z, y, x = np.ogrid[low[0]:high[0], low[1]:high[1], low[2]:high[2]]
        inside = sum(((axis - c) / r) ** 2 for axis, c, r in zip((z, y, x), centre, radii, strict=True)) <= 1
        labels[low[0]:high[0], low[1]:high[1], low[2]:high[2]][inside] = number
    return labels


def writing(form: str) -> Writing:
    """The fifty organs over a CT of 300 slices of 512 x 512."""
    headers = samples.stack(SLICES)
    for header in headers:
        header.Rows = header.Columns = SIZE
    labels = organs()
    findings = Findings(
        volume=samples.volume_of(headers),
        segments=tuple(
            Segment(key=f"organ-{number}", label=f"Organ {number}", category=samples.ANATOMY, type=samples.LUNG,
                    voxels=labels, value=number, rgb=(number, 200, 90))
            for number in range(1, ORGANS + 1) if (labels == number).any()
        ),
    )
    sample = samples.sample(headers, findings, forms=(form,))
    return Writing(
        findings=sample.findings, source=sample.source, provenance=sample.provenance, wanted=Wanted(form)
    )


def by_highdicom(task: Writing) -> Dataset:
    """The library's own way, with the same header, over all slices."""
    kind = "LABELMAP" if task.wanted.form == "LABELMAP" else "BINARY"
    descriptions = segmentation._descriptions(task.findings.segments, task.provenance)
    # Its segments are numbered without gaps.
    numbers = np.zeros(256, dtype=np.uint8)
    for number, segment in enumerate(task.findings.segments, 1):
        numbers[segment.value] = number
    return segmentation._highdicom(
        task, highdicom.seg.SegmentationTypeValues(kind), descriptions, list(task.source.slices),
        numbers[task.findings.segments[0].voxels],
    )


def seconds(make: Callable[[], Dataset], path: Path) -> float:
    """Building and saving."""
    began = time.perf_counter()
    make().save_as(path, enforce_file_format=True)
    return time.perf_counter() - began


def measure(form: str, folder: Path) -> dict[str, Any]:
    """Ours and theirs in turn, then the gate over ours."""
    task = writing(form)
    write = segmentation.write_label_map if form == "LABELMAP" else segmentation.write_binary
    ours, theirs, gates = [], [], []
    path = folder / f"{form}.dcm"
    for _ in range(ROUNDS):
        theirs.append(seconds(lambda: by_highdicom(task), folder / "highdicom.dcm"))
        ours.append(seconds(lambda: write(task)[0], path))
        began = time.perf_counter()
        gate.check({form: [path]}, task.findings, task.source, task.provenance)
        gates.append(time.perf_counter() - began)
    return {
        "form": form, "segments": len(task.findings.segments), "megabytes": round(path.stat().st_size / 1e6, 1),
        "ours_s": round(statistics.median(ours), 2), "ours_fastest_s": round(min(ours), 2),
        "highdicom_s": round(statistics.median(theirs), 2), "gate_s": round(statistics.median(gates), 2),
        "times_faster": round(statistics.median(theirs) / statistics.median(ours), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    results = [measure(form, folder) for form in ("SEG", "LABELMAP")]
    (folder / "segmentation.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    for result in results:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
