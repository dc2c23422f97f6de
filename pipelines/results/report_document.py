"""The frame of a TID 1500 report: everything around its measurement groups.

Code meanings are verbatim those of the standard, because viewers compare them as strings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom import sr
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from radnode.pipelines.contract import ALGORITHM_FAMILIES, RunFailed
from radnode.pipelines.findings import Code, Findings, Relation
from radnode.pipelines.results.identity import MANUFACTURER
from radnode.pipelines.results.marking import pydicom_code, requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydicom import Dataset
    from pydicom.sr.coding import Code as PydicomCode

    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.normalise import SourceHeader
    from radnode.pipelines.results.writing import Writing

_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_HAS_CONCEPT_MOD = sr.RelationshipTypeValues.HAS_CONCEPT_MOD

_ENGLISH = CodedConcept("en", "RFC5646", "English")

# TID 1500 row 12; highdicom has no template for it.
_QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
# CID 6047: the standard's own words for how a run ended.
_SUMMARY = CodedConcept("111017", "DCM", "CAD Processing and Findings Summary")

# CID 100: the imaging procedure that was analysed, not the algorithm (IHE RAD AIR).
_RADIOGRAPHY = CodedConcept("43468-8", "LN", "XR unspecified body region")
_PROCEDURES = {
    "CT": CodedConcept("25045-6", "LN", "CT unspecified body region"),
    "MR": CodedConcept("25056-3", "LN", "MRI unspecified body region"),
    "PT": CodedConcept("44136-0", "LN", "PET unspecified body region"),
    "NM": CodedConcept("49118-3", "LN", "NM unspecified body region"),
    **dict.fromkeys(("CR", "DX", "IO", "MG", "RF", "XA"), _RADIOGRAPHY),
    # The group is extensible and has nothing for visible light; these are the standard's own names of it (CID 29).
    **{value: CodedConcept(value, "DCM", meaning) for value, meaning in (
        ("ES", "Endoscopy"), ("GM", "General Microscopy"), ("OP", "Ophthalmic Photography"),
        ("SM", "Slide Microscopy"), ("XC", "External-camera Photography"),
    )},
}

_RELATIONS = {
    Relation.SAME_PLACE: "the same finding on several images",
    Relation.OVER_TIME: "the same finding at several times",
    Relation.OPPOSITE_SIDE: "the same place on both sides",
}


def summary_of(findings: Findings) -> Code:
    """CID 6047: whether everything that was to be looked for was, and whether something was found."""
    whole = [each for each in findings.failures if each.on is None]
    if whole and findings.nothing_found and len(whole) >= len(findings.looked_for):
        return Code("111245", "DCM", "No algorithms succeeded; without findings")
    if findings.failures:
        found = Code("111244", "DCM", "Not all algorithms succeeded; with findings")
        return Code("111243", "DCM", "Not all algorithms succeeded; without findings") \
            if findings.nothing_found else found
    if findings.nothing_found:
        return Code("111241", "DCM", "All algorithms succeeded; without findings")
    return Code("111242", "DCM", "All algorithms succeeded; with findings")


def sentences(writing: Writing) -> list[str]:
    """Everything a reader must see in words: the remarks, what failed, and where the numbers come from."""
    findings, provenance = writing.findings, writing.provenance
    said = [f"Not analysed: {failure.what.meaning}. {failure.reason}" for failure in findings.failures]
    said += findings.remarks
    labels = {each.key: each.label for each in findings.detections}
    said += [
        f"{each.label}: {', '.join(labels[member] for member in each.members)} are {_RELATIONS[each.relation]}."
        for each in findings.composites
    ]
    said += provenance.statements(findings.images_read)
    if findings.nothing_found:
        said.insert(0, f"Nothing found by {provenance.manifest.title} ({provenance.manifest.version}).")
    return said


def report(
    writing: Writing,
    kind: type[sr.Comprehensive3DSR | sr.ComprehensiveSR],
    library: Sequence[Dataset],
    groups: Iterable[sr.ContentSequence],
    evidence: Sequence[Dataset],
    number: int = 1,
) -> Dataset:
    """One document. library: the images to list in it. evidence: everything it refers to. groups: its measurements."""
    made: Dataset = kind(
        evidence=list(evidence),
        content=_document(writing, library, groups),
        is_complete=True,
        # Preliminary and unverified: no person has seen it, and it is not for a machine to say otherwise.
        is_final=False,
        is_verified=False,
        requested_procedures=requests(writing.source) or None,
        **writing.common(number),
    )
    writing.finish(made)
    return made


def _document(
    writing: Writing, library: Sequence[Dataset], groups: Iterable[sr.ContentSequence]
) -> sr.ContainerContentItem:
    """TID 1500, row by row."""
    root = sr.ContainerContentItem(name=codes.DCM.ImagingMeasurementReport, template_id="1500")
    root.ContentSequence = sr.ContentSequence()
    content = root.ContentSequence
    content.extend(sr.LanguageOfContentItemAndDescendants(_ENGLISH))
    content.extend(_observer(writing.provenance))
    content.append(_code(codes.DCM.ProcedureReported, _procedure(writing.source), _HAS_CONCEPT_MOD))
    content.extend(_library(library))
    if made := list(groups):
        container = sr.ContainerContentItem(name=codes.DCM.ImagingMeasurements, relationship_type=_CONTAINS)
        container.ContentSequence = sr.ContentSequence()
        container.ContentSequence.extend(_algorithm(writing.provenance))
        for group in made:
            container.ContentSequence.extend(group)
        content.append(container)
    content.append(_qualitative_evaluations(writing))
    return root


def _library(shown: Sequence[Dataset]) -> sr.ContentSequence:
    """TID 1600. OHIF looks an image up in it, so there is at least one."""
    if "ImagePositionPatient" in shown[0]:
        return sr.ImageLibrary(list(shown))
    # The frames of a multi-frame image have places, the image has none to describe; a projection has none at all.
    library, group = (
        sr.ContainerContentItem(name=name, relationship_type=_CONTAINS)
        for name in (codes.DCM.ImageLibrary, codes.DCM.ImageLibraryGroup)
    )
    group.ContentSequence = sr.ContentSequence([
        sr.ImageContentItem(
            name=CodedConcept("260753009", "SCT", "Source"),
            referenced_sop_class_uid=header.SOPClassUID,
            referenced_sop_instance_uid=header.SOPInstanceUID,
            relationship_type=_CONTAINS,
        )
        for header in shown
    ])
    library.ContentSequence = sr.ContentSequence([group])
    return sr.ContentSequence([library])


def _procedure(source: SourceHeader) -> CodedConcept:
    modality = str(source.common.get("Modality"))
    if modality not in _PROCEDURES:
        raise RunFailed(f"a measurement report on {modality} images has no code for the procedure (CID 100)")
    return _PROCEDURES[modality]


def _observer(provenance: Provenance) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=provenance.node_uid,
        name="radnode",
        manufacturer_name=MANUFACTURER,
        model_name="radnode",
        serial_number=provenance.order.node_version,
    )
    context = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    return sr.ObservationContext(observer_device_context=context)


def _algorithm(provenance: Provenance) -> sr.AlgorithmIdentification:
    """TID 4019 on the container (TID 1500 row 6b), where it holds for all groups."""
    manifest = provenance.manifest
    family = Code(ALGORITHM_FAMILIES[manifest.algorithm_family], "DCM", manifest.algorithm_family)
    return sr.AlgorithmIdentification(
        name=manifest.name,
        version=manifest.version,
        parameters=[
            f"model sha256 {manifest.model_digest}",
            f"configuration {provenance.order.configuration_digest}",
        ],
        family=pydicom_code(family),
    )


def _qualitative_evaluations(writing: Writing) -> sr.ContainerContentItem:
    """TID 1500 rows 12 to 14: the outcome in a code, then every remark and the provenance as text."""
    container = sr.ContainerContentItem(name=_QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence()
    summary = summary_of(writing.findings)
    outcome = CodedConcept(summary.value, summary.scheme, summary.meaning)
    container.ContentSequence.append(_code(_SUMMARY, outcome, _CONTAINS))
    for sentence in sentences(writing):
        text = sr.TextContentItem(name=codes.DCM.Comment, value=sentence, relationship_type=_CONTAINS)
        container.ContentSequence.append(text)
    return container


def _code(
    name: CodedConcept | PydicomCode, value: CodedConcept, relationship: sr.RelationshipTypeValues
) -> sr.CodeContentItem:
    return sr.CodeContentItem(name=name, value=value, relationship_type=relationship)
