"""A queue of CT studies through one warm worker process: how often the model is loaded, where the time goes, what
reading ahead saves, and how busy the device is.

    python tests/bench/study_queue.py --out bench-results                       # on the processor
    python tests/bench/study_queue.py --out bench-results --device cuda         # busy share by NVML (nvidia-ml-py)

The model is the one that comes with radnode (`phantom_lungs`, a small 3D UNet), its inferer with a clock. The worker is
the node's own (`WorkerProcess`). After three jobs that load the model and start the process that reads, the queue runs
twice: without being told what comes next, and told while a job runs, as the node does it. Without a GPU, the share of
the network is that of its inferer's time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.orders import order_over

from radnode.node.execution.worker_process import WorkerProcess
from radnode.pipelines import benching
from radnode.pipelines.contract import RunState
from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series
from radnode.pipelines.models import store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.contract import RunReport, WorkOrder

EXAMPLE = Path(__file__).resolve().parents[2] / "pipelines" / "examples" / "phantom_lungs"
DRAWN = 4
"""Different studies; they come again in turn, as jobs of their own."""
_CLOCK = "RADNODE_BENCH_CLOCK"
_CLOCKED = """\
import os
import time
from monai.inferers import SlidingWindowInferer


class Clocked(SlidingWindowInferer):
    def __call__(self, *args, **options):
        began = time.perf_counter()
        found = super().__call__(*args, **options)
        with open(os.environ["RADNODE_BENCH_CLOCK"], "a") as file:
            file.write(f"{time.perf_counter() - began}\\n")
        return found
"""


def write_model(folder: Path) -> Path:
    """The example with a clock around its inferer."""
    shutil.copytree(EXAMPLE, folder)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "__init__.py").write_text("")
    (folder / "scripts" / "clock.py").write_text(_CLOCKED)
    path = folder / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["inferer"]["_target_"] = "scripts.clock.Clocked"
    path.write_text(json.dumps(config))
    return folder


def measure(jobs: int, slices: int, size: int, device: str) -> dict[str, Any]:
    """Both queues, with the numbers of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ[_CLOCK] = str(folder / "clock")
        store.add(folder / "store", write_model(folder / "lungs"), name="lungs")
        studies = [list(write_series(chest_phantom(slices=slices, size=size, seed=seed), folder / f"study {seed}"))
                   for seed in range(DRAWN)]
        orders = [
            replace(order_over(studies[number % DRAWN], folder / f"out {number}", pipeline="lungs",
                               key=f"{number:064d}"), forms=("SEG",), device=device)
            for number in range(jobs)
        ]  # fmt: skip
        worker = WorkerProcess(device=device, memory_limit_bytes=2**34, time_limit_s=600, models=folder / "store")
        try:
            first = queue(worker, orders[:3], folder / "clock", device, ahead=True)
            print("warm", flush=True)
            found = {way: queue(worker, orders, folder / "clock", device, ahead=way == "read ahead")
                     for way in ("one after the other", "read ahead")}
        finally:
            worker.stop()
        loads = first["loads"] + sum(each["loads"] for each in found.values())
        if loads != 1:
            raise SystemExit(f"the model was loaded {loads} times")
        return {"jobs": jobs, "loads": loads, "slices": slices, "size": size, "device": device, **found}


def queue(
    worker: WorkerProcess, orders: Sequence[WorkOrder], clock: Path, device: str, *, ahead: bool
) -> dict[str, Any]:
    """Run them all. ahead: the worker is told what comes next."""
    clock.write_text("")
    reports: list[RunReport] = []
    began = time.perf_counter()
    with benching.watched(device) as busy:
        for number, order in enumerate(orders):
            coming = orders[number + 1] if ahead and number + 1 < len(orders) else None
            reports.append(worker.execute(order, lambda _: None, lambda coming=coming: coming))
    wall = time.perf_counter() - began
    if wrong := [each.reason for each in reports if each.state not in (RunState.FINDINGS, RunState.NOTHING_FOUND)]:
        raise SystemExit(wrong[0])
    network = sum(map(float, clock.read_text().split()))
    parts = {part for each in reports for part in each.seconds}
    return {
        "wall s": round(wall, 1), "s a study": round(wall / len(orders), 2),
        "loads": sum("load" in each.seconds for each in reports),
        "images read ahead": sum("take over" in each.seconds for each in reports),
        "network busy": round(network / wall, 3), "device busy": busy.share, "how": busy.how,
        "medians": {part: round(statistics.median(each.seconds[part] for each in reports if part in each.seconds), 3)
                    for part in sorted(parts)},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--slices", type=int, default=150)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    found = measure(asked.jobs, asked.slices, asked.size, asked.device)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "study-queue.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
