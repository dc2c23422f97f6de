"""Every result form of a source in every character set is accepted, and names the patient as the source does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pydicom
import pytest
from support import charset_sources, validators
from support.charset_sources import TEXTS, Text
from support.source_matrix import SOURCES, names_of, write_files

from radnode.pipelines.forms import FORMS, Wanted
from radnode.pipelines.results import not_processed
from radnode.pipelines.results.gate import check, check_refusal
from radnode.pipelines.results.normalise import read_source
from radnode.pipelines.results.writing import Making

if TYPE_CHECKING:
    from pathlib import Path

    from support import result_samples as samples

# Bytes that are not what the header declares, and what they are read as.
MENDED = {
    "missing, Latin-1": Text("", "Müller".encode("latin-1"), "Müller"),
    "missing, UTF-8": Text("", "Müller".encode(), "Müller"),
    "unknown": Text("ISO_IR 999", "Müller".encode(), "Müller"),
    "GB18030 as an extension": Text("\\GB18030", "王^小东".encode("gb18030"), "王^小东"),
}
# The radiograph is one image; what only a volume or a mammogram shows is written over those.
ON = {"RTSTRUCT": "CT, upwards", "PM": "CT, upwards", "FRACTIONAL": "CT, upwards",
      "IMAGES": "CT, upwards", "MAMMOGRAPHY-CAD": "mammograms"}
REASON = "5 slices of one stack; at least 10 are needed"


def _in_characters(sample: samples.Sample, text: Text) -> samples.Sample:
    headers = tuple(charset_sources.header_in(text, header) for header in sample.headers)
    findings = sample.findings
    return replace(sample, headers=headers, source=read_source(headers, findings.volume, findings.projections))


def _written(sample: samples.Sample, form: str, folder: Path) -> list[Path]:
    """The files of the form, which the gate has let pass."""
    if form == "NOT-PROCESSED":
        path = folder / "NOT-PROCESSED.dcm"
        making = Making(source=read_source(sample.headers, None), provenance=sample.provenance, wanted=Wanted(form))
        not_processed.write_refusal(making, REASON, failed=False).save_as(path, enforce_file_format=True)
        check_refusal(path, making, REASON, failed=False)
        return [path]
    names = names_of(form)
    provenance = replace(sample.provenance, order=replace(sample.provenance.order, forms=names[-1:]))
    files = write_files(sample, form, provenance, folder)
    check(files, sample.findings, sample.source, provenance)
    return files[names[-1]]


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom and highdicom warn of what the sources declare
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("charset", [*TEXTS, *MENDED])
def test_a_form_of_a_source_in_a_character_set_is_accepted_and_names_the_patient(
    charset: str, form: str, tmp_path: Path,
) -> None:
    text = {**TEXTS, **MENDED}[charset]
    sample = _in_characters(SOURCES[ON.get(form, "chest radiograph")](), text)
    paths = _written(sample, form, tmp_path)
    assert paths
    for path in paths[:1]:
        for name, judge in validators.applicable(path, form).items():
            if name != "PixelMed":  # it judges the tree, not its texts, and takes seconds
                judge(path)
        assert str(pydicom.dcmread(path).PatientName) == text.meant
        assert f"[{text.meant}]" in validators.dcmtk_text(path, "0010,0010")
