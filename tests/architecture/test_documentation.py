"""What is public is documented, and what is documented speaks of the product alone."""

from __future__ import annotations

import re
import runpy
import subprocess

import pytest
from support.sources import REPOSITORY, modules

# Joined here so that this file does not hold them itself.
FOREIGN_WORDS = {
    "a path of one machine": "|".join(("/" + r"work/\w", "/" + r"home/\w+/", "/" + r"root/\w")),
    "a package index": "|".join(("index" + "-url", "files.python" + "hosted", r"registry\.npm" + "js")),
    "a place where it was made": "|".join((r"\bC" + r"EO\b", "work" + "place", "shared/" + "reference")),
    "who typed it": "|".join(("Co-Authored" + "-By", "Generated" + " with", r"\bL" + r"LM\b")),
    "a debt without a date": "|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bX" + r"XX\b")),
}


def test_the_arithmetic_of_scale_is_what_the_simulated_day_comes_to() -> None:
    page = (REPOSITORY / "docs" / "scale.md").read_text(encoding="utf-8")
    made = runpy.run_path(str(REPOSITORY / "tests" / "bench" / "scale.py"))["written"](page)
    assert made == page, "python tests/bench/scale.py"


def test_every_public_name_has_a_docstring() -> None:
    assert [name for module in modules() for name in module.undocumented()] == []


@pytest.mark.parametrize("what", FOREIGN_WORDS)
def test_no_file_speaks_of_anything_but_the_product(what: str) -> None:
    pattern = re.compile(FOREIGN_WORDS[what])
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    found = []
    for name in filter(None, listed):
        path = REPOSITORY / name
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" in content[:8192] or ".min." in name:
            continue  # pictures, and vendored code
        for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
            if match := pattern.search(line):
                found.append(f"{name}:{number}: {match.group()}")
    assert found == []


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(REPOSITORY)}: {target}"
        for page in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("pipelines/**/*.md"))
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_page_of_reliability_has_all_26_goals() -> None:
    rows = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8").splitlines()
    assert {int(row.split("|")[1]) for row in rows if re.match(r"\| \d", row)} == set(range(1, 27))
