"""What the gate demands of a measurement report: the numbers, the remarks and the outcome of the findings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]

_OUTCOME = "111017"
_WITHOUT_FINDINGS, _WITH_FINDINGS = "111241", "111242"
_MEASUREMENT_GROUP = "125007"
_TRACKING_UID = "112040"
_REFERENCED_SEGMENT = "121191"
_DERIVATION = "121401"
_VOLUME = "118565006"


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    segmentation = writing.beside[0] if writing.beside else None
    for result in results:
        yield from _faults(result, writing.findings, writing.provenance, segmentation)


def _faults(
    result: Dataset, findings: Findings, provenance: Provenance, segmentation: Dataset | None
) -> Iterator[Fault]:
    items = list(_walk(result))
    if result.get("VerificationFlag") != "UNVERIFIED" or "VerifyingObserverSequence" in result:
        yield "verification", "the report calls itself verified; no person has seen it"
    outcomes = [str(item.ConceptCodeSequence[0].CodeValue) for item in items if _name(item) == _OUTCOME]
    if outcomes != [_WITHOUT_FINDINGS if findings.nothing_found else _WITH_FINDINGS]:
        yield "outcome", f"the report says {outcomes}, nothing found is {findings.nothing_found}"
    texts = {str(item.TextValue) for item in items if item.get("ValueType") == "TEXT"}
    said = [*findings.remarks, *provenance.statements(findings.images_read)]
    missing = [sentence for sentence in said if sentence not in texts]
    if missing:
        yield "remarks", f"{len(missing)} sentences a reader must see are not in the report"
    groups = [item for item in items if _name(item) == _MEASUREMENT_GROUP]
    yield from _groups(groups, findings, provenance, segmentation)
    yield from _evidence(result, items)


def _walk(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence", []):
        yield from _walk(child)


def _name(item: Dataset) -> str | None:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else None


def _groups(
    groups: list[Dataset], findings: Findings, provenance: Provenance, segmentation: Dataset | None
) -> Iterator[Fault]:
    expected = {provenance.tracking_uid(segment.key): segment.key for segment in findings.segments}
    found = {str(child.UID): group for group in groups for child in group.ContentSequence
             if _name(child) == _TRACKING_UID}
    if len(found) != len(groups) or set(found) != set(expected):
        yield "measurements", f"{len(groups)} groups, not one for each of {len(expected)} segments"
        return
    for uid, group in found.items():
        yield from _numbers(group, expected[uid], findings)
        if segmentation is not None:
            yield from _referenced_segment(group, uid, segmentation)


def _numbers(group: Dataset, key: str, findings: Findings) -> Iterator[Fault]:
    said = sorted(_number(child) for child in group.ContentSequence if child.get("ValueType") == "NUM")
    expected = sorted(
        (meant.name.value, meant.unit.value, meant.method.value if meant.method else "", meant.value)
        for meant in findings.measurements if meant.of == key
    )
    # A Decimal String holds 16 characters: about 14 digits.
    same = len(said) == len(expected) and all(
        one[:3] == other[:3] and math.isclose(one[3], other[3], rel_tol=1e-9, abs_tol=1e-9)
        for one, other in zip(said, expected, strict=True)
    )
    if not same:
        yield "measurements", f"the numbers of {key} are not those of the findings"
    grid = findings.grid.voxel_volume_mm3 * findings.grid.voxels.size
    for name, unit, _, value in said:
        if not _plausible(name, unit, value, grid):
            yield "plausibility", f"{key}: {value} {unit} is impossible"


def _number(item: Dataset) -> tuple[str, str, str, float]:
    """(concept, unit, derivation, value) of a NUM item; not a number if there is no value."""
    derivation = [str(child.ConceptCodeSequence[0].CodeValue) for child in item.get("ContentSequence", [])
                  if _name(child) == _DERIVATION]
    values: Any = item.get("MeasuredValueSequence")
    if not values:
        return str(_name(item)), "", "", math.nan
    unit = str(values[0].MeasurementUnitsCodeSequence[0].CodeValue)
    return str(_name(item)), unit, derivation[0] if derivation else "", float(values[0].NumericValue)


def _plausible(name: str, unit: str, value: float, grid_mm3: float) -> bool:
    """What no body can have: a volume below zero or above the scan's, a share beyond 0 to 100 %, no number at
    all.
    """
    if not math.isfinite(value):
        return False
    if name == _VOLUME:
        return 0 < value <= grid_mm3 * _PER_MM3.get(unit, 1.0) * (1 + 1e-9)
    return unit != "%" or 0 <= value <= 100


_PER_MM3: Mapping[str, float] = {"mm3": 1.0, "ml": 1e-3, "mL": 1e-3, "cm3": 1e-3, "l": 1e-6, "L": 1e-6}


def _referenced_segment(group: Dataset, tracking_uid: str, segmentation: Dataset) -> Iterator[Fault]:
    numbers = {str(item.get("TrackingUID")): int(item.SegmentNumber) for item in segmentation.SegmentSequence}
    referenced = [
        (str(reference.ReferencedSOPInstanceUID), int(reference.ReferencedSegmentNumber))
        for child in group.ContentSequence if _name(child) == _REFERENCED_SEGMENT
        for reference in child.ReferencedSOPSequence
    ]
    if referenced != [(str(segmentation.SOPInstanceUID), numbers.get(tracking_uid))]:
        yield "reference", "a measurement group does not refer to the segment it measures"


def _evidence(result: Dataset, items: list[Dataset]) -> Iterator[Fault]:
    """PS3.3 C.17.2.3: every instance that the content refers to is listed as evidence."""
    listed = {
        str(instance.ReferencedSOPInstanceUID)
        for study in result.get("CurrentRequestedProcedureEvidenceSequence", [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    referenced = {str(reference.ReferencedSOPInstanceUID)
                  for item in items for reference in item.get("ReferencedSOPSequence", [])}
    if not referenced or not referenced <= listed:
        yield "reference", "the content refers to instances that are not listed as evidence"
