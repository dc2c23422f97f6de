"""A minute of each fuzzer, two at a time; `make fuzz` runs for long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")


@pytest.mark.slow
@pytest.mark.parametrize("targets", [("headers", "intake"), ("routes", "dicomweb")], ids=" and ".join)
def test_any_bytes_are_read_or_refused_with_a_declared_exception(targets: tuple[str, ...], tmp_path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, RUN, "--target", target, "--seconds", "60", "--findings", tmp_path / target],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for target in targets
    ]  # fmt: skip

    said = [each.communicate() for each in running]

    assert [each.returncode for each in running] == [0] * len(targets), said
    for printed, _ in said:
        assert json.loads(printed)["executions"] > 100
