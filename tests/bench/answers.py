"""How long a sender waits for the answer to a C-STORE while a model takes a whole core.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/answers.py

Fifty images of 0.5 MB a second reach a whole node (`radnode serve`) over one association, a minute without and a minute
with a network of 3D convolutions that computes on one thread beside it, at the node's own priority. The time is from
the first byte of the request to the answer: the image is durable then, and its headers are read meanwhile. Writes
answers.json and answers.png, the distribution of both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import matplotlib as mpl  # noqa: E402
import numpy as np  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.network import enter_private_network  # noqa: E402
from support.node import NodeProcess, modality  # noqa: E402
from support.receiver import data_set  # noqa: E402
from support.steady import Steady, percentile  # noqa: E402

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES_PER_SECOND = 50
IMAGE_BYTES = 524_288
IMAGES_OF_A_SERIES = 100
MODEL = """
import torch
torch.set_num_threads(1)
network = torch.nn.Sequential(*(torch.nn.Conv3d(16, 16, 3, padding=1) for _ in range(4))).eval()
image = torch.zeros(1, 16, 64, 64, 64)
print("computing", flush=True)
with torch.inference_mode():
    while True:
        network(image)
"""


@contextmanager
def model() -> Iterator[subprocess.Popen[str]]:
    """One core is taken while this lasts."""
    process = subprocess.Popen([sys.executable, "-c", MODEL], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "computing\n"
        yield process
    finally:
        process.kill()
        process.wait()


def busy_s(process: subprocess.Popen[str]) -> float:
    """Processor time that a process has had (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send(node: NodeProcess, first: int, seconds: int) -> tuple[list[float], float]:
    """Seconds until each answer, and how many images a second it became."""
    steady = Steady(node.port, IMAGES_PER_SECOND)
    numbers = range(first, first + IMAGES_PER_SECOND * seconds)
    steady.send((f"2.25.{number}", _image(number)) for number in numbers)
    (first_at, _), *_, (last_at, _) = steady.answers
    return [took for _, took in steady.answers], (len(numbers) - 1) / (last_at - first_at)


def _image(number: int) -> bytes:
    series = number // IMAGES_OF_A_SERIES
    study, series_uid, uid = (_even(f"2.25.{each}") for each in (f"1{series}", f"2{series}", number))
    return data_set(instance=uid, series=series_uid, study=study, pixels=IMAGE_BYTES)


def _even(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def measure(folder: Path, seconds: int) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The figures, and all times: without the model and with it."""
    with NodeProcess(folder / "node", peers=[modality()], routes=[]) as node:
        send(node, 1_000_000, 2)
        alone, _ = send(node, 2_000_000, seconds)
        with model() as beside:
            before, began = busy_s(beside), time.monotonic()
            times, rate = send(node, 3_000_000, seconds)
            core = (busy_s(beside) - before) / (time.monotonic() - began)
    figures = {"images": len(times), "image_bytes": IMAGE_BYTES, "rate": round(rate, 1), "cores_of_the_model":
               round(core, 2), **_said(times), "alone": _said(alone)}  # fmt: skip
    return figures, {"alone": alone, "beside a model on one core": times}


def _said(times: list[float]) -> dict[str, float]:
    return {"median_ms": round(median(times) * 1e3, 2), "p99_ms": round(percentile(times, 0.99) * 1e3, 2),
            "worst_ms": round(max(times) * 1e3, 2)}  # fmt: skip


def draw(all_times: dict[str, list[float]], path: Path) -> None:
    """One histogram each, on a logarithmic axis."""
    figure, axes = plt.subplots(figsize=(8, 3))
    edges = np.geomspace(1, max(1e3, *(1e3 * max(times) for times in all_times.values())), 60)
    for name, times in all_times.items():
        axes.hist(np.array(times) * 1e3, bins=edges, histtype="step", label=name)
    axes.axvline(25, color="grey", linestyle=":", label="25 ms")
    axes.set_xscale("log")
    axes.set_xlabel(f"ms from request to answer; {IMAGES_PER_SECOND} images of 0.5 MB a second")
    axes.set_ylabel("images")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--seconds", type=int, default=60, help="of each of the two")
    chosen = parser.parse_args()
    enter_private_network()
    with tempfile.TemporaryDirectory(prefix="radnode-answers-", dir="/var/tmp") as folder:
        figures, times = measure(Path(folder), chosen.seconds)
    write_down("answers", **figures)
    chosen.out.mkdir(parents=True, exist_ok=True)
    draw(times, chosen.out / "answers.png")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
