"""How many lesions of synthetic screenings mg-cad finds at how many false marks (FROC), and what four views cost.

    python tests/bench/mammography.py --out bench-results

Writes mg-cad.json and the curve, mg-cad-froc.svg. The detectors were set on phantoms of the seeds from 1000; measured
is on those from 9000, which nothing was set on. A lesion counts once in each view. The interval is that of 95 % of 1000
draws of as many women, with replacement: the views of one woman are not independent.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import mammography as mammo

from radnode.pipelines.mg_cad.breast import find_breast
from radnode.pipelines.mg_cad.clusters import Clusters
from radnode.pipelines.mg_cad.marks import CLUSTER, MASS
from radnode.pipelines.mg_cad.masses import Masses
from radnode.pipelines.mg_cad.phantom import VIEWS, screening
from radnode.pipelines.mg_cad.pipeline import OPERATING_POINT, MgCad

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_SEED, PIXEL_MM = 9000, 0.2
LARGE, LARGE_MM = (4096, 3328), 0.07
_COLOURS = {MASS: "#1f77b4", CLUSTER: "#d62728", "both": "#333333"}


class Curve:
    """certain: of each lesion on each image, the most certain mark on it; false: certainties of the marks on none."""

    def __init__(self) -> None:
        self.certain: list[float] = []
        self.false: list[float] = []

    def at(self, certainty: float, images: int) -> tuple[float, float]:
        """(false marks an image, share of lesions found) of the marks from this certainty on."""
        return (sum(each >= certainty for each in self.false) / images,
                sum(each >= certainty for each in self.certain) / max(len(self.certain), 1))

    def points(self, images: int) -> list[tuple[float, float]]:
        """The curve, from the strictest certainty on."""
        return [self.at(each, images) for each in sorted({*self.certain, *self.false} - {0.0}, reverse=True)]

    def sensitivity(self, rate: float, images: int) -> float:
        """At no more than this many false marks an image."""
        allowed, false = int(rate * images), sorted(self.false, reverse=True)
        least = false[allowed] if allowed < len(false) else 0.0
        return sum(each > least for each in self.certain) / max(len(self.certain), 1)


Woman = dict[str, Curve]
"""Kind -> what was found on the four views of one woman."""


def woman(seed: int, pixel_mm: float, contrast: float) -> Woman:
    """Every detector on every view."""
    curves = {MASS: Curve(), CLUSTER: Curve()}
    phantom = screening(seed, pixel_mm=pixel_mm, contrast=contrast)
    for place in VIEWS:
        breast = find_breast(mammo.projection(phantom, place))
        for detector in (Masses(), Clusters()):
            curve, found = curves[detector.kind], dict[int, float]()
            for mark in detector(breast):
                at = breast.on_image(np.array([mark.center]))[0]
                on, false = mammo.hits(phantom.views[place], mark.kind, [(float(at[0]), float(at[1]))], pixel_mm)
                found |= {each: max(found.get(each, 0.0), mark.certainty) for each in on}
                curve.false += [mark.certainty] * false
            curve.certain += [found.get(each.number, 0.0) for each in phantom.views[place].truth
                              if (each.kind == "mass") == (detector.kind == MASS)]
    return curves


def together(women: Sequence[Woman], kinds: Sequence[str]) -> Curve:
    """All marks of these kinds on all these women."""
    whole = Curve()
    for one in women:
        for kind in kinds:
            whole.certain += one[kind].certain
            whole.false += one[kind].false
    return whole


def interval(women: Sequence[Woman], kinds: Sequence[str], rate: float) -> tuple[float, float]:
    """95 % interval of the sensitivity at this many false marks an image."""
    rng = np.random.default_rng(1)
    drawn = [together([women[each] for each in rng.integers(0, len(women), len(women))], kinds) for _ in range(1000)]
    low, high = np.percentile([each.sensitivity(rate, len(VIEWS) * len(women)) for each in drawn], [2.5, 97.5])
    return round(float(low), 3), round(float(high), 3)


def cost_of_four_large_views() -> dict[str, float]:
    """From pixels in memory to findings, both model slots empty; most memory is of the whole process, in MB."""
    phantom = screening(FIRST_SEED, pixel_mm=LARGE_MM, shape=LARGE)
    study = mammo.study(phantom)
    del phantom
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, worked = time.perf_counter(), time.process_time()
    MgCad().run(study, mammo.CONTEXT)
    return {
        "seconds": round(time.perf_counter() - began, 1), "CPU seconds": round(time.process_time() - worked, 1),
        "load of the machine": round(os.getloadavg()[0], 1), "memory before, MB": round(before / 1024),
        "most memory, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def drawn(curves: dict[str, Curve], images: int) -> str:
    """The curves from 0 to 2 false marks an image, as SVG."""
    wide, high, left, top = 480, 300, 50, 20
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide + 80}" height="{high + 70}"'
             ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>']
    for step in range(5):
        x, y = left + wide * step / 4, top + high * (1 - step / 4)
        lines.append(f'<path d="M{x:.0f} {top}V{top + high}M{left} {y:.0f}H{left + wide}" stroke="#ddd" fill="none"/>'
                     f'<text x="{x - 8:.0f}" y="{top + high + 16}">{step / 2:g}</text>'
                     f'<text x="{left - 30}" y="{y + 4:.0f}">{step / 4:.2f}</text>')
    for number, (name, curve) in enumerate(curves.items()):
        shown = [(0.0, 0.0), *(each for each in curve.points(images) if each[0] <= 2)]
        path = "L".join(f"{left + wide * false / 2:.1f} {top + high * (1 - found):.1f}" for false, found in shown)
        lines.append(f'<path d="M{path}" stroke="{_COLOURS[name]}" stroke-width="2" fill="none"/>'
                     f'<text x="{left + wide - 90}" y="{top + high - 60 + 18 * number}" fill="{_COLOURS[name]}">{name} '
                     f'({len(curve.certain)})</text>')
    lines.append(f'<text x="{left + wide / 2 - 60}" y="{top + high + 36}">false marks an image</text>'
                 f'<text transform="translate(12 {top + high / 2 + 60}) rotate(-90)">share of lesions marked</text>'
                 '</svg>')
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write, say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--screenings", type=int, default=60)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--pixel-mm", type=float, default=PIXEL_MM)
    parser.add_argument("--no-time", action="store_true")
    parser.add_argument("--contrast", type=float, default=1.0, help="of every lesion, times that of the phantom")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.screenings)
    women = [woman(seed, arguments.pixel_mm, arguments.contrast) for seed in seeds]
    images, kinds = len(VIEWS) * len(women), {MASS: [MASS], CLUSTER: [CLUSTER], "both": [MASS, CLUSTER]}
    curves = {name: together(women, each) for name, each in kinds.items()}
    figures = {
        "images": images, "pixel_mm": arguments.pixel_mm, "first_seed": arguments.first_seed,
        "contrast": arguments.contrast, "lesions": {name: len(each.certain) for name, each in curves.items()},
        "sensitivity": {name: {f"{rate:g}": round(each.sensitivity(rate, images), 3) for rate in (0.25, 0.5, 1, 2)}
                        for name, each in curves.items()},
        "95 % interval at one false mark an image": {name: interval(women, each, 1) for name, each in kinds.items()},
        "at the operating point (false marks an image, sensitivity)": {
            name: [round(one, 3) for one in each.at(OPERATING_POINT, images)] for name, each in curves.items()},
    }
    if not arguments.no_time:
        figures["four views of 4096 x 3328"] = cost_of_four_large_views()
    print(json.dumps(figures, indent=1))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "mg-cad.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "mg-cad-froc.svg").write_text(drawn(curves, images), encoding="utf-8")


if __name__ == "__main__":
    main()
