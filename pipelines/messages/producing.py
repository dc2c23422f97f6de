"""From findings to message files that passed their gate. The objects beside them were written before."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from radnode.pipelines.contract import ProducedObject
from radnode.pipelines.forms import Wanted, send_order
from radnode.pipelines.messages import fhir, gate, oru
from radnode.pipelines.messages.statements import refusal_of, report_of
from radnode.pipelines.results.whole_files import write_whole
from radnode.pipelines.results.writing import Making

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.messages.statements import Report
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.normalise import SourceHeader
    from radnode.pipelines.results.writers import Written

RESULTS, REFUSALS = ("ORU", "FHIR"), ("ORU-NOT-PROCESSED", "FHIR-NOT-PROCESSED")
"""The forms of :data:`radnode.pipelines.forms.MESSAGES` for what was found, and for what was not processed."""


def results(
    findings: Findings, source: SourceHeader, provenance: Provenance, written: Sequence[Written]
) -> tuple[ProducedObject, ...]:
    """The messages that the order wants of findings. Raises GateRefused."""
    making = Making(source=source, provenance=provenance, wanted=Wanted(RESULTS[0]))
    return tuple(_produced(making, RESULTS, report_of(findings, provenance), written))


def refusals(
    making: Making, reason: str, written: Sequence[Written], *, failed: bool
) -> tuple[ProducedObject, ...]:
    """The messages that the order wants of a study that was not processed. Raises GateRefused."""
    return tuple(_produced(making, REFUSALS, refusal_of(making, reason, failed=failed), written))


def _produced(
    making: Making, names: Sequence[str], report: Report, written: Sequence[Written]
) -> Iterator[ProducedObject]:
    order = making.provenance.order
    for name in names:
        if name in order.forms:
            one = replace(making, wanted=Wanted(name))
            said = replace(report, sentences=(*report.sentences, *_replaces(one)))
            path = Path(order.output_folder) / f"{name}.message"
            write_whole(path, partial(_to, _written(one, said, written)))
            gate.check(path.read_bytes(), one, said, [str(each.dataset.SOPInstanceUID) for each in written])
            yield ProducedObject(
                name=name, form=name, order=send_order(name), path=str(path), sop_class_uid="",
                sop_instance_uid=one.uid("instance"), series_instance_uid="", transfer_syntax_uid="", references=(),
            )


def _replaces(making: Making) -> tuple[str, ...]:
    """Which message this one takes the place of, where images came later; a receiver knows it by that."""
    before = [each.sop_instance_uid for each in making.predecessors()]
    names = [oru.control_id(uid) if making.wanted.form.startswith("ORU") else f"urn:oid:{uid}" for uid in before]
    return tuple(f"Takes the place of {name}, which was made before more images came." for name in names)


def _to(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _written(making: Making, report: Report, written: Sequence[Written]) -> bytes:
    uid = making.uid("instance")
    named = [each.dataset for each in written]
    if making.wanted.form.startswith("ORU"):
        return oru.write(making, report, [str(each.SOPInstanceUID) for each in named], uid)
    objects = [(str(each.SOPClassUID), str(each.SOPInstanceUID), str(each.SeriesInstanceUID), str(each.Modality))
               for each in named]
    return fhir.write(making, report, objects, uid)
