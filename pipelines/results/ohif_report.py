"""Places and lengths as OHIF takes them over into its own tools (TID 1500 with TID 1501 groups).

OHIF knows a measurement by its Tracking Identifier, "Cornerstone3DTools@^0.1.0:" and the name of a tool, and by
coordinates that the first number is INFERRED FROM; which finding it is stands in the Tracking UID. It compares code
meanings as strings. Groups that refer to a segment turn its screen black, together with every other group of the
report, so they have no place here: they are in the TID1500.

A mark becomes the reader's own measurement with one click, so its text says that a machine made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom import sr
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from radnode.pipelines.findings import Composite
from radnode.pipelines.results.marking import pydicom_code
from radnode.pipelines.results.ohif_marks import Tool, marks
from radnode.pipelines.results.report_document import report

if TYPE_CHECKING:
    from pydicom import Dataset

    from radnode.pipelines.results.ohif_marks import Mark, Number
    from radnode.pipelines.results.writing import Writing

_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_TOOLS = "Cornerstone3DTools@^0.1.0"
# Not "Image Region": by that name a validator takes all groups of the report for TID 1410.
_CENTER, _OUTLINE = CodedConcept("111010", "DCM", "Center"), CodedConcept("111041", "DCM", "Outline")


def write(writing: Writing) -> tuple[Dataset, ...]:
    """One report of all marks; none when the findings have no place on an image that OHIF shows right."""
    shown = marks(writing.findings)
    if not shown:
        return ()
    images = {mark.image.sop_instance_uid: writing.source.header(mark.image.sop_instance_uid) for mark in shown}
    headers = list(images.values())
    groups = (_group(mark, writing) for mark in shown)
    return (report(writing, sr.Comprehensive3DSR, headers, groups, headers),)


def _group(mark: Mark, writing: Writing) -> sr.ContentSequence:
    """TID 1501, with the coordinates under its first number; under the group itself where there is no number."""
    group = sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(
            uid=writing.provenance.tracking_uid(mark.identity), identifier=f"{_TOOLS}:{mark.tool.value}"
        ),
        finding_type=pydicom_code(mark.finding.type),
        finding_sites=_sites(mark),
    )
    content = group[0].ContentSequence
    content.append(sr.TextContentItem(
        name=codes.DCM.Comment, value=_text(mark, writing), relationship_type=_CONTAINS
    ))
    if not mark.numbers:
        content.append(_region(mark))
    for place, number in enumerate(mark.numbers):
        content.extend(_number(number, mark if place == 0 else None))
    return group


def _text(mark: Mark, writing: Writing) -> str:
    qualification = writing.provenance.order.content_qualification
    return f"{mark.text} (AI)" if qualification == "PRODUCT" else f"{mark.text} (AI, {qualification})"


def _sites(mark: Mark) -> list[sr.FindingSite]:
    if isinstance(mark.finding, Composite) or mark.finding.site is None:
        return []
    laterality = pydicom_code(mark.finding.laterality) if mark.finding.laterality else None
    return [sr.FindingSite(anatomic_location=pydicom_code(mark.finding.site), laterality=laterality)]


def _number(number: Number, mark: Mark | None) -> sr.Measurement:
    return sr.Measurement(
        name=pydicom_code(number.name),
        value=number.value,
        unit=pydicom_code(number.unit),
        derivation=pydicom_code(number.method) if number.method else None,
        referenced_coordinates=None if mark is None else [sr.CoordinatesForMeasurement(
            graphic_type=_graphic(mark), graphic_data=mark.points, source_image=_image(mark)
        )],
    )


def _region(mark: Mark) -> sr.ScoordContentItem:
    region = sr.ScoordContentItem(
        name=_CENTER if mark.tool is Tool.ARROW else _OUTLINE, graphic_type=_graphic(mark), graphic_data=mark.points,
        relationship_type=_CONTAINS,
    )
    region.ContentSequence = sr.ContentSequence([_image(mark)])
    return region


def _graphic(mark: Mark) -> sr.GraphicTypeValues:
    return sr.GraphicTypeValues.POINT if mark.tool is Tool.ARROW else sr.GraphicTypeValues.POLYLINE


def _image(mark: Mark) -> sr.SourceImageForRegion:
    frame = mark.image.frame_number
    return sr.SourceImageForRegion(
        referenced_sop_class_uid=mark.image.sop_class_uid,
        referenced_sop_instance_uid=mark.image.sop_instance_uid,
        referenced_frame_numbers=None if frame is None else [frame],
    )
