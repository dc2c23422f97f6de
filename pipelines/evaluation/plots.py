"""The plots of the report, each as SVG for a page and as PNG for paper; needs matplotlib."""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.evaluation.answers import Calibration, Roc
    from radnode.pipelines.evaluation.intervals import Estimate
    from radnode.pipelines.evaluation.marks import Froc
    from radnode.pipelines.evaluation.overlap import Overlap
    from radnode.pipelines.evaluation.summary import Compared

_BLUE, _ORANGE, _GREY = "#20609f", "#c0501c", "#777777"
_DPI = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One drawing. svg: None for a picture of images. width_mm: on paper."""

    svg: str | None
    png: bytes
    width_mm: float


def needed() -> None:
    """Raises RunFailed unless what evaluates and draws is installed."""
    for name in ("sklearn", "matplotlib"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise RunFailed(f"an evaluation needs {name}: pip install 'radnode[evaluate]'") from error


def strips(structures: Sequence[tuple[str, Sequence[Overlap]]], metric: str, axis: str) -> Plot | None:
    """A point for each case and a box for each structure; None without a value."""
    held = [(label, [value for each in overlaps if (value := getattr(each, metric)) is not None])
            for label, overlaps in structures]
    held = [(label, values) for label, values in held if values][::-1]
    if not held:
        return None
    figure, axes = _figure(150, 26 + 11 * len(held))
    places = range(len(held))
    axes.boxplot([values for _, values in held], positions=list(places), orientation="horizontal", widths=0.55,
                 showfliers=False, medianprops={"color": _ORANGE, "linewidth": 1.6}, boxprops={"color": _GREY},
                 whiskerprops={"color": _GREY}, capprops={"color": _GREY})
    random = np.random.default_rng(0)
    for place, (_, values) in zip(places, held, strict=True):
        axes.plot(values, place + random.uniform(-0.16, 0.16, len(values)), "o", color=_BLUE, markersize=3.5, alpha=0.7,
                  clip_on=False)
    axes.set_yticks(list(places), [f"{label} (n = {len(values)})" for label, values in held])
    axes.set_ylim(-0.6, len(held) - 0.4)
    axes.set_xlabel(axis)
    if metric in ("dice", "iou"):
        axes.set_xlim(-0.02, 1.02)
    else:
        axes.set_xlim(left=0)
    axes.grid(axis="x", color="#e4e4e4")
    return _plot(figure, 150)


def bland_altman(compared: Compared) -> Plot:
    """Difference over mean, with bias and limits of agreement, and the 95 % interval of each as a band."""
    found, reference = np.asarray(compared.found), np.asarray(compared.reference)
    figure, axes = _figure(120, 78)
    axes.plot((found + reference) / 2, found - reference, "o", color=_BLUE, markersize=4, alpha=0.8)
    agreed = compared.agreement
    lines = ((agreed.bias, agreed.bias_interval, "-"), (agreed.high, agreed.high_interval, "--"),
             (agreed.low, agreed.low_interval, "--"))
    axes.axhline(0, color="#bbbbbb", linewidth=0.8)
    for value, interval, style in lines:
        if value is not None:
            axes.axhline(value, color=_ORANGE, linestyle=style, linewidth=1.2)
        if interval is not None:
            axes.axhspan(*interval, color=_ORANGE, alpha=0.12, linewidth=0)
    limits = "" if agreed.low is None else f", limits of agreement {agreed.low:.3g} to {agreed.high:.3g}"
    axes.set_title(f"bias {agreed.bias:.3g}{limits} {compared.unit}", fontsize=8, loc="left")
    axes.xaxis.set_major_locator(importlib.import_module("matplotlib.ticker").MaxNLocator(5))
    axes.margins(0.12)
    axes.set_xlabel(f"mean of found and reference ({compared.unit})")
    axes.set_ylabel(f"found - reference ({compared.unit})")
    return _plot(figure, 120)


def froc(curve: Froc, points: Sequence[tuple[float, Estimate]]) -> Plot:
    """Sensitivity over false marks a case, and the operating points with their intervals."""
    figure, axes = _figure(120, 84)
    end = max(8.0, *curve.false_marks)
    axes.step([0.1, *np.maximum(curve.false_marks, 0.1), end], [0.0, *curve.sensitivity, curve.sensitivity[-1]],
              where="post", color=_BLUE)
    for rate, estimate in points:
        if estimate.value is None:
            continue
        axes.plot(rate, estimate.value, "o", color=_ORANGE, markersize=4)
        if estimate.low is not None and estimate.high is not None:
            axes.plot([rate, rate], [estimate.low, estimate.high], color=_ORANGE, linewidth=1)
    axes.set_xscale("log", base=2)
    ticks = [rate for rate, _ in points]
    axes.set_xticks(ticks, ["1/8", "1/4", "1/2", "1", "2", "4", "8"][: len(ticks)])
    axes.set_xlim(0.1, end * 1.1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("false marks a case (log scale)")
    axes.set_ylabel("sensitivity")
    axes.grid(color="#e4e4e4")
    return _plot(figure, 120)


def roc(curve: Roc, auc: Estimate) -> Plot:
    """The curve, and what guessing would give."""
    figure, axes = _figure(92, 88)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle=":", linewidth=1)
    said = "" if auc.value is None else f"AUC {auc.value:.3f}"
    axes.plot(curve.false_positive_rate, curve.sensitivity, color=_BLUE, label=said)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    axes.legend(loc="lower right", frameon=False)
    axes.grid(color="#e4e4e4")
    return _plot(figure, 92)


def reliability(calibrated: Calibration) -> Plot:
    """What was said against what was true, with how many answers each point stands for."""
    figure, axes = _figure(92, 88)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle=":", linewidth=1)
    axes.plot(calibrated.said, calibrated.true, "o-", color=_BLUE, markersize=4)
    for x, y, n in zip(calibrated.said, calibrated.true, calibrated.n, strict=True):
        below = y > 0.5
        axes.annotate(f"n={n}", (x, y), textcoords="offset points", xytext=(0, -11 if below else 6), ha="center",
                      fontsize=7, color=_GREY)
    axes.set_xlim(-0.06, 1.06)
    axes.set_ylim(-0.06, 1.06)
    axes.set_aspect("equal")
    axes.set_xlabel("probability that was said")
    axes.set_ylabel("share that was true")
    axes.grid(color="#e4e4e4")
    return _plot(figure, 92)


def picture(png: bytes) -> Plot:
    """An overlay as it is."""
    return Plot(svg=None, png=png, width_mm=140)


def _figure(width_mm: float, height_mm: float) -> tuple[Any, Any]:
    module: Any = importlib.import_module("matplotlib.figure")
    figure = module.Figure(figsize=(width_mm / 25.4, height_mm / 25.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_size(9)
    axes.yaxis.label.set_size(9)
    return figure, axes


def _plot(figure: Any, width_mm: float) -> Plot:
    """The same numbers give the same bytes: no date, ids from a fixed salt."""
    png, svg = io.BytesIO(), io.StringIO()
    figure.savefig(png, format="png", dpi=_DPI)
    with importlib.import_module("matplotlib").rc_context({"svg.hashsalt": "radnode"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    drawn = svg.getvalue()
    return Plot(svg=drawn[drawn.index("<svg"):], png=png.getvalue(), width_mm=width_mm)
