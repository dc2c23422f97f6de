"""Who may import whom: the contracts of pyproject.toml, kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_import_contracts_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_receiver_the_page_and_the_command_line_start_without_torch() -> None:
    program = "import sys, radnode.node.cli, radnode.node.service; sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr or "torch was imported: 2 to 4 s and 300 MB for every command"


def test_a_pipeline_author_needs_no_database_and_no_web_server() -> None:
    program = (
        "import sys, radnode.pipelines.contract, radnode.pipelines.runner\n"
        "sys.exit(', '.join(n for n in ('sqlalchemy', 'fastapi', 'apscheduler') if n in sys.modules) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"imported: {done.stderr}"
