"""Measurements and remarks as a DICOM structured report (TID 1500, Comprehensive 3D SR).

Written for every run that ended with an answer, also when nothing was found: a study without a report was not
processed. The code meanings are verbatim those of the standard, because viewers compare them as strings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom import sr
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from radnode.pipelines.contract import ALGORITHM_FAMILIES, RunFailed
from radnode.pipelines.findings import Code
from radnode.pipelines.results.identity import MANUFACTURER
from radnode.pipelines.results.marking import pydicom_code, requests

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code as PydicomCode

    from radnode.pipelines.findings import Findings, Measurement, Segment
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.normalise import SourceHeader
    from radnode.pipelines.results.writing import Writing

_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_HAS_CONCEPT_MOD = sr.RelationshipTypeValues.HAS_CONCEPT_MOD

_ENGLISH = CodedConcept("en", "RFC5646", "English")

# TID 1500 row 12; highdicom has no template for it.
_QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
# CID 6047: the standard's own words for "ran, and saw nothing".
_SUMMARY = CodedConcept("111017", "DCM", "CAD Processing and Findings Summary")
_NOTHING = CodedConcept("111241", "DCM", "All algorithms succeeded; without findings")
_SOMETHING = CodedConcept("111242", "DCM", "All algorithms succeeded; with findings")

# CID 100: the imaging procedure that was analysed, not the algorithm (IHE RAD AIR).
_PROCEDURES = {
    "CT": CodedConcept("25045-6", "LN", "CT unspecified body region"),
    "MR": CodedConcept("25056-3", "LN", "MRI unspecified body region"),
    "PT": CodedConcept("44136-0", "LN", "PET unspecified body region"),
    "NM": CodedConcept("49118-3", "LN", "NM unspecified body region"),
}


def write(writing: Writing) -> tuple[Dataset, ...]:
    """One report; its groups refer to the segments of the segmentation that is sent along, when there is one."""
    findings, source, provenance = writing.findings, writing.source, writing.provenance
    segmentation = writing.beside[0] if writing.beside else None
    evidence = [*source.slices] if segmentation is None else [*source.slices, segmentation]
    report = sr.Comprehensive3DSR(
        evidence=evidence,
        content=_document(findings, source, provenance, segmentation),
        is_complete=True,
        # Preliminary and unverified: no person has seen it, and it is not for a machine to say otherwise.
        is_final=False,
        is_verified=False,
        requested_procedures=requests(source) or None,
        **writing.common(),
    )
    writing.finish(report)
    return (report,)


def _document(
    findings: Findings, source: SourceHeader, provenance: Provenance, segmentation: Dataset | None
) -> sr.ContainerContentItem:
    """TID 1500, row by row."""
    root = sr.ContainerContentItem(name=codes.DCM.ImagingMeasurementReport, template_id="1500")
    root.ContentSequence = sr.ContentSequence()
    content = root.ContentSequence
    content.extend(sr.LanguageOfContentItemAndDescendants(_ENGLISH))
    content.extend(_observer(provenance))
    content.append(_code(codes.DCM.ProcedureReported, _procedure(source), _HAS_CONCEPT_MOD))
    content.extend(_library(source))
    if findings.segments:
        content.append(_imaging_measurements(findings, provenance, segmentation, source))
    content.append(_qualitative_evaluations(findings, provenance))
    return root


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


def _library(source: SourceHeader) -> sr.ContentSequence:
    """First, middle and last image: 300 entries would cost a megabyte and say nothing more."""
    last = len(source.slices) - 1
    shown = [source.slices[index] for index in sorted({0, last // 2, last})]
    if "ImagePositionPatient" in shown[0]:
        return sr.ImageLibrary(shown)
    # The frames of a multi-frame image have places, the image has none to describe.
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


def _imaging_measurements(
    findings: Findings, provenance: Provenance, segmentation: Dataset | None, source: SourceHeader
) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(name=codes.DCM.ImagingMeasurements, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence()
    container.ContentSequence.extend(_algorithm(provenance))
    for number, segment in enumerate(findings.segments, 1):
        taken = [measurement for measurement in findings.measurements if measurement.of == segment.key]
        group = _group(number, segment, taken, provenance, segmentation, source)
        container.ContentSequence.extend(group)
    return container


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


def _group(
    number: int,
    segment: Segment,
    taken: list[Measurement],
    provenance: Provenance,
    segmentation: Dataset | None,
    source: SourceHeader,
) -> sr.ContentSequence:
    """TID 1411 for a segment that is sent along, else TID 1501."""
    tracking = sr.TrackingIdentifier(
        uid=provenance.tracking_uid(segment.key), identifier=provenance.tracking_id(segment.key)
    )
    finding, sites = pydicom_code(segment.type), [_site(segment)]
    numbers = [_measurement(measurement) for measurement in taken]
    if segmentation is None:
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking, finding_type=finding, finding_sites=sites, measurements=numbers
        )
    referenced = sr.ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=number,
        source_series=sr.SourceSeriesForSegmentation(source.slices[0].SeriesInstanceUID),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking,
        referenced_segment=referenced,
        finding_type=finding,
        finding_sites=sites,
        measurements=numbers,
    )


def _site(segment: Segment) -> sr.FindingSite:
    laterality = pydicom_code(segment.laterality) if segment.laterality else None
    return sr.FindingSite(anatomic_location=pydicom_code(segment.type), laterality=laterality)


def _measurement(measurement: Measurement) -> sr.Measurement:
    return sr.Measurement(
        name=pydicom_code(measurement.name),
        value=measurement.value,
        unit=pydicom_code(measurement.unit),
        derivation=pydicom_code(measurement.method) if measurement.method else None,
    )


def _qualitative_evaluations(findings: Findings, provenance: Provenance) -> sr.ContainerContentItem:
    """TID 1500 rows 12 to 14: the outcome in a code, then every remark and the provenance as text."""
    container = sr.ContainerContentItem(name=_QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence()
    outcome = _NOTHING if findings.nothing_found else _SOMETHING
    container.ContentSequence.append(_code(_SUMMARY, outcome, _CONTAINS))
    said = [*findings.remarks, *provenance.statements(findings.images_read)]
    if findings.nothing_found:
        said.insert(0, f"Nothing found by {provenance.manifest.title} ({provenance.manifest.version}).")
    for sentence in said:
        text = sr.TextContentItem(name=codes.DCM.Comment, value=sentence, relationship_type=_CONTAINS)
        container.ContentSequence.append(text)
    return container


def _code(
    name: CodedConcept | PydicomCode, value: CodedConcept, relationship: sr.RelationshipTypeValues
) -> sr.CodeContentItem:
    return sr.CodeContentItem(name=name, value=value, relationship_type=relationship)
