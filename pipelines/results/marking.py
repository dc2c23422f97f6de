"""What every result object carries: who made it, from which equipment, in whose study, and when."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from highdicom import ContributingEquipment
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as PydicomCode
from pydicom.uid import UID

from radnode.pipelines.results.identity import IMPLEMENTATION_CLASS_UID, MANUFACTURER, local_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.contract import Predecessor
    from radnode.pipelines.findings import Code
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.normalise import SourceHeader

# What a Request Attributes item says about the step that made the images; a request has no such attributes.
_STEP_ATTRIBUTES = ("ScheduledProcedureStepID", "ScheduledProcedureStepDescription",
                    "ScheduledProtocolCodeSequence")


def concept(code: Code) -> CodedConcept:
    """A code of the findings as a DICOM code item."""
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def pydicom_code(code: Code) -> PydicomCode:
    """A code of the findings as pydicom's and highdicom's own type, which they compare by value."""
    return PydicomCode(code.value, code.scheme, code.meaning)


def sop_common(
    provenance: Provenance, source: SourceHeader, *, kind: str, offset: int, series_uid: str, instance_uid: str
) -> dict[str, Any]:
    """Constructor arguments that all builders share.

    kind: the word in the Series Description. offset: added to the pipeline's series number, so that each form has
    its own series (viewers show one instance of a series of segmentations or reports).
    """
    manifest, order = provenance.manifest, provenance.order
    started = local_time(provenance, source.common)
    return {
        "series_instance_uid": series_uid,
        "sop_instance_uid": instance_uid,
        "series_number": manifest.series_number + offset,
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": "radnode",
        "software_versions": [order.node_version, f"{manifest.name} {manifest.version}"],
        # Software has no serial number; the attribute is required (PS3.3 C.7.5.2), the version is the truth.
        "device_serial_number": order.node_version,
        "content_qualification": order.content_qualification,
        "series_description": provenance.series_description(kind),
        "content_date": started.date(),
        "content_time": started.time(),
        "series_date": started.date(),
        "series_time": started.time(),
        "specific_character_set": "ISO_IR 192",
        "contributing_equipment": [_algorithm_equipment(provenance, source)],
    }


def finish(result: Dataset, provenance: Provenance, source: SourceHeader) -> None:
    """What the builders leave to the clock, to chance or out."""
    started = local_time(provenance, source.common)
    result.InstanceCreationDate = started.strftime("%Y%m%d")
    result.InstanceCreationTime = started.strftime("%H%M%S.%f")
    if "TimezoneOffsetFromUTC" in source.common:
        result.TimezoneOffsetFromUTC = source.common.TimezoneOffsetFromUTC
    for equipment in result.ContributingEquipmentSequence:
        # highdicom stamps its own item with the time of the call.
        if equipment.get("Manufacturer") == "Highdicom open-source contributors":
            equipment.ContributionDateTime = started.strftime("%Y%m%d%H%M%S.%f")
    if "EthnicGroup" in source.common:
        # Left out by highdicom, whose tables are of an edition that retired it; patients are compared by it.
        result.EthnicGroup = source.common.EthnicGroup
    result.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    result.file_meta.ImplementationVersionName = f"radnode {provenance.order.node_version}"[:16]


def requests(source: SourceHeader) -> list[Dataset]:
    """Referenced Request Sequence (0040,A370) from the images' Request Attributes Sequence (0040,0275)."""
    copied = []
    for attributes in source.common.get("RequestAttributesSequence", []):
        item = deepcopy(attributes)
        for keyword in _STEP_ATTRIBUTES:
            if keyword in item:
                delattr(item, keyword)
        item.StudyInstanceUID = source.common.StudyInstanceUID
        item.ReferencedStudySequence = []
        for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"):
            setattr(item, keyword, item.get(keyword) or (source.common.get(keyword) or ""))
        for keyword in ("PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"):
            setattr(item, keyword, item.get(keyword, ""))
        item.RequestedProcedureCodeSequence = item.get("RequestedProcedureCodeSequence", [])
        copied.append(item)
    return copied


def documents_named(documents: Sequence[Predecessor]) -> list[Dataset]:
    """Items of Predecessor Documents Sequence (0040,A360): study, series, instance (PS3.3 C.17.2.1)."""
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for each in documents:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = each.sop_class_uid, each.sop_instance_uid
        studies.setdefault(each.study_instance_uid, {}).setdefault(each.series_instance_uid, []).append(item)
    return [_study_item(study_uid, by_series) for study_uid, by_series in studies.items()]


def _study_item(study_uid: str, by_series: Mapping[str, Sequence[Dataset]]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = []
    for series_uid, instances in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID, series.ReferencedSOPSequence = series_uid, list(instances)
        study.ReferencedSeriesSequence.append(series)
    return study


def _algorithm_equipment(provenance: Provenance, source: SourceHeader) -> ContributingEquipment:
    manifest = provenance.manifest
    item = ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=manifest.name,
        software_versions=[manifest.version, f"sha256 {manifest.model_digest[:48]}"],
        contribution_datetime=local_time(provenance, source.common).replace(tzinfo=None),
        contribution_description=f"{manifest.title}; {len(provenance.order.instances)} instances, "
                                 f"input digest {provenance.order.input_digest}, "
                                 f"configuration {provenance.order.configuration_digest}",
    )
    # IHE RAD AIR 6.5.3.1: a Device UID for every algorithm, new for every retrained model.
    item.DeviceUID = provenance.device_uid
    return item
