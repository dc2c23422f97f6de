"""The answer to a radiologist whose study was not analysed: a short text report that says so, and why.

Without it "no result" and "nothing found" look the same in a worklist. A Basic Text SR, because every workstation that
shows reports shows this one.

That a run broke and that a study was refused are different answers to a program as well: the analyses are summarised as
Failed or as Not Attempted (PS3.16 CID 6042).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage

from radnode.pipelines.findings import Code
from radnode.pipelines.results.identity import MANUFACTURER
from radnode.pipelines.results.marking import concept, requests
from radnode.pipelines.results.plain import base

if TYPE_CHECKING:
    from radnode.pipelines.results.writing import Making, Writing

TITLE = Code("NOT-PROCESSED", "99RADNODE", "Not processed by AI")
_LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
_ENGLISH = Code("en", "RFC5646", "English")
_OBSERVER_TYPE, _DEVICE = Code("121005", "DCM", "Observer Type"), Code("121007", "DCM", "Device")
_OBSERVER_UID = Code("121012", "DCM", "Device Observer UID")
_OBSERVER_NAME = Code("121013", "DCM", "Device Observer Name")
_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
NONE_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")
_ANALYSES = Code("111065", "DCM", "Summary of Analyses")
FAILED, NOT_ATTEMPTED = Code("111224", "DCM", "Failed"), Code("111225", "DCM", "Not Attempted")
_COMMENT = Code("121106", "DCM", "Comment")


def write(_writing: Writing) -> tuple[Dataset, ...]:
    """Nothing: where there are findings, the study was processed."""
    return ()


def sentences(making: Making, reason: str, *, failed: bool) -> tuple[str, ...]:
    """What the report says, in this order."""
    manifest, order = making.provenance.manifest, making.provenance.order
    what = "The analysis failed" if failed else "This study is outside what it reads"
    return (
        f"These images were NOT analysed by {manifest.title} ({manifest.name} {manifest.version}).",
        f"{what}: {reason}.",
        "That no finding is shown says nothing about the patient.",
        f"Made by radnode {order.node_version}. Qualification: {order.content_qualification}. "
        "Not verified by a person.",
        f"Input: {len(order.instances)} instances received. Input digest: {order.input_digest}. "
        f"Revision: {order.revision}.",
    )


def outcomes(*, failed: bool) -> dict[str, str]:
    """What the report says in codes: concept -> value."""
    return {_SUMMARY.value: NONE_SUCCEEDED.value, _ANALYSES.value: (FAILED if failed else NOT_ATTEMPTED).value}


def write_refusal(making: Making, reason: str, *, failed: bool) -> Dataset:
    """The report. reason: what the run ended with; failed: whether it broke, or refused the study."""
    result = base(making, BasicTextSRStorage, "SR")
    result.ContentDate, result.ContentTime = result.SeriesDate, result.SeriesTime
    result.ReferencedPerformedProcedureStepSequence = []
    result.PerformedProcedureCodeSequence = []
    if asked := requests(making.source):
        result.ReferencedRequestSequence = asked
    result.CompletionFlag, result.VerificationFlag, result.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    result.ValueType, result.ContinuityOfContent = "CONTAINER", "SEPARATE"
    result.ConceptNameCodeSequence = [concept(TITLE)]
    result.ContentSequence = [
        _item("HAS CONCEPT MOD", "CODE", _LANGUAGE, ConceptCodeSequence=[concept(_ENGLISH)]),
        _item("HAS OBS CONTEXT", "CODE", _OBSERVER_TYPE, ConceptCodeSequence=[concept(_DEVICE)]),
        _item("HAS OBS CONTEXT", "UIDREF", _OBSERVER_UID, UID=making.provenance.node_uid),
        _item("HAS OBS CONTEXT", "TEXT", _OBSERVER_NAME, TextValue=MANUFACTURER),
        _item("CONTAINS", "CODE", _SUMMARY, ConceptCodeSequence=[concept(NONE_SUCCEEDED)]),
        _item("CONTAINS", "CODE", _ANALYSES, ConceptCodeSequence=[concept(FAILED if failed else NOT_ATTEMPTED)]),
        *(_item("CONTAINS", "TEXT", _COMMENT, TextValue=each) for each in sentences(making, reason, failed=failed)),
    ]
    return result


def _item(relationship: str, value_type: str, name: Code, **value: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, value_type
    item.ConceptNameCodeSequence = [concept(name)]
    for keyword, content in value.items():
        setattr(item, keyword, content)
    return item
