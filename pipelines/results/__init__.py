"""Result writers: findings in, DICOM objects out, and the gate that each of them has to pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines.results import measurement_report, segmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.normalise import SourceHeader

    Write = Callable[[Findings, SourceHeader, Provenance, Mapping[str, Dataset]], Dataset | None]


def _segmentation(
    findings: Findings, source: SourceHeader, provenance: Provenance, written: Mapping[str, Dataset]
) -> Dataset | None:
    if findings.nothing_found:
        # A segmentation without a segment is not valid; the report says that nothing was found.
        return None
    return segmentation.write_segmentation(findings, source, provenance)


def _measurement_report(
    findings: Findings, source: SourceHeader, provenance: Provenance, written: Mapping[str, Dataset]
) -> Dataset:
    return measurement_report.write_measurement_report(
        findings, source, provenance, written.get(segmentation.FORM)
    )


# Result form -> its writer, in send order: what is referred to comes before what refers to it. A writer sees
# what was written before it, and answers None when these findings have nothing to show in its form.
WRITERS: dict[str, Write] = {
    segmentation.FORM: _segmentation,
    measurement_report.FORM: _measurement_report,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One result object before it is a file. order: its place among the results of the job."""

    form: str
    order: int
    dataset: Dataset


def write(
    findings: Findings, source: SourceHeader, provenance: Provenance, forms: tuple[str, ...]
) -> tuple[Written, ...]:
    """Every form asked for, in send order. Raises ValueError for a form that nobody writes."""
    unknown = set(forms) - set(WRITERS)
    if unknown:
        raise ValueError(f"no writer for {sorted(unknown)}; there are {list(WRITERS)}")
    written: dict[str, Dataset] = {}
    for form, writer in WRITERS.items():
        dataset = writer(findings, source, provenance, written) if form in forms else None
        if dataset is not None:
            written[form] = dataset
    places = {form: place for place, form in enumerate(WRITERS)}
    return tuple(
        Written(form=form, order=places[form], dataset=dataset) for form, dataset in written.items()
    )
