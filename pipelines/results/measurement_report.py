"""Findings and remarks as DICOM structured reports (TID 1500, Comprehensive 3D SR or Comprehensive SR).

Written for every run that ended with an answer, also when nothing was found: a study without a report was not
processed.

Groups that refer to a segmentation stand in a report of their own, and so do groups about whole images: viewers that
hydrate one kind choke on the other, and a validator takes the conditions of one template for those of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom import sr

from radnode.pipelines.results import report_groups
from radnode.pipelines.results.report_document import report

if TYPE_CHECKING:
    from pydicom import Dataset

    from radnode.pipelines.results.writing import Writing


def write(writing: Writing) -> tuple[Dataset, ...]:
    """As Comprehensive 3D SR, which IHE RAD AIR names."""
    return _write(writing, sr.Comprehensive3DSR)


def write_comprehensive(writing: Writing) -> tuple[Dataset, ...]:
    """The same content as Comprehensive SR, for workstations that take no other."""
    return _write(writing, sr.ComprehensiveSR)


def _write(writing: Writing, kind: type[sr.Comprehensive3DSR | sr.ComprehensiveSR]) -> tuple[Dataset, ...]:
    volumetric = list(report_groups.volumetric(writing))
    others = [*report_groups.planar(writing), *report_groups.about_the_study(writing)]
    images = list(report_groups.about_images(writing))
    parts = [volumetric, others, images] if writing.beside else [[*volumetric, *others], images]
    contents = [groups for groups in parts if groups] or [[]]
    slices = writing.source.slices
    # First, middle and last image: 300 entries would cost a megabyte and say nothing more.
    library = [slices[index] for index in sorted({0, (len(slices) - 1) // 2, len(slices) - 1})]
    evidence = [*slices, *writing.beside]
    return tuple(
        report(writing, kind, library, groups, evidence, number) for number, groups in enumerate(contents, 1)
    )
