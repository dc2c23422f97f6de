"""How fast a model is on this machine: every part of a job, over many jobs on the same images.

What is timed is what a worker does, in this process: select, decode, load (once), preprocess, infer, postprocess (the
bundle's own, its inversion to the images' grid among it), write, gate, keep.
"""

from __future__ import annotations

import importlib
import statistics
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from radnode.pipelines import registry
from radnode.pipelines.contract import RunFailed, RunState
from radnode.pipelines.inspection import order_by_hand
from radnode.pipelines.metering import ProcessMeter
from radnode.pipelines.runner import run
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from radnode.pipelines.contract import RunReport

PARTS = ("select", "decode", "load", "preprocess", "infer", "postprocess", "write", "gate", "keep")
_LOOK_EVERY_S = 0.1


@dataclass(slots=True)
class Busy:
    """How busy the device was. share: 0 to 1, None where nobody measures it; how: by what it was measured."""

    how: str
    samples: list[float] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """The mean of what was sampled."""
        return round(statistics.fmean(self.samples), 3) if self.samples else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What was measured. jobs: seconds of each part, one entry a job; wall_s: of all jobs together.

    memory: as the last report has it. busy: share of the time in which the device worked, None without one.
    """

    model: str
    device: str
    images: int
    jobs: tuple[dict[str, float], ...]
    wall_s: float
    memory: dict[str, Any]
    peak_mb: float
    busy: float | None
    busy_how: str

    def to_json(self) -> dict[str, Any]:
        """As numbers and texts, with the median of every part."""
        return {**asdict(self), "medians": self.medians(), "loads": self.loads()}

    def medians(self) -> dict[str, float]:
        """Seconds of each part, loading apart: that happens once."""
        return {part: round(statistics.median(found), 3) for part in PARTS
                if (found := [job[part] for job in self.jobs if part in job])}

    def loads(self) -> int:
        """How often the model was loaded."""
        return sum("load" in job for job in self.jobs)


def bench(name: str, images: Path, folder: Path, *, models: Path, device: str, repeats: int) -> Bench:
    """Run a model so many times over a folder of images. Raises RunFailed, with the job's reason, when a run fails."""
    warm, meter = Warm(lambda: registry.installed(models=models)), ProcessMeter()
    order = replace(order_by_hand("bench", images, name, ["SEG", "TID1500"], folder), device=device)
    reports: list[RunReport] = []
    meter.restart("cpu")
    with watched(device) as busy:
        began = time.perf_counter()
        for number in range(repeats):
            report = run(replace(order, job_key=f"bench {number}"), warm, lambda _: None)
            if report.state in (RunState.NOT_PROCESSED, RunState.FAILED):
                raise RunFailed(report.reason)
            reports.append(report)
        wall_s = time.perf_counter() - began
    return Bench(
        model=name, device=device, images=len(order.instances), jobs=tuple(dict(each.seconds) for each in reports),
        wall_s=round(wall_s, 3), memory=dict(reports[-1].memory), peak_mb=round(meter.highest("cpu") / 1e6, 1),
        busy=busy.share, busy_how=busy.how,
    )  # fmt: skip


@contextmanager
def watched(device: str) -> Iterator[Busy]:
    """Within, the device is watched by its driver, if nvidia-ml-py is installed."""
    found = Busy("no GPU") if not device.startswith("cuda") else Busy("NVML, sampled")
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(device, found, ended), daemon=True)
    if device.startswith("cuda"):
        watcher.start()
    try:
        yield found
    finally:
        ended.set()
        if watcher.is_alive():
            watcher.join()


def _watch(device: str, found: Busy, ended: threading.Event) -> None:
    """torch.cuda.utilization asks NVML: per cent of the last sample period in which a kernel ran."""
    torch = importlib.import_module("torch")
    try:
        while not ended.wait(_LOOK_EVERY_S):
            found.samples.append(torch.cuda.utilization(device) / 100)
    except (ImportError, RuntimeError) as error:  # ModuleNotFoundError of pynvml; a driver that does not tell
        found.how = f"not measured: {type(error).__name__}; install nvidia-ml-py"


def plot(found: Bench, target: Path) -> None:
    """Each job as a bar of its parts, as a PNG. Raises RunFailed without matplotlib."""
    try:
        figure_module: Any = importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise RunFailed("a plot needs matplotlib: pip install matplotlib") from error
    figure = figure_module.Figure(figsize=(9, 1.2 + 0.32 * len(found.jobs)), layout="constrained")
    axes = figure.add_subplot()
    left = [0.0] * len(found.jobs)
    rows = [f"job {number + 1}" for number in range(len(found.jobs))]
    for place, part in enumerate(each for each in PARTS if any(each in job for job in found.jobs)):
        widths = [job.get(part, 0.0) for job in found.jobs]
        axes.barh(rows, widths, left=left, label=part, color=f"C{place}", height=0.8)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    busy = found.busy_how if found.busy is None else f"device busy {found.busy:.0%} of the time"
    said = f"{found.model} on {found.device}, {found.images} images; loaded {found.loads()} x; {busy}"
    if network := found.memory.get("network"):
        said += "\nnetwork: " + "; ".join(f"{what} {how}" for what, how in network.items())
    axes.set_title(said, loc="left", pad=34)
    axes.legend(ncols=len(PARTS), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=120)


def rows(found: Bench) -> Sequence[tuple[str, str, str, str]]:
    """For a table: part, median, fastest and slowest job, in seconds."""
    lines = []
    for part, median in found.medians().items():
        seconds = [job[part] for job in found.jobs if part in job]
        lines.append((part, f"{median:.3f}", f"{min(seconds):.3f}", f"{max(seconds):.3f}"))
    return lines
