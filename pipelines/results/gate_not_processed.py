"""What the gate demands of a report that says a study was not processed: that it says so, plainly, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import BasicTextSRStorage

from radnode.pipelines.results.not_processed import TITLE, outcomes, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom import Dataset

    from radnode.pipelines.results.writing import Making, Writing

Fault = tuple[str, str]


def faults(results: Sequence[Dataset], _writing: Writing) -> Iterator[Fault]:
    """A study with findings was processed."""
    if results:
        yield "outcome", "the study was processed, and a report says that it was not"


def faults_of_refusal(result: Dataset, making: Making, reason: str, *, failed: bool) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    if result.SOPClassUID != BasicTextSRStorage or result.VerificationFlag != "UNVERIFIED":
        yield "verification", "not an unverified Basic Text SR"
    if result.ConceptNameCodeSequence[0].CodeValue != TITLE.value:
        yield "outcome", "its title does not say that the study was not processed"
    said = [(str(item.ConceptNameCodeSequence[0].CodeValue), str(item.ConceptCodeSequence[0].CodeValue))
            for item in result.ContentSequence if item.RelationshipType == "CONTAINS" and item.ValueType == "CODE"]
    if said != list(outcomes(failed=failed).items()):
        yield "outcome", f"it says {said}, not that no algorithm succeeded and how that came"
    texts = [str(item.TextValue) for item in result.ContentSequence
             if item.RelationshipType == "CONTAINS" and item.ValueType == "TEXT"]
    if texts != list(sentences(making, reason, failed=failed)):
        yield "remarks", "its sentences are not those a reader must see"
