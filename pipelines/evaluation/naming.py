"""How a reference names its case, and which case that is. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines.evaluation.truth import Truth
from radnode.pipelines.findings import Findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.evaluation.cases import Case

Read = Callable[[Findings], Truth]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One file, or the rows of one about a case.

    source: its path below the folder. study, series: what a DICOM object names, the series it was drawn on, none if it
    names none. name: what any other names its case by. read: what it says, on the grid of the findings; raises
    ReferenceRefused.
    """

    source: str
    read: Read
    study: str = ""
    series: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A reference that was not used, and why."""

    source: str
    reason: str


def case_of(reference: Reference, cases: Sequence[Case]) -> Case | str:
    """The one case that a reference is about, or why there is none."""
    if reference.name:
        return _by_name(reference.name, cases)
    if reference.series:
        drawn_on = [case for case in cases if set(case.series_instance_uids) & set(reference.series)]
        if drawn_on:
            return _only(drawn_on)
        return "it was drawn on a series that is not among the images that the pipeline reads"
    of_study = [case for case in cases if case.study_instance_uid == reference.study]
    return _only(of_study) if of_study else "its study is not among the images that the pipeline reads"


def _by_name(name: str, cases: Sequence[Case]) -> Case | str:
    for matches in (
        [case for case in cases if name in case.series_instance_uids],
        [case for case in cases if name == case.study_instance_uid],
        [case for case in cases if name == case.accession_number],
        [case for case in cases if name == case.patient_id],
    ):
        if matches:
            return _only(matches)
    return ("its name is no Series or Study Instance UID, Accession Number or Patient ID of the images that the "
            "pipeline reads")


def _only(cases: Sequence[Case]) -> Case | str:
    if len(cases) == 1:
        return cases[0]
    return f"it may be about {len(cases)} cases; name the one by its Series Instance UID, or by its Study Instance UID"
