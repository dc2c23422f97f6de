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

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.source_matrix import SOURCES, names_of  # noqa: E402
from support.validators import Rejected, applicable  # noqa: E402

from radnode.pipelines.contract import PipelineError  # noqa: E402
from radnode.pipelines.results import WRITERS, write  # noqa: E402
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
(`test_presentation_state.py`), OHIF's importer (`test_ohif_importer.py`) and OHIF in a browser (`tests/browser/`),
storage in Orthanc (`tests/integration/test_result_forms.py`), all 48 turns of a patient (`test_flips.py`).
"""


def accepted_by(source: str, form: str, folder: Path) -> str:
    """The names of those who accepted the form over the source; who did not, with a cross."""
    sample = SOURCES[source]()
    names = names_of(form)
    order = replace(sample.provenance.order, forms=(names[-1],))
    provenance = replace(sample.provenance, order=order)
    try:
        written = write(sample.findings, sample.source, provenance, names)
    except PipelineError as error:
        return f"not written: {error}"
    files: dict[str, list[Path]] = {name: [] for name in names}
    for result in written:
        path = folder / f"{result.wanted.name}-{result.number}.dcm"
        result.dataset.save_as(path, enforce_file_format=True)
        files[result.wanted.name].append(path)
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
    target = parser.parse_args().out
    lines = [HEAD.format(date=datetime.now(UTC).date(), tools=tools())]
    forms = [form for form in WRITERS if form != "NOT-PROCESSED"]
    for source in SOURCES:
        lines += [f"## {source}\n", "| form | accepted by |", "| --- | --- |"]
        for form in forms:
            with tempfile.TemporaryDirectory() as folder:
                lines.append(f"| {form} | {accepted_by(source, form, Path(folder))} |")
        lines.append("")
    lines.append("`NOT-PROCESSED` has no findings: see `test_not_processed.py`.")
    lines.append(FOOT)
    target.write_text("\n".join(lines), encoding="utf-8")
    failed = [line for line in lines if "✗" in line or "not written" in line]
    print("\n".join(failed) or f"{target}: everybody accepts everything")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
