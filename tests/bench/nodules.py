"""How many nodules of synthetic chests ct-nodule finds at how many false marks (FROC), and how long 300 slices take.

    python tests/bench/nodules.py --out bench-results

Writes ct-nodule.json and the curve, ct-nodule-froc.svg. The network was trained on phantoms of the seeds from 100000,
its certainty and the operating point set on those from 1000 (`--first-seed 1000`); measured is on those from 6000,
which nothing was set on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import nodules as support
from support.phantoms import volume_of

from radnode.pipelines.ct_lung.lungs import segment_lungs
from radnode.pipelines.ct_nodule.field import fields
from radnode.pipelines.ct_nodule.marks import Baseline
from radnode.pipelines.ct_nodule.phantom import nodule_phantom
from radnode.pipelines.ct_nodule.pipeline import CtNodule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from radnode.pipelines.ct_nodule.field import Field
    from radnode.pipelines.ct_nodule.phantom import Nodule, NodulePhantom

FIRST_SEED = 6000
COUNTED_MM = 6.0


def chest(seed: int) -> NodulePhantom:
    """A chest of 2 mm slices with eight nodules."""
    return nodule_phantom(seed=seed, slices=160, size=300, count=8)


def searched(phantom: NodulePhantom) -> tuple[Field, ...]:
    """Its lungs."""
    volume = volume_of(phantom.chest)
    return fields(volume, segment_lungs(volume, "cpu", lambda _stage: None), "cpu")


class Curve:
    """certain: of each nodule of 6 mm or more, the most certain mark on it; false: of the marks on none of any size."""

    def __init__(self) -> None:
        self.certain: list[float] = []
        self.false: list[float] = []
        self.missed: list[str] = []
        self.scans = 0

    def add(self, nodules: Iterable[Nodule], marks: list[tuple[tuple[float, float, float], float]]) -> None:
        """One scan."""
        nodules = list(nodules)
        best = [0.0] * len(nodules)
        for center, certainty in marks:
            on = support.nodule_at(nodules, center)
            if on is None:
                self.false.append(certainty)
            else:
                best[on] = max(best[on], certainty)
        counted = [(each, found) for each, found in zip(nodules, best, strict=True) if each.diameter_mm >= COUNTED_MM]
        self.certain += [found for _, found in counted]
        self.missed += [f"{each.place} {each.kind} {each.diameter_mm:.0f} mm" for each, found in counted
                        if found < Baseline.operating_point]
        self.scans += 1

    def at(self, certainty: float) -> tuple[float, float]:
        """(false marks a scan, share of nodules found) of the marks from this certainty on."""
        return (sum(each >= certainty for each in self.false) / self.scans,
                sum(each >= certainty for each in self.certain) / max(len(self.certain), 1))

    def points(self) -> list[tuple[float, float]]:
        """From the strictest certainty on."""
        return [self.at(each) for each in sorted({*self.certain, *self.false} - {0.0}, reverse=True)]

    def sensitivity(self, rate: float) -> float:
        """At no more than this many false marks a scan."""
        return max((found for false, found in self.points() if false <= rate), default=0.0)

    def certainty(self, rate: float) -> float:
        """From which on there are no more than this many false marks a scan."""
        return min((each for each in {*self.certain, *self.false} if self.at(each)[0] <= rate), default=1.0)


def froc(seeds: Iterable[int]) -> Curve:
    """The curve over these phantoms."""
    curve = Curve()
    for seed in seeds:
        phantom = chest(seed)
        marks = Baseline()(support.study(phantom), searched(phantom), support.CONTEXT)
        curve.add(phantom.nodules, [(each.center_lps, each.certainty) for each in marks])
        print(seed, curve.at(Baseline.operating_point), flush=True)
    return curve


def seconds_of_300_slices() -> tuple[float, float]:
    """(on the clock, of processors) from voxels in memory to findings."""
    study = support.study(nodule_phantom(seed=FIRST_SEED, slices=300, size=512))
    began, used = time.perf_counter(), time.process_time()
    CtNodule().run(study, support.CONTEXT)
    return time.perf_counter() - began, time.process_time() - used


def drawn(curve: Curve) -> str:
    """The curve from 0 to 4 false marks a scan, as SVG."""
    wide, high, left, top = 480, 300, 50, 20
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide + 80}" height="{high + 70}"'
             ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>']
    for step in range(5):
        x, y = left + wide * step / 4, top + high * (1 - step / 4)
        lines.append(f'<path d="M{x:.0f} {top}V{top + high}M{left} {y:.0f}H{left + wide}" stroke="#ddd" fill="none"/>'
                     f'<text x="{x - 4:.0f}" y="{top + high + 16}">{step}</text>'
                     f'<text x="{left - 32}" y="{y + 4:.0f}">{step / 4:.2f}</text>')
    shown = [(0.0, 0.0), *(each for each in curve.points() if each[0] <= 4)]
    path = "L".join(f"{left + wide * false / 4:.1f} {top + high * (1 - found):.1f}" for false, found in shown)
    lines.append(f'<path d="M{path}" stroke="#1f77b4" stroke-width="2" fill="none"/>'
                 f'<text x="{left + wide / 2 - 60}" y="{top + high + 36}">false marks a scan</text>'
                 f'<text transform="translate(12 {top + high / 2 + 60}) rotate(-90)">share of nodules found</text>'
                 '</svg>')
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write, say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=25)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--no-time", action="store_true")
    arguments = parser.parse_args()
    curve = froc(range(arguments.first_seed, arguments.first_seed + arguments.phantoms))
    figures: dict[str, object] = {
        "phantoms": curve.scans, "first_seed": arguments.first_seed, "nodules of 6 mm or more": len(curve.certain),
        "sensitivity": {f"{rate:g}": round(curve.sensitivity(rate), 3) for rate in (0.25, 0.5, 1, 2, 4)},
        "certainty for as many false marks": {f"{rate:g}": round(curve.certainty(rate), 2) for rate in (0.5, 1, 2)},
        "at the operating point (false marks a scan, sensitivity)":
            [round(each, 3) for each in curve.at(Baseline.operating_point)],
        "missed there": curve.missed,
    }
    if not arguments.no_time:
        figures["load before"] = os.getloadavg()[0]
        figures["seconds of 300 slices of 512 x 512: on the clock, of processors"] = [
            round(each, 1) for each in seconds_of_300_slices()]
    print(json.dumps(figures, indent=1))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "ct-nodule.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "ct-nodule-froc.svg").write_text(drawn(curve), encoding="utf-8")


if __name__ == "__main__":
    main()
