"""How well mg-cad's comparison of right and left agrees with what was put into synthetic screenings.

    python tests/bench/mammography_sides.py

Women of the seeds from 9000, whose breasts differ by chance, as the phantom draws them; one in two CC views then gets a
dense area of known place in one breast.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import mammography as mammo

from radnode.pipelines.mg_cad.breast import find_breast
from radnode.pipelines.mg_cad.comparison import compared
from radnode.pipelines.mg_cad.phantom import VIEWS, screening

FIRST_SEED, PIXEL_MM = 9000, 0.4
_CLEAR = 0.05


def main() -> None:
    """Measure and say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenings", type=int, default=30)
    women = range(FIRST_SEED, FIRST_SEED + parser.parse_args().screenings)
    truth, said, areas = [], [], []
    placed: list[bool] = []
    for seed in women:
        phantom = screening(seed, pixel_mm=PIXEL_MM, lesions=False)
        images = {place: mammo.projection(phantom, place) for place in VIEWS}
        breasts = {place: find_breast(each) for place, each in images.items()}
        for each in compared(list(breasts.values()), list(images.values()))[0]:
            truth.append(phantom.views["R", each.view].dense_share - phantom.views["L", each.view].dense_share)
            said.append(each.shares["R"] - each.shares["L"])
            areas.append(each.region.area_mm2 / 100 if each.region else 0.0)
        side = "RL"[seed % 2]
        breast = breasts[side, "CC"]
        at = 0.45 * breast.nipple[0], breast.nipple[1] + 0.25 * breast.nipple[0]
        row, column = (at[1] / PIXEL_MM + breast.origin[1], at[0] / PIXEL_MM)
        image = images[side, "CC"]
        y, x = (np.arange(size) for size in image.shape)
        away = np.hypot((y[:, np.newaxis] - row), x - column) * PIXEL_MM
        added = (900 * np.exp(-0.5 * (away / 12) ** 2)).astype(np.float32)
        images[side, "CC"] = replace(image, pixels=image.pixels + (added[:, ::-1] if breast.mirrored else added))
        pair = [images[each, "CC"] for each in "RL"]
        (found,), _ = compared([find_breast(each) for each in pair], pair)
        region = found.region
        placed.append(region is not None and region.side == side and np.hypot(
            region.behind_mm - (breast.nipple[0] - at[0]), region.above_mm - (breast.nipple[1] - at[1])) < 15)
    wanted, got = np.array(truth), np.array(said)
    clear = np.abs(wanted) >= _CLEAR
    print(json.dumps({
        "women": len(women), "pairs of views": len(wanted),
        "difference of dense shares, right less left: mean error": round(float(np.abs(got - wanted).mean()), 3),
        "correlation": round(float(np.corrcoef(got, wanted)[0, 1]), 2),
        "pairs that differ by 5 points or more": int(clear.sum()),
        "of them on the right side": int((np.sign(got) == np.sign(wanted))[clear].sum()),
        "pairs without anything added in which an area is named": int((np.array(areas) > 0).sum()),
        "their median area, cm2": round(float(np.median([each for each in areas if each] or [0])), 1),
        "added dense area named as the largest, on its side, within 15 mm": f"{sum(placed)} of {len(placed)}",
    }, indent=1))


if __name__ == "__main__":
    main()
