"""What a work item says: read from the DICOM JSON model (PS3.18 Annex F), checked, and written back. Pure.

The attributes are those of PS3.4 Table CC.2.5-3.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from radnode.node.dicomweb import json_model
from radnode.node.dicomweb.json_model import NoModel
from radnode.node.intake.header_walk import is_uid
from radnode.node.intake.negotiation import UPS_PUSH
from radnode.node.workitems.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from radnode.storage.workitems import JobOutcome

NODE_CODE = "99RADNODE"
_DISCONTINUED = ("110513", "DCM", "Discontinued for unspecified reason")
_EQUIPMENT_FAILURE = ("110501", "DCM", "Equipment failure")
_JOBS = uuid.UUID("6c0a8a4e-54b7-4dd7-9d0c-3f4a35d40d4e")

Reference = tuple[str, frozenset[str]]
"""A series of the input, and its instances; none: all of it."""


class Unclear(Exception):
    """What is wrong with the attributes, where, and what would be right. Never a value of a patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an item asks for. series: of the input; none: the whole study. patient_id: empty where it says none."""

    code: str
    study_instance_uid: str
    series: tuple[Reference, ...]
    patient_id: str = ""


def parse(content: bytes) -> Dataset:
    """One data set. Raises :class:`Unclear`."""
    try:
        document = json.loads(content)
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        return json_model.dataset(document)
    except NoModel as error:
        raise Unclear(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise Unclear("the body is no JSON") from error


def stored(content: dict[str, Any]) -> Dataset:
    """What was kept of an item."""
    return json_model.dataset(content)


def to_keep(dataset: Dataset) -> dict[str, Any]:
    """In JSON, without the Transaction UID: it is a secret of who has the item in hands (PS3.4 CC.2.1.1)."""
    kept = Dataset()
    kept.update({tag: element for tag, element in dataset.items() if element.tag != 0x00081195})
    return dict(kept.to_json_dict())


def check_new(dataset: Dataset, now: datetime) -> Dataset:
    """A created item with what the node adds to it. Raises :class:`Unclear`."""
    if dataset.get("ProcedureStepState", State.SCHEDULED) != State.SCHEDULED:
        raise Unclear("Procedure Step State (0074,1000) of a new work item is SCHEDULED")
    if dataset.get("TransactionUID"):
        raise Unclear("Transaction UID (0008,1195) of a new work item is empty")
    for keyword, allowed in (("ScheduledProcedureStepPriority", ("HIGH", "MEDIUM", "LOW")),
                             ("InputReadinessState", ("INCOMPLETE", "UNAVAILABLE", "READY"))):
        if dataset.get(keyword) not in allowed:
            raise Unclear(f"{keyword} is one of {', '.join(allowed)}")
    if not dataset.get("ProcedureStepLabel"):
        raise Unclear("ProcedureStepLabel is missing")
    dataset.SOPClassUID = UPS_PUSH
    dataset.ProcedureStepState = State.SCHEDULED
    dataset.ScheduledProcedureStepModificationDateTime = time(now)
    if not dataset.get("WorklistLabel"):
        dataset.WorklistLabel = "radnode"
    if not dataset.get("ScheduledProcedureStepStartDateTime"):
        dataset.ScheduledProcedureStepStartDateTime = time(now)
    return dataset


def order(dataset: Dataset) -> Order:
    """What it asks for: one code, and input of one study. Raises :class:`Unclear`."""
    asked = dataset.get("ScheduledWorkitemCodeSequence") or []
    if len(asked) != 1:
        raise Unclear("ScheduledWorkitemCodeSequence has one item, which says what is to be done")
    code = f"{asked[0].get('CodeValue', '')}^{asked[0].get('CodingSchemeDesignator', '')}"
    inputs = dataset.get("InputInformationSequence") or []
    studies = {str(item.get("StudyInstanceUID", "")) for item in inputs}
    if len(studies) != 1:
        raise Unclear("InputInformationSequence names the images of one study")
    series: dict[str, set[str]] = {}
    for item in inputs:
        uid = str(item.get("SeriesInstanceUID", ""))
        instances = {str(each.get("ReferencedSOPInstanceUID", "")) for each in item.get("ReferencedSOPSequence") or []}
        if not uid and instances:
            raise Unclear("InputInformationSequence names instances without their series")
        if uid:
            series.setdefault(uid, set()).update(instances)
    uids = [*studies, *series, *(each for some in series.values() for each in some)]
    if not all(is_uid(uid.encode("ascii", "replace")) for uid in uids):
        raise Unclear("InputInformationSequence holds something that is no UID")
    return Order(code=code, study_instance_uid=studies.pop(),
                 series=tuple((uid, frozenset(some)) for uid, some in sorted(series.items())),
                 patient_id=str(dataset.get("PatientID") or "").strip())


def tags(keywords: Sequence[str]) -> set[str]:
    """As the DICOM JSON model names them."""
    return {f"{tag_for_keyword(keyword):08X}" for keyword in keywords}


def has_final_attributes(dataset: Dataset, wanted: State) -> bool:
    """Whether it has what Table CC.2.5-3 wants in the final state (type 1 there)."""
    performed = dataset.get("UnifiedProcedureStepPerformedProcedureSequence") or []
    progress = dataset.get("ProcedureStepProgressInformationSequence") or []
    if wanted is State.CANCELED:
        return bool(progress and progress[0].get("ProcedureStepCancellationDateTime"))
    keywords = ("PerformedStationNameCodeSequence", "PerformedProcedureStepStartDateTime",
                "PerformedWorkitemCodeSequence", "PerformedProcedureStepEndDateTime")
    return len(performed) == 1 and all(performed[0].get(keyword) for keyword in keywords)


def with_progress(dataset: Dataset, text: str, percent: int | None = None) -> Dataset:
    """With how far it is."""
    step = _progress(dataset)
    step.ProcedureStepProgressDescription = text[:64]
    if percent is not None:
        step.ProcedureStepProgress = percent
    return dataset


def begun(dataset: Dataset, own_ae_title: str, at: datetime) -> Dataset:
    """This node has it in hands."""
    performed = Dataset()
    performed.PerformedStationNameCodeSequence = [_code(own_ae_title[:16], NODE_CODE, own_ae_title)]
    performed.PerformedProcedureStepStartDateTime = time(at)
    performed.PerformedWorkitemCodeSequence = dataset.get("ScheduledWorkitemCodeSequence") or []
    performed.OutputInformationSequence = []
    dataset.UnifiedProcedureStepPerformedProcedureSequence = [performed]
    return with_progress(dataset, "claimed", 0)


def completed(dataset: Dataset, jobs: Sequence[JobOutcome], retrieve_from: str, at: datetime) -> Dataset:
    """With its output: the result objects, and the AE that has them."""
    performed = dataset.UnifiedProcedureStepPerformedProcedureSequence[0]
    performed.PerformedProcedureStepEndDateTime = time(at)
    performed.OutputInformationSequence = _output(jobs, retrieve_from)
    dataset.ProcedureStepState = State.COMPLETED
    return with_progress(dataset, "completed", 100)


def canceled(dataset: Dataset, reason: str, at: datetime, *, by_request: bool = False) -> Dataset:
    """With why: an order that is not performed, or not to its end."""
    step = _progress(dataset)
    step.ProcedureStepCancellationDateTime = time(at)
    step.ReasonForCancellation = reason[:1024]
    reason_code = _DISCONTINUED if by_request else _EQUIPMENT_FAILURE
    step.ProcedureStepDiscontinuationReasonCodeSequence = [_code(*reason_code)]
    for performed in dataset.get("UnifiedProcedureStepPerformedProcedureSequence") or []:
        performed.PerformedProcedureStepEndDateTime = time(at)
    dataset.ProcedureStepState = State.CANCELED
    return dataset


def uid_of_job(key: str) -> str:
    """The UID under which a job of this node is shown as a work item."""
    return f"2.25.{uuid.uuid5(_JOBS, key).int}"


def of_job(job: JobOutcome, own_ae_title: str, state: State, retrieve_from: str) -> Dataset:
    """A job as a work item, to be looked at."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = UPS_PUSH, uid_of_job(job.key)
    dataset.ProcedureStepLabel, dataset.WorklistLabel = job.pipeline[:64], "radnode jobs"
    dataset.ScheduledProcedureStepPriority = "MEDIUM"
    dataset.InputReadinessState = "READY"
    dataset.ScheduledProcedureStepStartDateTime = time(job.created_at)
    dataset.ScheduledWorkitemCodeSequence = [_code(job.pipeline[:16], NODE_CODE, job.pipeline)]
    taken = Dataset()
    taken.TypeOfInstances, taken.StudyInstanceUID = "DICOM", job.study_instance_uid
    dataset.InputInformationSequence = [taken]
    dataset.ProcedureStepState = state
    if state is not State.SCHEDULED:
        begun(dataset, own_ae_title, job.started_at or job.created_at)
    if state is State.COMPLETED:
        completed(dataset, [job], retrieve_from, job.ended_at or job.created_at)
    elif state is State.CANCELED:
        canceled(dataset, job.reason or job.state, job.ended_at or job.created_at)
    return dataset


def time(at: datetime) -> str:
    """DT with its offset (PS3.5 6.2)."""
    return f"{at:%Y%m%d%H%M%S}+0000"


def _output(jobs: Sequence[JobOutcome], retrieve_from: str) -> list[Dataset]:
    items: dict[tuple[str, str], Dataset] = {}
    for job in jobs:
        for series, sop_class_uid, sop_instance_uid in job.objects:
            item = items.setdefault((job.study_instance_uid, series), Dataset())
            item.TypeOfInstances = "DICOM"
            item.StudyInstanceUID, item.SeriesInstanceUID = job.study_instance_uid, series
            if retrieve_from and "DICOMRetrievalSequence" not in item:
                place = Dataset()
                place.RetrieveAETitle = retrieve_from
                item.DICOMRetrievalSequence = [place]
            reference = Dataset()
            reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
            item.ReferencedSOPSequence = [*(item.get("ReferencedSOPSequence") or []), reference]
    return list(items.values())


def _progress(dataset: Dataset) -> Dataset:
    if not dataset.get("ProcedureStepProgressInformationSequence"):
        dataset.ProcedureStepProgressInformationSequence = [Dataset()]
    step: Dataset = dataset.ProcedureStepProgressInformationSequence[0]
    return step


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning[:64]
    return item
