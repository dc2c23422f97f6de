"""Tests that share something run in one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.scheduling import unit_of

TESTS = Path(__file__).resolve().parents[1]
MODULE = """
import os
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(4))
def test_it(number):
    with Path(__file__).with_suffix(".seen").open("a") as seen:
        seen.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


def test_all_tests_of_a_module_run_in_one_process_and_modules_in_several(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / f"test_{name}.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "support.scheduling", "-n", "2", "-c", os.devnull, tmp_path],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = [path.read_text().split() for path in tmp_path.glob("*.seen")]
    assert [len(each) for each in seen] == [4, 4, 4]
    assert [len(set(each)) for each in seen] == [1, 1, 1]
    assert len({worker for each in seen for worker in each}) == 2


def test_whole_nodes_run_one_after_the_other() -> None:
    units = {unit_of(f"tests/{path}::test_it[a/b]") for path in ("acceptance/test_pacs.py", "faults/test_attack.py")}
    assert units == {"the whole node"}
    assert unit_of("tests/integration/test_ray.py::test_it[x::y]") == "tests/integration/test_ray.py"
