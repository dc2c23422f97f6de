"""Every result form over every kind of source passes the gate and every validator that knows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import validators
from support.source_matrix import SOURCES, names_of, write_files

from radnode.pipelines.results.gate import check
from radnode.pipelines.results.writers import WRITERS

if TYPE_CHECKING:
    from pathlib import Path

# What a kind of source has nothing to show in, and why.
NOTHING_TO_SHOW = {
    "NOT-PROCESSED": set(SOURCES),  # there are findings, so the study was processed
    "MAMMOGRAPHY-CAD": set(SOURCES) - {"mammograms", "mammograms, areas"},
    "CHEST-CAD": {"mammograms", "mammograms, areas", "tomosynthesis"},
    # No volume, hence no place in the patient.
    **{form: {"mammograms", "mammograms, areas", "chest radiograph"} for form in ("RTSTRUCT", "PM", "FRACTIONAL")},
    # Images are derived of slices of CT and MR.
    "IMAGES": {"mammograms", "mammograms, areas", "chest radiograph", "tomosynthesis"},
    # The sample has marks only.
    **{form: {"mammograms"} for form in ("SEG", "LABELMAP")},
    # OHIF exchanges the spacings of pixels that are not square, so nothing is marked on such images.
    "OHIF": set(SOURCES) - {"chest radiograph"},
}


@pytest.mark.goal("validators")
@pytest.mark.catalogue("R17")
@pytest.mark.peer
@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_form_over_a_source_is_accepted_by_all_who_know_it(source: str, form: str, tmp_path: Path) -> None:
    sample = SOURCES[source]()
    names = names_of(form)
    order = replace(sample.provenance.order, forms=names)
    provenance = replace(sample.provenance, order=order)
    files = write_files(sample, form, provenance, tmp_path)
    if "SEG" in files and not sample.findings.segments:
        provenance = replace(provenance, order=replace(order, forms=tuple(set(names) - {"SEG"})))
    check(files, sample.findings, sample.source, provenance)
    written = files[names[-1]]
    assert bool(written) == (source not in NOTHING_TO_SHOW.get(form, set()))
    for path in written[:3]:
        for name, judge in validators.applicable(path, form).items():
            if name != "PixelMed":  # seven seconds a report; `make conformance` asks it about every one
                judge(path)
