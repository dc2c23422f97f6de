"""What figures, verdicts and reasons are called on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.pages.picture_texts import unit
from radnode.node.pages.words import N_

if TYPE_CHECKING:
    from collections.abc import Callable

FIGURES = {
    "result/outcome": N_("How jobs end"),
    "result/positive": N_("Positive results"),
    "result/not processed": N_("Not processed or failed"),
    "result/reason": N_("Not processed because"),
    "result/detections": N_("Marks in a result"),
    "result/segments": N_("Segments in a result"),
    "result/certainty": N_("Highest confidence"),
    "run/seconds": N_("Computing time (s)"),
    "run/memory": N_("Memory of the run (MB)"),
    "image/noise": N_("Noise of the images"),
    "image/images": N_("Images read"),
    "image/rows": N_("Rows"),
    "image/columns": N_("Columns"),
    "image/pixel spacing": N_("Pixel spacing (mm)"),
    "image/slice spacing": N_("Slice spacing (mm)"),
    "image/intensity p1": N_("Intensity, 1st percentile"),
    "image/intensity p25": N_("Intensity, 25th percentile"),
    "image/intensity p50": N_("Intensity, median"),
    "image/intensity p75": N_("Intensity, 75th percentile"),
    "image/intensity p99": N_("Intensity, 99th percentile"),
    "protocol/SliceThickness": N_("Slice thickness (mm)"),
    "protocol/ConvolutionKernel": N_("Kernel"),
    "protocol/KVP": N_("Tube voltage (kV)"),
    "protocol/ContrastBolusAgent": N_("Contrast agent given"),
    "protocol/MagneticFieldStrength": N_("Field strength (T)"),
    "protocol/EchoTime": N_("Echo time (ms)"),
    "protocol/RepetitionTime": N_("Repetition time (ms)"),
}
"""What has no name here is called as it is kept: a DICOM keyword, or a measurement by its own name."""

STATES = {
    "steady": (N_("steady"), "good"),
    "drifted": (N_("drifted"), "warning"),
    "too few": (N_("too few jobs"), "idle"),
    "no baseline": (N_("baseline is collected"), "idle"),
}
"""State -> words and tone."""

VERDICTS = {
    "correct": (N_("correct"), "good"),
    "false mark": (N_("false mark"), "warning"),
    "missed finding": (N_("missed finding"), "warning"),
    "wrong side": (N_("wrong side"), "bad"),
    "unusable": (N_("unusable"), "bad"),
    "corrected": (N_("corrected object"), "busy"),
}
"""Verdict -> words and tone."""

GROUPS = {
    "protocol": N_("Protocol"), "image": N_("Images"), "result": N_("Results"), "measure": N_("Measurements"),
    "run": N_("Computing"),
}
"""What stands before the slash of a figure."""

WORDS = {"yes": N_("yes"), "no": N_("no"), "findings": N_("findings"), "nothing found": N_("nothing found"),
         "not processed": N_("not processed"), "failed": N_("failed")}
"""Words that figures count, where they are the node's own."""


def figure_name(figure: str, translated: Callable[[str], str]) -> str:
    """For people."""
    return translated(FIGURES[figure]) if figure in FIGURES else measure_name(figure.partition("/")[2])


def measure_name(name: str) -> str:
    """A measurement that is kept with its unit of UCUM at the end, for people."""
    of, _, code = name.rpartition(" [")
    if not of or not code.endswith("]"):
        return name
    return f"{of} ({said})" if (said := unit(code[:-1])) else of
