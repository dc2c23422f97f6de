"""docs/conformance.md, made anew: every result form over every kind of source, and who accepted it.

    make conformance
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.source_matrix import SOURCES, names_of, write_files  # noqa: E402
from support.validators import Rejected, applicable  # noqa: E402

from radnode.pipelines.contract import PipelineError  # noqa: E402
from radnode.pipelines.results import WRITERS  # noqa: E402
from radnode.pipelines.results.gate import check  # noqa: E402

HEAD = """# Conformance

Each result form over each kind of source: who read it without an objection, in the run of {date}. "gate" is radnode's
own, which compares the file with the findings; the others are independent: {tools}.
A dash: the findings over that source have nothing to show in that form. What each validator is allowed to say stands,
word for word and with its reason, in `tests/support/validators.py`.

Made by `make conformance`; do not edit.

"""

FOOT = """
More is proven elsewhere, each in the test named: voxels and places by dcmqi (`tests/conformance/test_results.py`,
`test_maps_and_key_objects.py`), contours by plastimatch (`test_rtstruct.py`), presentation states by dcmpschk
(`test_presentation_state.py`), all 48 turns of a patient (`test_flips.py`), a real oblique series
(`test_real_images.py`), thirteen character sets (`test_character_sets.py`).
"""

SERVICES = """## Services

| service (SOP class) | the node is | with which peers |
| --- | --- | --- |
| Verification | SCU, SCP | SCP for whoever is admitted; SCU in `radnode doctor` |
| Storage, all classes of PS3.6 and some retired | SCP | `sends: true` |
| Storage of result objects | SCU | `receives: true` |
| Study Root Query/Retrieve, FIND | SCU | `answers_find: true` |
| Storage Commitment Push Model | SCU | `receives: true` and `commitment: true`; reports on either association |
| Storage Commitment Push Model | SCP | `sends: true` and `commitment: true`; reports on an association of its own |

SCP/SCU role selection is answered for storage commitment with what was proposed, for other classes not at all.
"""

# Who shows or stores a form, and the tests that say so.
VIEWERS: dict[str, dict[str, str]] = {
    "Orthanc stores it, or what replaces it": {
        form: "test_result_forms_in_orthanc::test_a_form_" for form in WRITERS if form != "NOT-PROCESSED"
    },
    "OHIF's importer reads the same voxels or tools": {
        "SEG": "test_ohif_importer::test_each_segment_has_the_same_voxels_on_the_same_slices",
        "LABELMAP": "test_ohif_importer::test_each_segment_has_the_same_voxels_on_the_same_slices",
        "OHIF": "test_ohif_importer::test_each_mark_becomes_its_tool_at_its_place_with_its_number",
    },
    "OHIF in a browser shows it": {
        "SEG": "test_ohif::test_ohif_shows_the_segments_and_takes_over_the_marks",
        "OHIF": "test_ohif::test_ohif",
    },
    "plastimatch reads the same voxels": {"RTSTRUCT": "test_rtstruct::test_plastimatch_reads_back_the_voxels"},
}


def viewers(report: Path) -> list[str]:
    """The table of those who show and store, by a junit report of a run of the tests."""
    root = ElementTree.parse(report).getroot()  # noqa: S314 - a report of our own tests
    outcomes = {
        f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}": {child.tag for child in case}
        for case in root.iter("testcase")
    }
    lines = ["## Archive and viewers\n", f"| form | {' | '.join(VIEWERS)} |", f"| --- |{' --- |' * len(VIEWERS)}"]
    for form in WRITERS:
        cells = []
        for tests in VIEWERS.values():
            named = tests.get(form)
            found = [outcome for name, outcome in outcomes.items() if named and _is(name, named, form)]
            cells.append(_verdict(found))
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return [*lines, ""]


def _is(name: str, named: str, form: str) -> bool:
    """Whether a test is the one named; of a test that takes forms as parameters, the form's own."""
    whole = name.partition("[")[2].rstrip("]")
    about = {whole, *whole.split("-")} & {*WRITERS}
    return name.startswith(named) and (not about or form in about)


def _verdict(found: list[set[str]]) -> str:
    if not found:
        return "-"
    if any({"failure", "error"} & each for each in found):
        return "✗"
    return "not run" if any("skipped" in each for each in found) else "yes"


def accepted_by(source: str, form: str, folder: Path) -> str:
    """The names of those who accepted the form over the source; who did not, with a cross."""
    sample = SOURCES[source]()
    names = names_of(form)
    order = replace(sample.provenance.order, forms=(names[-1],))
    provenance = replace(sample.provenance, order=order)
    try:
        files = write_files(sample, form, provenance, folder)
    except PipelineError as error:
        return f"not written: {error}"
    if not files[names[-1]]:
        return "-"
    said = []
    try:
        check(files, sample.findings, sample.source, provenance)
        said.append("gate")
    except PipelineError as error:
        said.append(f"✗ gate ({error})")
    for name in applicable(files[names[-1]][0], form):
        try:
            for path in files[names[-1]][:2]:
                applicable(path, form)[name](path)
            said.append(name)
        except Rejected as error:
            said.append(f"✗ {name} ({str(error).splitlines()[-1][:80]})")
    return ", ".join(said)


def tools() -> str:
    """What was run, with versions."""
    dcmtk = subprocess.run(["/usr/bin/dsrdump", "--version"], capture_output=True, text=True, check=True)
    version = dcmtk.stdout.splitlines()[0].split()[2] if dcmtk.stdout else "unknown"
    return (
        f"dciodvfy (dicom3tools {importlib.metadata.version('dicom3tools')}), dsrdump (DCMTK {version}), "
        f"dcmpschk and a decoder of its own, dcmqi {importlib.metadata.version('dcmqi')}, PixelMed's validators"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "conformance.md")
    parser.add_argument("--junit", type=Path, help="a report of `pytest --junit-xml`, for archive and viewers")
    options = parser.parse_args()
    target = options.out
    lines = [HEAD.format(date=datetime.now(UTC).date(), tools=tools())]
    forms = [form for form in WRITERS if form != "NOT-PROCESSED"]
    for source in SOURCES:
        lines += [f"## {source}\n", "| form | accepted by |", "| --- | --- |"]
        for form in forms:
            with tempfile.TemporaryDirectory() as folder:
                lines.append(f"| {form} | {accepted_by(source, form, Path(folder))} |")
        lines.append("")
    lines.append("`NOT-PROCESSED` has no findings: see `test_not_processed.py`.")
    if options.junit:
        lines += ["", *viewers(options.junit)]
    lines += ["", SERVICES, FOOT]
    target.write_text("\n".join(lines), encoding="utf-8")
    failed = [line for line in lines if "✗" in line or "not written" in line]
    print("\n".join(failed) or f"{target}: everybody accepts everything")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
