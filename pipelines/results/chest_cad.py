"""Chest CAD SR (TID 4100), for workstations that show CAD marks on radiographs and CT.

A single image finding lies on one image. What TID 4100 asks for and no validator checks is in `gate_cad.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import ChestCADSRStorage

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Code
from radnode.pipelines.results import cad_report as cad
from radnode.pipelines.results import content_tree as tree
from radnode.pipelines.results import placing
from radnode.pipelines.results.gate_findings import context_group
from radnode.pipelines.results.report_document import summary_of

if TYPE_CHECKING:
    from pydicom import Dataset

    from radnode.pipelines.findings import Detection
    from radnode.pipelines.geometry import SourceFrame
    from radnode.pipelines.results.content_tree import Item
    from radnode.pipelines.results.writing import Writing

_REPORT = Code("112000", "DCM", "Chest CAD Report")
_VIEW = Code("111031", "DCM", "Image View")
MODIFIER = Code("112024", "DCM", "Single Image Finding Modifier")
OPACITY = Code("112033", "DCM", "Abnormal opacity")
FINDINGS, MODIFIERS, OPACITIES = 6101, 6102, 6104

_VIEWS = {
    "PA": Code("272479007", "SCT", "postero-anterior"), "AP": Code("399348003", "SCT", "antero-posterior"),
    "LL": Code("399173006", "SCT", "left lateral"), "RL": Code("399198007", "SCT", "right lateral"),
}


def applies(writing: Writing) -> bool:
    """Whether these findings are those of a chest CAD: it looked for what CID 6101 or 6102 lists, on chest images."""
    findings = writing.findings
    known = context_group(FINDINGS) | context_group(MODIFIERS)
    return (
        str(writing.source.common.get("Modality")) in ("CR", "DX", "CT") and bool(findings.looked_for)
        and all((each.value, each.scheme) in known for each in findings.looked_for)
    )


def write(writing: Writing) -> tuple[Dataset, ...]:
    """One report, also when nothing was found; none for findings of another kind.

    Raises RunFailed for a finding that the templates have no code for.
    """
    if not applies(writing):
        return ()
    root = tree.container("", _REPORT)
    images = _images(writing)
    library = {(each.sop_instance_uid, each.frame_number): _image(writing, each) for each in images}
    summary = tree.code(cad.CONTAINS, cad.SUMMARY, summary_of(writing.findings))
    for detection in writing.findings.detections:
        summary.add(_finding(writing, detection, library))
    root.add(
        tree.code(cad.CONCEPT_MOD, cad.LANGUAGE, cad.ENGLISH),
        tree.container(cad.CONTAINS, cad.IMAGE_LIBRARY).add(*library.values()),
        summary,
        cad.detections_performed(writing, library),
        tree.code(cad.CONTAINS, cad.ANALYSES, cad.NOT_ATTEMPTED),
    )
    return (cad.document(writing, ChestCADSRStorage, "4100", root, images),)


def _images(writing: Writing) -> list[SourceFrame]:
    """Every radiograph; of a volume, the slices that findings lie on, or its first."""
    findings = writing.findings
    if findings.volume is None:
        return [each.source for each in findings.projections]
    marked = {placing.place(each, findings).image for each in findings.detections}
    return [frame for frame in findings.grid.frames if frame in marked] or [findings.grid.frames[0]]


def _image(writing: Writing, image: SourceFrame) -> Item:
    findings = writing.findings
    header = writing.source.header(image.sop_instance_uid)
    item = tree.image(cad.CONTAINS, image)
    if findings.volume is not None:
        return item.add(*cad.acquisition(header, findings.grid.spacing_mm[1:], None))
    projection = findings.projection(image.sop_instance_uid, image.frame_number)
    if projection.view in _VIEWS:
        item.add(tree.code(cad.ACQ_CONTEXT, _VIEW, _VIEWS[projection.view]))
    return item.add(*cad.acquisition(header, projection.spacing_mm, projection.orientation))


def kind_of(detection: Detection) -> tuple[Code, Code | None]:
    """(Single image finding of CID 6101, its modifier): a nodule is an abnormal opacity.

    Raises RunFailed for a type that neither has.
    """
    kind = (detection.type.value, detection.type.scheme)
    if kind in context_group(FINDINGS):
        return detection.type, None
    if kind in context_group(OPACITIES):
        return OPACITY, detection.type
    raise RunFailed(f"{detection.key}: {detection.type.meaning} is no single image finding of CID 6101, nor an opacity "
                    "of CID 6104")


def _finding(writing: Writing, detection: Detection, library: dict[tuple[str, int | None], Item]) -> Item:
    """TID 4104."""
    kind, modifier = kind_of(detection)
    modified = [] if modifier is None else [tree.code(cad.CONCEPT_MOD, MODIFIER, modifier)]
    return tree.code(cad.INFERRED, cad.SINGLE_IMAGE_FINDING, kind).add(
        *modified,
        cad.intent(detection.rendering),
        *cad.tracking(writing, detection.key),
        *cad.algorithm(writing, cad.OBS_CONTEXT),
        *cad.certainty(detection, cad.CERTAINTY_OF_FINDING),
        *cad.place(writing, detection, library),
    )
