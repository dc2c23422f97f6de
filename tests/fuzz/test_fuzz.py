"""A minute of each fuzzer; `make fuzz` runs for long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["headers", "routes", "intake", "dicomweb"])
def test_any_bytes_are_read_or_refused_with_a_declared_exception(target: str, tmp_path: Path) -> None:
    command = [sys.executable, RUN, "--target", target, "--seconds", "60", "--findings", tmp_path]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["executions"] > 100
