"""The figures of one ended job, out of its report and a header: numbers and words, nothing of its patient. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from radnode.storage.figures import OUTCOME, JobFigures, Observed, Scanner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from radnode.storage.figures import EndedJob

POSITIVE = "result/positive"
REFUSED = "result/not processed"
REASON = "result/reason"
MOST_MEASUREMENTS = 40
"""Of one job; ct-organs has more than a hundred, and what is true of the scanner shows in the first of them."""
LONGEST = 60
_NUMBERS = {"SliceThickness", "EchoTime", "RepetitionTime"}
_PROTOCOL: Mapping[str, tuple[str, ...]] = {
    "CT": ("SliceThickness", "ConvolutionKernel", "KVP", "ContrastBolusAgent"),
    "MR": ("SliceThickness", "MagneticFieldStrength", "EchoTime", "RepetitionTime", "ScanningSequence",
           "ContrastBolusAgent"),
    "PT": ("SliceThickness", "ReconstructionMethod", "Units"),
    "MG": ("KVP", "AnodeTargetMaterial", "FilterMaterial", "ViewPosition", "PresentationIntentType"),
    "CR": ("KVP", "ViewPosition", "BodyPartExamined"),
    "DX": ("KVP", "ViewPosition", "BodyPartExamined", "PresentationIntentType"),
}
"""Modality -> what a protocol is known by (PS3.3 C.8). A scanner that stops to say one of them has changed, too."""
_PRESENCE = {"ContrastBolusAgent"}
"""What stands there is free text; whether anything does is the protocol."""
_ANSWERED = {"findings": "yes", "nothing found": "no"}
_ENDS = {"NOT_PROCESSED": "not processed", "FAILED": "failed"}


def figures_of(job: EndedJob) -> JobFigures:
    """All that is watched of a job."""
    return JobFigures(
        job_id=job.job_id, pipeline=job.pipeline, version=job.version,
        day=job.ended_at.strftime("%Y-%m-%d"), scanner=scanner_of(job), observed=tuple(_observed(job)),
    )


def scanner_of(job: EndedJob) -> Scanner:
    """Who made the images, as far as one of them says it."""
    said = job.attributes or {}
    return Scanner(source=job.source, manufacturer=_text(said, "Manufacturer"),
                   model=_text(said, "ManufacturerModelName"), station=_text(said, "StationName"))


def outcome_of(job: EndedJob) -> str:
    """findings, nothing found, not processed or failed; a job that was superseded meanwhile ended in its own way."""
    return _ENDS.get(job.state) or str(job.report.get("state") or "findings").lower()


def reason_kind(reason: str) -> str:
    """A refusal without what it says of one study: UIDs, numbers and quoted words."""
    plain = re.sub(r'"[^"]*"|\'[^\']*\'', "…", reason.partition(";")[0])
    plain = re.sub(r"[\d][\d.,:+-]*", "#", plain)
    return re.sub(r"\s+", " ", plain).strip()[:LONGEST] or "no reason"


def _observed(job: EndedJob) -> Iterator[Observed]:
    outcome = outcome_of(job)
    yield Observed(figure=OUTCOME, value=outcome)
    refused = outcome not in _ANSWERED
    yield Observed(figure=REFUSED, value="yes" if refused else "no")
    if refused:
        yield Observed(figure=REASON, value=reason_kind(job.reason))
    else:
        yield Observed(figure=POSITIVE, value=_ANSWERED[outcome])
    yield from _protocol(job.attributes)
    for name, value in job.report.get("observed", {}).items():
        if (number := _number(value)) is not None:
            group = "result" if name in ("detections", "segments", "certainty") else "image"
            yield Observed(figure=f"{group}/{name}", value=number)
    if not refused:
        yield from _measurements(job.report)
    yield from _run(job.report)


def _protocol(attributes: Mapping[str, Any] | None) -> Iterator[Observed]:
    """Not of multi-frame images, which keep these in functional groups: what was not read is not missing."""
    if attributes is None or "NumberOfFrames" in attributes:
        return
    for keyword in _PROTOCOL.get(_text(attributes, "Modality"), ()):
        value = attributes.get(keyword)
        if keyword in _PRESENCE:
            yield Observed(figure=f"protocol/{keyword}", value="yes" if value else "no")
        elif value is None or value == "":
            yield Observed(figure=f"protocol/{keyword}", value=None)
        elif keyword in _NUMBERS:
            yield Observed(figure=f"protocol/{keyword}", value=_number(value))
        else:
            yield Observed(figure=f"protocol/{keyword}", value=_word(value))


def _measurements(report: Mapping[str, Any]) -> Iterator[Observed]:
    """One value for each name: of several nodules the largest."""
    found: dict[str, float] = {}
    for each in report.get("measurements", ()):
        label = re.sub(r"[\s#]*\d+\s*$", "", str(each.get("label") or "")).strip()
        of = f"{label}: " if label else ""
        name = f"measure/{of}{each.get('name')} [{each.get('unit')}]"[:LONGEST * 2]
        number = _number(each.get("value"))
        if number is not None and (name in found or len(found) < MOST_MEASUREMENTS):
            found[name] = max(number, found.get(name, -math.inf))
    yield from (Observed(figure=name, value=value) for name, value in found.items())


def _run(report: Mapping[str, Any]) -> Iterator[Observed]:
    if seconds := report.get("seconds"):
        yield Observed(figure="run/seconds", value=round(sum(seconds.values()), 3))
    if (memory := _number(report.get("memory", {}).get("run_mb"))) is not None:
        yield Observed(figure="run/memory", value=memory)


def _text(attributes: Mapping[str, Any], keyword: str) -> str:
    value = attributes.get(keyword)
    return "" if value is None else _word(value)


def _word(value: object) -> str:
    """One line of what a header says, several values joined as in DICOM."""
    said = "\\".join(str(each) for each in value) if isinstance(value, list) else (
        f"{value:g}" if isinstance(value, float) else str(value))
    return re.sub(r"[^\x20-\x7e\u00a0-\uffff]", " ", said).strip()[:LONGEST]


def _number(value: object) -> float | None:
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None
