"""What a writer gets: the findings, the source, who made them, and which object of the job is to be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from radnode.pipelines.forms import FORMS, Wanted
from radnode.pipelines.results.marking import documents_named, finish, sop_common

if TYPE_CHECKING:
    from pydicom import Dataset

    from radnode.pipelines.contract import Predecessor
    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.normalise import SourceHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """One object to make: whose it is, who makes it, and which object of the job it is."""

    source: SourceHeader
    provenance: Provenance
    wanted: Wanted

    def uid(self, part: str, number: int = 1) -> str:
        """The UID of a part ("series", "instance") of the `number`-th instance, the same in every retry."""
        return self.provenance.uid(self.wanted.name, part if number == 1 else f"{part} {number}")

    def common(self, number: int = 1) -> dict[str, Any]:
        """Constructor arguments that all of highdicom's builders share."""
        form = FORMS[self.wanted.form]
        return sop_common(
            self.provenance, self.source, kind=form.kind if number == 1 else f"{form.kind} {number}",
            offset=form.offset,
            series_uid=self.uid("series", number), instance_uid=self.uid("instance", number),
        )

    def finish(self, result: Dataset) -> None:
        """What the builders leave to the clock, to chance or out."""
        finish(result, self.provenance, self.source)
        if before := self.predecessors():
            result.PredecessorDocumentsSequence = documents_named(before)

    def predecessors(self) -> tuple[Predecessor, ...]:
        """What this object takes the place of."""
        return tuple(each for each in self.provenance.order.predecessors if each.name == self.wanted.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing(Making):
    """Findings to write, or to check.

    beside: the segmentation that goes to the same destinations, one instance for the volume or one for each
    projection; empty if there is none, and then nothing may be referred to but the images.
    """

    findings: Findings
    beside: tuple[Dataset, ...] = ()
