"""From the last image acknowledged to the last result at the PACS, with the model's own time taken out.

    python tests/bench/latency.py --out bench-results/

count     the source answers C-FIND with the number of images
geometry  it does not: a gap-free stack on a released association is the evidence
quiet     neither: the series came over many associations, so only quiet time (5 s here) ends it

300 slices of 512 x 512 through a whole node (`radnode serve`), its worker warm as in daily use: each case runs twice
and the second run counts. The model's time is the pipeline's own stage; everything else is the node's, decoding and
writing of results included. Writes latency.json and latency.png.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import matplotlib as mpl  # noqa: E402
import pydicom  # noqa: E402
from support.chest import Series, write_chest  # noqa: E402
from support.network import enter_private_network  # noqa: E402
from support.node import NodeProcess, archive  # noqa: E402
from support.waiting import eventually  # noqa: E402

from radnode.config.peers import Peer  # noqa: E402
from radnode.node.demo.stand_in_pacs import StandInPacs  # noqa: E402
from radnode.node.sending import forward  # noqa: E402

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

CASES = {"count": True, "geometry": False, "quiet": False}
SLICES = 300
QUIET_S = 5


def main() -> None:
    """Measure every case and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    enter_private_network()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for case in CASES:
            rows.append(measure(case, Path(name) / case))
            print(json.dumps(rows[-1]))
    (out / "latency.json").write_text(json.dumps({"slices": SLICES, "quiet_time_s": QUIET_S, "cases": rows}, indent=2))
    draw(rows, out / "latency.png")


def measure(case: str, folder: Path) -> dict[str, Any]:
    """One node, two studies, the second one counted."""
    pacs = StandInPacs(ae_title="PACS", folder=folder / "pacs")
    peers = [archive(pacs.port, answers_find=CASES[case])]
    with NodeProcess(folder / "node", peers=peers, settings={"quiet_time_s": QUIET_S}) as node:
        for number in (1, 2):
            series = write_chest(folder / str(number), name=f"{case} {number}", slices=SLICES, size=512)
            row = one(case, node, pacs, series)
    pacs.stop()
    return row


def one(case: str, node: NodeProcess, pacs: StandInPacs, series: Series) -> dict[str, Any]:
    """Send a series and wait for its results."""
    pacs.knows([pydicom.dcmread(path, stop_before_pixels=True) for path in series.files])
    target = Peer(name="node", ae_title="RADNODE", host="127.0.0.1", port=node.port)
    held = len(pacs.stored_at)
    parts = [series.files] if case != "quiet" else [series.files[start::5] for start in range(5)]
    for part in parts:
        for _path, status in forward(part, target, "PACS"):
            assert status == 0, status
    acknowledged = time.monotonic()
    eventually(lambda: len(pacs.stored_at) == held + 2, within=180, every=0.02, why=node.log)
    arrived = max(pacs.stored_at.values())
    job = node.wait_for_job(series.series_instance_uid, "PRODUCED")
    seconds = job["report"]["seconds"]
    return {
        "case": case,
        "last image to last result": round(arrived - acknowledged, 3),
        "model": seconds["infer"],
        "without model": round(arrived - acknowledged - seconds["infer"], 3),
        "stages": seconds,
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """One bar for each case, divided into stages."""
    figure, axes = plt.subplots(figsize=(8, 3))
    stages = ["select", "decode", "write", "gate"]
    left = [0.0] * len(rows)
    for stage in stages:
        widths = [row["stages"].get(stage, 0.0) for row in rows]
        axes.barh([row["case"] for row in rows], widths, left=left, label=stage)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    rest = [max(row["without model"] - used, 0.0) for row, used in zip(rows, left, strict=True)]
    axes.barh([row["case"] for row in rows], rest, left=left, label="evidence, queue, sending", color="lightgrey")
    axes.set_xlabel(f"seconds from the last acknowledged image to the last result, model excluded ({SLICES} slices)")
    axes.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
