"""Which known vulnerabilities the locked packages have, and whether somebody has decided about each.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/vulnerabilities.py

Asks OSV (https://osv.dev) by pip-audit about every package of deploy/requirements.lock. What is known there must stand
in deploy/vulnerabilities.yaml with a decision that has not run out. Writes vulnerabilities.json; ends with 1 where a
decision is missing or over, or stands there for nothing, and with 2 where nobody answers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from support.figures import write_down  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEPLOY = TESTS.parent / "deploy"
OSV = "https://api.osv.dev/v1/query"


@dataclass(frozen=True, slots=True)
class Known:
    """A vulnerability of a locked package, under all its names (GHSA, CVE, PYSEC)."""

    package: str
    version: str
    names: frozenset[str]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"; fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "; not fixed anywhere"
        return f"{self.package} {self.version}: {', '.join(sorted(self.names))}{fixed}"


def ask(lock: Path, service: str) -> tuple[int, list[Known]]:
    """How many packages were asked about, and what is known of them. Raises SystemExit where nobody answers."""
    asked = subprocess.run(
        [Path(sys.executable).with_name("pip-audit"), "--requirement", lock, "--require-hashes", "--disable-pip",
         "--vulnerability-service", "osv", "--osv-url", service, "--format", "json", "--aliases", "on",
         "--progress-spinner", "off"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except ValueError:
        print(f"{service} did not answer, so nothing is known:\n{asked.stderr[-2000:]}", file=sys.stderr)
        raise SystemExit(2) from None
    return len(packages), [
        Known(package=each["name"], version=each["version"], names=frozenset([one["id"], *one["aliases"]]),
              fixed_in=tuple(one["fix_versions"]))
        for each in packages for one in each["vulns"]
    ]


def complaints(known: Sequence[Known], decisions: Sequence[Mapping[str, Any]], today: date) -> list[str]:
    """What is to be done about the decisions, in a sentence each."""
    said = []
    for each in known:
        about = [one for one in decisions if one["id"] in each.names and one["package"] == each.package]
        if not about:
            said.append(f"{each}: no decision")
        elif all(one["until"] < today for one in about):
            said.append(f"{each}: the decision ran out on {about[0]['until']}; look at it again")
    for one in decisions:
        if not any(one["id"] in each.names and one["package"] == each.package for each in known):
            said.append(f"{one['package']}: {one['id']} is decided about, and the locked version does not have it; "
                        "remove it")
    return said


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", type=Path, default=DEPLOY / "requirements.lock")
    parser.add_argument("--decisions", type=Path, default=DEPLOY / "vulnerabilities.yaml")
    parser.add_argument("--service", default=OSV, help="another OSV service, such as a hospital's own copy")
    asked = parser.parse_args()
    decisions = yaml.safe_load(asked.decisions.read_text(encoding="utf-8"))["decisions"]
    packages, known = ask(asked.lock, asked.service)
    said = complaints(known, decisions, datetime.now(UTC).date())
    print(*said, f"{packages} packages, {len(known)} known vulnerabilities, {len(said)} to be dealt with", sep="\n")
    write_down("vulnerabilities", packages=packages, known=len(known), undecided=len(said))
    raise SystemExit(bool(said))


if __name__ == "__main__":
    main()
