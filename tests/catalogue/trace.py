"""Writes docs/catalogue.md: each case, the tests that name it, and how they ended.

    python -m pytest -m catalogue --junit-xml=catalogue.xml
    python tests/catalogue/trace.py catalogue.xml

Several reports may be given; of a test that is in more than one, the later report counts. A test that is in none has
"no result". Ends with 1 when a case has neither a test nor a reason, or both, or when a test failed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from support import catalogue  # noqa: E402
from support.figures import write_down  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PAGE = TESTS.parent / "docs" / "catalogue.md"
HEAD = """# Bad and odd inputs, and what the node does with them

Made by `make catalogue` from [tests/catalogue/cases.yaml](../tests/catalogue/cases.yaml) and a run of the tests; not
edited by hand. A test names its cases in its own name (`test_D7_...`) or by the marker `catalogue`;
`pytest -k D7_` runs those of one case. A test that skipped needs a tool or images that the machine of the run lacked.
"""


class _Collector:
    """Test name without parameters -> ids, of everything that pytest finds."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            if ids := catalogue.cases_of(item):
                known = self.tests.setdefault(item.nodeid.partition("[")[0], [])
                known += [each for each in ids if each not in known]


def collected() -> dict[str, list[str]]:
    """Every test that names a case. Raises SystemExit when the tests cannot be collected."""
    collector = _Collector()
    if status := pytest.main(["--collect-only", "-qq", "--no-header", "--no-summary", str(TESTS)], plugins=[collector]):
        raise SystemExit(status)
    return collector.tests


def results(reports: Sequence[Path]) -> dict[str, str]:
    """Test name without parameters -> its worst outcome."""
    found: dict[str, str] = {}
    for report in reports:
        of_report: defaultdict[str, set[str]] = defaultdict(set)
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own file
            if (name := case.find("properties/property[@name='test']")) is not None:
                of_report[name.attrib["value"].partition("[")[0]].add(_outcome(case))
        for name, outcomes in of_report.items():
            found[name] = next(each for each in ("failed", "skipped", "passed") if each in outcomes)
    return found


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"


def page(tests: Mapping[str, Sequence[str]], outcomes: Mapping[str, str]) -> str:
    """The whole page."""
    known = catalogue.read()
    by_case: defaultdict[str, list[str]] = defaultdict(list)
    for name, ids in sorted(tests.items()):
        for each in ids:
            by_case[each].append(name)
    passed = sum(outcome == "passed" for name, outcome in outcomes.items() if name in tests)
    lines = [HEAD, f"{len(known.ids)} cases; {len(by_case)} have tests, {len(tests)} in number; {passed} of them "
             f"passed in the last run.\n"]  # fmt: skip
    for section, cases in known.sections.items():
        lines += [f"## {section}\n", "| id | case | tests | last result |", "|---|---|---|---|"]
        lines += [_row(each, text, by_case[each], outcomes, known.untested.get(each)) for each, text in cases.items()]
        lines.append("")
    return "\n".join(lines)


def _row(case: str, text: str, names: Sequence[str], outcomes: Mapping[str, str], why: str | None) -> str:
    if not names:
        return f"| {case} | {text} | none: {why or 'not written yet'} | |"
    shown = "<br>".join(f"`{name.removeprefix('tests/').replace('.py::', ' ')}`" for name in names)
    return f"| {case} | {text} | {shown} | {'<br>'.join(outcomes.get(name, 'no result') for name in names)} |"


def faults(tests: Mapping[str, Sequence[str]], outcomes: Mapping[str, str]) -> list[str]:
    """What makes the table dishonest or bad news."""
    known = catalogue.read()
    tested = {each for ids in tests.values() for each in ids}
    missing = [f"{each}: neither a test nor a reason" for each in sorted(known.ids - tested - known.untested.keys())]
    stale = [f"{each}: has a test, and a reason why not" for each in sorted(tested & known.untested.keys())]
    return [*missing, *stale, *(f"{name}: failed" for name in tests if outcomes.get(name) == "failed")]


def main() -> None:
    """Read, write, judge."""
    tests, outcomes = collected(), results([Path(each) for each in sys.argv[1:]])
    known = catalogue.read()
    write_down("catalogue", cases=len(known.ids), tested=len({each for ids in tests.values() for each in ids}),
               tests=len(tests), passed=sum(outcomes.get(name) == "passed" for name in tests))
    PAGE.write_text(page(tests, outcomes), encoding="utf-8")
    print(f"{PAGE.relative_to(TESTS.parent)}: {len(tests)} tests")
    if wrong := faults(tests, outcomes):
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
