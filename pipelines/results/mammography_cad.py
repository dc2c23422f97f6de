"""Mammography CAD SR (TID 4000): what the workstations of mammography show marks from.

The templates are closed: nothing may be added, so what has no row in them (other measurements, remarks) stands in the
measurement report only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import MammographyCADSRStorage

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import STUDY, Code, Relation
from radnode.pipelines.results import cad_report as cad
from radnode.pipelines.results import content_tree as tree
from radnode.pipelines.results.gate_findings import context_group
from radnode.pipelines.results.report_document import summary_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom import Dataset

    from radnode.pipelines.findings import Composite, Detection
    from radnode.pipelines.geometry import FlatImage
    from radnode.pipelines.results.content_tree import Item
    from radnode.pipelines.results.writing import Writing

    Library = Mapping[tuple[str, int | None], Item]

_REPORT = Code("111036", "DCM", "Mammography CAD Report")
_IMPRESSION = Code("111034", "DCM", "Individual Impression/Recommendation")
_SUCCESSFUL_ANALYSES = Code("111062", "DCM", "Successful Analyses")
_ANALYSIS_PERFORMED = Code("111004", "DCM", "Analysis Performed")
_LATERALITY, _VIEW = Code("111027", "DCM", "Image Laterality"), Code("111031", "DCM", "Image View")
COMPOSITION = Code("129715009", "SCT", "Breast composition")
_MULTIPLE_IMAGES = Code("111158", "DCM", "Feature detected on multiple images")

SIDES = {"L": Code("80248007", "SCT", "Left breast"), "R": Code("73056007", "SCT", "Right breast"),
         "B": Code("63762007", "SCT", "Both breasts")}
VIEWS = {
    "CC": Code("399162004", "SCT", "cranio-caudal"), "MLO": Code("399368009", "SCT", "medio-lateral oblique"),
    "ML": Code("399260004", "SCT", "medial-lateral"), "LM": Code("399352003", "SCT", "latero-medial"),
    "LMO": Code("399099002", "SCT", "latero-medial oblique"), "FB": Code("399196006", "SCT", "caudo-cranial"),
    "XCCL": Code("399192008", "SCT", "cranio-caudal exaggerated laterally"),
    "XCCM": Code("399101009", "SCT", "cranio-caudal exaggerated medially"),
}
_RELATIONS = {
    Relation.SAME_PLACE: (Code("111154", "DCM", "Target content items are related spatially"),
                          Code("133885008", "SCT", "Spatial proximity analysis")),
    Relation.OVER_TIME: (Code("111153", "DCM", "Target content items are related temporally"),
                         Code("133886009", "SCT", "Temporal correlation")),
    Relation.OPPOSITE_SIDE: (Code("111155", "DCM", "Target content items are related contra-laterally"),
                             Code("133889002", "SCT", "Asymmetric breast tissue analysis")),
}
_FINDINGS, _FEATURES, _COMPOSITIONS = 6014, 6016, 6000
# Which descriptors a kind of finding may have (TID 4006): a descriptor of another kind is no row of its template.
_CLUSTER, _CALCIFICATION, _DENSITY = "129769006", "129770007", "129793001"
_DESCRIPTORS = {
    _CLUSTER: ("111009", "111008"), _CALCIFICATION: ("111009",), _DENSITY: ("111037", "107644003", "111035"),
}
_NUMBER_OF_CALCIFICATIONS = "111038"


def applies(writing: Writing) -> bool:
    """Whether these findings are those of a mammography CAD: it looked for what CID 6014 lists, on mammograms."""
    findings = writing.findings
    known = context_group(_FINDINGS)
    return (
        bool(findings.projections) and str(writing.source.common.get("Modality")) == "MG"
        and bool(findings.looked_for) and all((each.value, each.scheme) in known for each in findings.looked_for)
    )


def write(writing: Writing) -> tuple[Dataset, ...]:
    """One report, also when nothing was found; none for findings of another kind.

    Raises RunFailed for a finding that the templates have no code for.
    """
    if not applies(writing):
        return ()
    findings = writing.findings
    root = tree.container("", _REPORT)
    library_of_images = tree.container(cad.CONTAINS, cad.IMAGE_LIBRARY)
    library: dict[tuple[str, int | None], Item] = {}
    for projection in findings.projections:
        item = _image(writing, projection)
        library[projection.source.sop_instance_uid, projection.source.frame_number] = item
        library_of_images.add(item)
    root.add(
        tree.code(cad.CONCEPT_MOD, cad.LANGUAGE, cad.ENGLISH),
        library_of_images,
        _summary(writing, library),
        cad.detections_performed(writing, library),
        _analyses(writing, library),
    )
    images = [projection.source for projection in findings.projections]
    return (cad.document(writing, MammographyCADSRStorage, "4000", root, images),)


def view_of(header: Dataset) -> tuple[Code | None, tuple[Code, ...]]:
    """(View, its modifiers): the image's own codes, else by View Position; none that is not known is made up."""
    if coded := header.get("ViewCodeSequence"):
        modifiers = tuple(_code(each) for each in coded[0].get("ViewModifierCodeSequence", []))
        return _code(coded[0]), modifiers
    return VIEWS.get(str(header.get("ViewPosition", ""))), ()


def _code(item: Dataset) -> Code:
    return Code(str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning))


def _image(writing: Writing, projection: FlatImage) -> Item:
    header = writing.source.header(projection.source.sop_instance_uid)
    view, modifiers = view_of(header)
    if projection.laterality not in SIDES or view is None:
        raise RunFailed("a mammogram does not say which breast or which view it is; a CAD report cannot name it")
    viewed = tree.code(cad.ACQ_CONTEXT, _VIEW, view).add(*(
        tree.code(cad.CONCEPT_MOD, Code("111032", "DCM", "Image View Modifier"), each) for each in modifiers
    ))
    return tree.image(cad.CONTAINS, projection.source).add(
        tree.code(cad.ACQ_CONTEXT, _LATERALITY, SIDES[projection.laterality]),
        viewed,
        *cad.acquisition(header, projection.spacing_mm, projection.orientation),
    )


def _summary(writing: Writing, library: Library) -> Item:
    """The outcome, and one impression for each lesion."""
    findings = writing.findings
    summary = tree.code(cad.CONTAINS, cad.SUMMARY, summary_of(findings))
    by_key = {each.key: each for each in findings.detections}
    grouped = {member for composite in findings.composites for member in composite.members}
    for composite in findings.composites:
        summary.add(tree.container(cad.INFERRED, _IMPRESSION).add(
            cad.intent(composite.rendering),
            _feature(writing, composite, [by_key[member] for member in composite.members], library),
        ))
    for detection in findings.detections:
        if detection.key not in grouped:
            summary.add(tree.container(cad.INFERRED, _IMPRESSION).add(
                cad.intent(detection.rendering), _finding(writing, detection, cad.CONTAINS, library)
            ))
    for answer in findings.classifications:
        if answer.name.value == COMPOSITION.value and answer.of == STUDY and answer.laterality is None:
            if (answer.value.value, answer.value.scheme) not in context_group(_COMPOSITIONS):
                raise RunFailed(f"{answer.value.meaning} is no breast composition of CID 6000")
            summary.add(tree.container(cad.INFERRED, _IMPRESSION).add(
                tree.code(cad.CONCEPT_MOD, cad.RENDERING_INTENT, next(iter(cad.INTENTS.values()))),
                tree.code(cad.CONTAINS, cad.SINGLE_IMAGE_FINDING, COMPOSITION).add(
                    tree.code(cad.CONCEPT_MOD, cad.RENDERING_INTENT, next(iter(cad.INTENTS.values()))),
                    *cad.tracking(writing, answer.key),
                    *cad.algorithm(writing, cad.PROPERTIES),
                    tree.code(cad.PROPERTIES, COMPOSITION, answer.value),
                ),
            ))
    return summary


def _finding(writing: Writing, detection: Detection, relationship: str, library: Library) -> Item:
    """TID 4006, the rows in its order."""
    kind = detection.type
    if (kind.value, kind.scheme) not in context_group(_FINDINGS):
        raise RunFailed(f"{detection.key}: {kind.meaning} is no single image finding of CID 6014")
    allowed = _DESCRIPTORS.get(kind.value, ())
    for name, _ in detection.descriptors:
        if name.value not in allowed:
            raise RunFailed(f"{detection.key}: {name.meaning} does not describe {kind.meaning} in a CAD report")
    described = [tree.code(cad.PROPERTIES, name, value) for wanted in allowed
                 for name, value in detection.descriptors if name.value == wanted]
    counted = [
        tree.number(cad.PROPERTIES, each.name, each.value, Code("1", "UCUM", "no units"))
        for each in writing.findings.measurements
        if kind.value == _CLUSTER and each.of == detection.key and each.name.value == _NUMBER_OF_CALCIFICATIONS
    ]
    return tree.code(relationship, cad.SINGLE_IMAGE_FINDING, kind).add(
        cad.intent(detection.rendering),
        *cad.tracking(writing, detection.key),
        *cad.algorithm(writing, cad.PROPERTIES),
        *cad.certainty(detection, cad.CERTAINTY_OF_FINDING),
        *cad.probability_of_cancer(writing, detection.key),
        *cad.place(writing, detection, library),
        *described,
        *counted,
    )


def _feature(writing: Writing, composite: Composite, members: list[Detection], library: Library) -> Item:
    """TID 4004."""
    if (composite.type.value, composite.type.scheme) not in context_group(_FEATURES):
        raise RunFailed(f"{composite.key}: {composite.type.meaning} is no composite feature of CID 6016")
    return tree.code(cad.CONTAINS, cad.COMPOSITE_FEATURE, composite.type).add(
        cad.intent(composite.rendering),
        *cad.tracking(writing, composite.key),
        tree.code(cad.PROPERTIES, cad.COMPOSITE_TYPE, _RELATIONS[composite.relation][0]),
        tree.code(cad.PROPERTIES, cad.SCOPE, _MULTIPLE_IMAGES),
        *cad.algorithm(writing, cad.PROPERTIES),
        *cad.certainty(composite, cad.CERTAINTY_OF_FEATURE),
        *cad.probability_of_cancer(writing, composite.key),
        *(_finding(writing, member, cad.INFERRED, library) for member in members),
    )


def _analyses(writing: Writing, library: Library) -> Item:
    """Which relations between findings were looked for."""
    performed = dict.fromkeys(_RELATIONS[each.relation][1] for each in writing.findings.composites)
    if not performed:
        return tree.code(cad.CONTAINS, cad.ANALYSES, cad.NOT_ATTEMPTED)
    return tree.code(cad.CONTAINS, cad.ANALYSES, cad.SUCCEEDED).add(
        tree.container(cad.INFERRED, _SUCCESSFUL_ANALYSES).add(*(
            tree.code(cad.CONTAINS, _ANALYSIS_PERFORMED, each).add(
                *cad.algorithm(writing, cad.PROPERTIES),
                *(tree.refer(cad.PROPERTIES, image) for image in library.values()),
            )
            for each in performed
        ))
    )
