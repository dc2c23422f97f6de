"""A minute of each fuzzer, all at once; `make fuzz` runs for long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")
TARGETS = ("headers", "routes", "intake", "dicomweb")


@pytest.mark.slow
def test_any_bytes_are_read_or_refused_with_a_declared_exception(tmp_path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, RUN, "--target", target, "--seconds", "60", "--findings", tmp_path / target],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for target in TARGETS
    ]  # fmt: skip

    said = [each.communicate() for each in running]

    assert [each.returncode for each in running] == [0] * len(TARGETS), said
    for printed, _ in said:
        assert json.loads(printed)["executions"] > 100
