"""Which writer makes which result form, and all the objects of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines import forms
from radnode.pipelines.results import (
    chest_cad,
    derived_images,
    key_objects,
    mammography_cad,
    measurement_report,
    not_processed,
    ohif_report,
    parametric_map,
    presentation_state,
    rtstruct,
    secondary_capture,
    segmentation,
)
from radnode.pipelines.results.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.normalise import SourceHeader



def _write_pdf(writing: Writing) -> Sequence[Dataset]:
    from radnode.pipelines.results import pdf_report

    return pdf_report.write(writing)


# Result form -> its writer. A writer answers with no object when these findings have nothing to show in its form.
WRITERS: dict[str, Callable[[Writing], Sequence[Dataset]]] = {
    "LABELMAP": segmentation.write_label_map,
    "SEG": segmentation.write_binary,
    "FRACTIONAL": segmentation.write_fractional,
    "PM": parametric_map.write,
    "RTSTRUCT": rtstruct.write,
    "SC": secondary_capture.write,
    "GSPS": presentation_state.write,
    "TID1500": measurement_report.write,
    "COMPREHENSIVE": measurement_report.write_comprehensive,
    "KEY-OBJECTS": key_objects.write,
    "PDF": _write_pdf,
    "IMAGES": derived_images.write,
    "NOT-PROCESSED": not_processed.write,
    "MAMMOGRAPHY-CAD": mammography_cad.write,
    "CHEST-CAD": chest_cad.write,
    "OHIF": ohif_report.write,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One result object before it is a file.

    wanted: which object of the job. number: which instance of it, from 1; most have one.
    """

    wanted: forms.Wanted
    number: int
    dataset: Dataset


def write(
    findings: Findings, source: SourceHeader, provenance: Provenance, names: Iterable[str]
) -> tuple[Written, ...]:
    """The named objects, in send order, with the segmentations that they go with.

    names: as :func:`radnode.pipelines.forms.plan` gives them. Raises ValueError for a form that nobody writes.
    """
    chosen = sorted({forms.Wanted.parse(name) for name in names}, key=lambda each: forms.send_order(each.name))
    written: dict[str, Sequence[Dataset]] = {}
    for wanted in chosen:
        beside = tuple(written.get(wanted.beside, ())) if wanted.beside else ()
        writing = Writing(findings=findings, source=source, provenance=provenance, wanted=wanted, beside=beside)
        written[wanted.name] = WRITERS[wanted.form](writing)
    return tuple(
        Written(wanted=wanted, number=number, dataset=dataset)
        for wanted in chosen
        for number, dataset in enumerate(written[wanted.name], 1)
    )
