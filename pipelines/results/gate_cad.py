"""What the gate demands of CAD reports: the marks of the findings, on their images, and what no validator looks at.

Validators know the rows of TID 4000 and nothing of TID 4100; none looks whether an outline is closed, inside its
image, or the one that was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.findings import Composite, Detection
from radnode.pipelines.results import chest_cad, mammography_cad, placing
from radnode.pipelines.results.cad_report import INTENTS, center_of
from radnode.pipelines.results.gate_findings import context_group, drawn_on
from radnode.pipelines.results.report_document import summary_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]

_LIBRARY, _SUMMARY, _DETECTIONS, _ANALYSES = "111028", "111017", "111064", "111065"
_FINDING, _FEATURE, _INTENT = "111059", "111015", "111056"
_TRACKING_UID, _CENTER, _OUTLINE = "112040", "111010", "111041"
_ALGORITHM_NAME, _ALGORITHM_VERSION = "111001", "111003"
_LATERALITY, _MODIFIER = "111027", "112024"
_SUCCESSFUL, _FAILED = "111063", "111025"
_COMPOSITION = "129715009"
_PERCENTAGES = ("111012", "111011", "111047")


def mammography(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) of a Mammography CAD SR."""
    if not mammography_cad.applies(writing):
        yield from _none_expected(results)
        return
    yield from _common(results, writing, "4000")
    for result in results:
        for image in _library(result):
            yield from _side(image, writing)


def chest(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) of a Chest CAD SR, the rules of TID 4100 to 4104 included."""
    if not chest_cad.applies(writing):
        yield from _none_expected(results)
        return
    yield from _common(results, writing, "4100")
    findings, modifiers = context_group(chest_cad.FINDINGS), context_group(chest_cad.MODIFIERS)
    for result in results:
        for item in _walk(result):
            if _name(item) == _FINDING and _code(item) not in findings:
                yield "codes", f"{_code(item)[0]} is no single image finding of CID 6101"
            if _name(item) == _MODIFIER and _code(item) not in modifiers | context_group(chest_cad.OPACITIES):
                yield "codes", f"{_code(item)[0]} is no modifier of CID 6102"
            if _name(item) == _FINDING and item.RelationshipType != "INFERRED FROM":
                yield "codes", "a finding is not inferred from by the summary"


def _none_expected(results: Sequence[Dataset]) -> Iterator[Fault]:
    if results:
        yield "outcome", "a CAD report about findings of another kind"


def _common(results: Sequence[Dataset], writing: Writing, template: str) -> Iterator[Fault]:
    if len(results) != 1:
        yield "missing", f"{len(results)} CAD reports, expected one"
        return
    result, findings = results[0], writing.findings
    if result.VerificationFlag != "UNVERIFIED":
        yield "verification", "the report calls itself verified; no person has seen it"
    if [str(each.TemplateIdentifier) for each in result.get("ContentTemplateSequence", [])] != [template]:
        yield "codes", f"the report does not follow TID {template}"
    items = list(_walk(result))
    summaries = {name: [_code(item)[0] for item in items if _name(item) == name]
                 for name in (_SUMMARY, _DETECTIONS, _ANALYSES)}
    if summaries[_SUMMARY] != [summary_of(findings).value] or any(len(found) != 1 for found in summaries.values()):
        yield "outcome", "the summaries are not those of the findings"
    if sorted(_performed(result, items)) != sorted(_looked_for(result, findings)):
        yield "outcome", "what was looked for, or on which image, is not what the findings say"
    yield from _references(result, items)
    yield from _evidence(result)
    yield from _percentages(items)
    yield from _marks(result, items, writing)


def _performed(result: Dataset, items: list[Dataset]) -> Iterator[tuple[str, str, bool]]:
    """(what, SOP Instance UID, whether it succeeded) of each detection and each image."""
    for heading in items:
        if _name(heading) in (_SUCCESSFUL, _FAILED):
            for item in heading.get("ContentSequence", []):
                found = [_at(result, child.ReferencedContentItemIdentifier)
                         for child in item.get("ContentSequence", []) if "ReferencedContentItemIdentifier" in child]
                for image in found or [None]:
                    yield _code(item)[0], _uid(image), _name(heading) == _SUCCESSFUL


def _uid(image: Dataset | None) -> str:
    named = image.get("ReferencedSOPSequence") if image is not None else None
    return str(named[0].ReferencedSOPInstanceUID) if named else ""


def _looked_for(result: Dataset, findings: Findings) -> Iterator[tuple[str, str, bool]]:
    """The same, as the findings say it."""
    for what in findings.looked_for:
        failed = {each.on for each in findings.failures if each.what == what}
        for uid in [_uid(image) for image in _library(result)] or [""]:
            yield what.value, uid, not failed & {None, uid}


def _walk(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence", []):
        yield from _walk(child)


def _name(item: Dataset) -> str | None:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else None


def _code(item: Dataset) -> tuple[str, str]:
    coded = item.get("ConceptCodeSequence")
    return (str(coded[0].CodeValue), str(coded[0].CodingSchemeDesignator)) if coded else ("", "")


def _library(result: Dataset) -> list[Dataset]:
    return [image for item in result.ContentSequence if _name(item) == _LIBRARY for image in item.ContentSequence]


def _at(result: Dataset, place: Any) -> Dataset | None:
    """The item at a place of the tree, counted from 1 at the root; None if there is none."""
    item = result
    for position in [int(each) for each in place][1:]:
        children = item.get("ContentSequence", [])
        if not 1 <= position <= len(children):
            return None
        item = children[position - 1]
    return item


def _references(result: Dataset, items: list[Dataset]) -> Iterator[Fault]:
    """Every reference leads to an image of the library, and every place on an image is given by such a reference."""
    images = {id(image) for image in _library(result)}
    for item in items:
        if "ReferencedContentItemIdentifier" in item:
            target = _at(result, item.ReferencedContentItemIdentifier)
            if target is None or id(target) not in images:
                yield "reference", "an item refers to something that is no image of the library"
                return
        if item.get("ValueType") == "SCOORD" and not any(
            "ReferencedContentItemIdentifier" in child for child in item.get("ContentSequence", [])
        ):
            yield "reference", "coordinates do not refer to an image of the library"
            return


def _evidence(result: Dataset) -> Iterator[Fault]:
    """PS3.3 C.17.2.3: every image of the library is listed as evidence."""
    listed = {
        str(instance.ReferencedSOPInstanceUID)
        for study in result.get("CurrentRequestedProcedureEvidenceSequence", [])
        for series in study.ReferencedSeriesSequence for instance in series.ReferencedSOPSequence
    }
    named = {str(each.ReferencedSOPInstanceUID) for image in _library(result) for each in image.ReferencedSOPSequence}
    if not named or not named <= listed:
        yield "reference", "the images of the library are not listed as evidence"


def _percentages(items: list[Dataset]) -> Iterator[Fault]:
    for item in items:
        if _name(item) in _PERCENTAGES:
            value = item.MeasuredValueSequence[0]
            unit = str(value.MeasurementUnitsCodeSequence[0].CodeValue)
            if unit != "%" or not 0 <= float(value.NumericValue) <= 100:
                yield "plausibility", f"{value.NumericValue} {unit} is no percentage from 0 to 100"


def _side(image: Dataset, writing: Writing) -> Iterator[Fault]:
    """The breast is the one that the image itself names."""
    header = writing.source.header(str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID))
    meant = mammography_cad.SIDES.get(str(header.get("ImageLaterality") or header.get("Laterality") or ""))
    said = [_code(item)[0] for item in image.get("ContentSequence", []) if _name(item) == _LATERALITY]
    if meant is None or said != [meant.value]:
        yield "laterality", "an image of the library is of another breast than it says"


def _marks(result: Dataset, items: list[Dataset], writing: Writing) -> Iterator[Fault]:
    """One mark for each finding, with its intent, its algorithm and its place."""
    findings, provenance = writing.findings, writing.provenance
    expected: dict[str, Detection | Composite] = {
        provenance.tracking_uid(each.key): each for each in findings.detections
    }
    if writing.wanted.form == "MAMMOGRAPHY-CAD":
        expected |= {provenance.tracking_uid(each.key): each for each in findings.composites}
    held: dict[str, Dataset] = {}
    for item in items:
        if _name(item) in (_FINDING, _FEATURE) and _code(item)[0] != _COMPOSITION:
            children = item.get("ContentSequence", [])
            for child in children:
                if _name(child) == _TRACKING_UID:
                    held[str(child.UID)] = item
            names = {_name(child) for child in children}
            intents = [_code(child)[0] for child in children if _name(child) == _INTENT]
            if len(intents) != 1 or not {_ALGORITHM_NAME, _ALGORITHM_VERSION} <= names:
                yield "codes", "a finding does not say whether to show it, or what found it"
                return
    if set(held) != set(expected):
        yield "missing", f"{len(held)} marks, not one for each of {len(expected)} findings"
        return
    for uid, item in held.items():
        yield from _mark(result, item, expected[uid], writing)


def _mark(result: Dataset, item: Dataset, found: Detection | Composite, writing: Writing) -> Iterator[Fault]:
    intent = [_code(child)[0] for child in item.ContentSequence if _name(child) == _INTENT]
    if intent != [INTENTS[found.rendering].value]:
        yield "codes", f"{found.key} is not to be shown as the findings say"
    if not isinstance(found, Detection):
        if _code(item)[0] != found.type.value:
            yield "codes", f"{found.key} is called {_code(item)[0]}"
        return
    modifiers = [_code(child)[0] for child in item.ContentSequence if _name(child) == _MODIFIER]
    if found.type.value not in (_code(item)[0], *modifiers):
        yield "codes", f"{found.key} is called {_code(item)[0]}"
    placed = placing.place(found, writing.findings)
    meant = {_CENTER: placed.points if placed.is_point else np.array([center_of(found, writing)])}
    if not placed.is_point:
        meant[_OUTLINE] = placed.points
    drawn = {_name(child): child for child in item.ContentSequence if child.get("ValueType") == "SCOORD"}
    if set(drawn) != set(meant):
        yield "geometry", f"{found.key} has no place, or one too many"
        return
    for name, points in meant.items():
        yield from _drawn(result, drawn[name], points, placed, found, writing.findings)


def _drawn(
    result: Dataset, item: Dataset, points: Any, placed: placing.Placed, found: Detection, findings: Findings
) -> Iterator[Fault]:
    said = np.array(item.GraphicData, dtype=np.float64).reshape(-1, 2)
    if item.GraphicType == "POLYLINE" and not np.array_equal(said[0], said[-1]):
        yield "geometry", f"the outline of {found.key} is not closed"
    # Coordinates are 32-bit floats (PS3.3 C.18.6).
    if said.shape != points.shape or np.abs(said - points).max() > 1e-3:
        yield "geometry", f"{found.key} does not lie where it was found"
    shape = (findings.grid.voxels.shape[1:] if findings.volume is not None
             else findings.projection(placed.image.sop_instance_uid, placed.image.frame_number).shape)
    if (said < 0).any() or (said > np.array(shape[::-1])).any():
        yield "geometry", f"{found.key} lies outside its image"
    yield from drawn_on(found, findings, (placed.image.sop_instance_uid, placed.image.frame_number), said)
    for child in item.ContentSequence:
        image = _at(result, child.ReferencedContentItemIdentifier)
        named = "" if image is None else str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        if named != placed.image.sop_instance_uid:
            yield "reference", f"{found.key} is marked on another image than the one it was found on"
