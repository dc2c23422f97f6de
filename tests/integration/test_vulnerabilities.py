"""A known vulnerability of a locked package is dealt with or stops the release; a stand-in answers in place of OSV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).resolve().parents[1] / "bench" / "vulnerabilities.py"
TODAY = datetime.now(UTC).date()
KNOWN = {"vulns": [{
    "schema_version": "1.6.0", "id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2026-12345"], "summary": "unsafe",
    "affected": [{"package": {"name": "pynetdicom", "ecosystem": "PyPI"}, "ranges": [
        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}]}],
}]}
A_DECISION = {"id": "CVE-2026-12345", "package": "pynetdicom", "decision": "not reached", "until": TODAY}


class Osv(BaseHTTPRequestHandler):
    """Knows one vulnerability."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = json.dumps(KNOWN if asked["package"]["name"] == "pynetdicom" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(folder: Path, service: str, *decisions: dict[str, Any]) -> tuple[int, list[str]]:
    path = folder / "decisions.yaml"
    path.write_text(yaml.safe_dump({"decisions": list(decisions)}))
    elsewhere = {**os.environ, "RADNODE_TEST_RESULTS": str(folder)}  # what a stand-in says is no figure
    done = subprocess.run([sys.executable, SCRIPT, "--service", service, "--decisions", path], text=True,
                          capture_output=True, check=False, env=elsewhere)
    return done.returncode, (done.stdout or done.stderr).splitlines()


def test_what_is_known_of_a_locked_package_needs_a_decision_that_holds(tmp_path: Path, osv: str) -> None:
    status, said = audit(tmp_path, osv)
    assert status == 1
    assert said[0].startswith("pynetdicom ")
    assert said[0].endswith(": CVE-2026-12345, GHSA-aaaa-bbbb-cccc; fixed in 99.1: no decision")

    status, said = audit(tmp_path, osv, A_DECISION)
    assert (status, len(said)) == (0, 1)
    assert said[0].endswith("1 known vulnerabilities, 0 to be dealt with")

    status, said = audit(tmp_path, osv, A_DECISION | {"until": TODAY - timedelta(days=1)})
    assert status == 1
    assert "ran out on" in said[0]


def test_a_decision_about_nothing_is_to_be_removed(tmp_path: Path, osv: str) -> None:
    status, said = audit(tmp_path, osv, A_DECISION, A_DECISION | {"id": "CVE-2026-0"})
    assert status == 1
    assert said[0] == "pynetdicom: CVE-2026-0 is decided about, and the locked version does not have it; remove it"


def test_where_nobody_answers_nothing_is_said_to_be_well(tmp_path: Path) -> None:
    status, said = audit(tmp_path, "http://127.0.0.1:9/v1/query")
    assert status == 2
    assert said[0].endswith("did not answer, so nothing is known:")
