"""Who may import whom: the contracts of pyproject.toml, kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_import_contracts_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


MODELS = ("torch", "torchvision", "monai", "ignite", "onnxruntime", "nnunetv2", "ray")
IMAGES = ("highdicom", "scipy", "SimpleITK", "skimage", "nibabel", "sklearn", "pandas", "matplotlib",
          "contourpy")
PAGES = ("fpdf", "fontTools", "pypdf")


def _loaded(program: str, unwanted: Sequence[str]) -> list[str]:
    """Which of these packages a program has in memory at its end."""
    told = f"import json, sys\n{program}\nprint(json.dumps(sorted(set({unwanted!r}) & sys.modules.keys())))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_the_process_that_receives_loads_nothing_that_reads_pixels_or_writes_results() -> None:
    unwanted = (*MODELS, *IMAGES, *PAGES)
    assert _loaded("import radnode.node.cli, radnode.node.service", unwanted) == []


def test_a_node_on_an_up_to_date_database_starts_stores_and_stops_without_alembic_and_without_them(
    tmp_path: Path
) -> None:
    (tmp_path / "radnode.yaml").write_text(
        f"node: {{data: {tmp_path}, host: 127.0.0.1, dicom_port: 0, http_port: 0, disk_reserve: 1 MB}}\n"
    )
    program = (
        "from pathlib import Path\n"
        "from radnode.config.loading import load\n"
        "from radnode.node.service import Node\n"
        f"node = Node(load(Path({str(tmp_path / 'radnode.yaml')!r})))\n"
        "node.start()\n"
        "node.stop()"
    )
    assert _loaded(program, ("alembic",)) == ["alembic"], "the first start makes the tables"
    assert _loaded(program, ("alembic", *MODELS, *IMAGES, *PAGES)) == []


@pytest.mark.parametrize("command", ["--help", "study --help", "ledger", "jobs", "check {config}"])
def test_a_command_that_asks_loads_neither_the_web_server_nor_what_makes_results(
    tmp_path: Path, command: str
) -> None:
    config = tmp_path / "radnode.yaml"
    config.write_text(f"node: {{data: {tmp_path}}}\n")
    database = Database(f"sqlite:///{tmp_path}/radnode.db")
    database.upgrade()
    database.close()
    arguments = command.format(config=config).split()
    if len(arguments) == 1 and not command.startswith("--"):
        arguments += ["--config", str(config)]
    program = (
        "from radnode.node.cli import app\n"
        "try:\n"
        f"    app({arguments!r})\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code"
    )
    unwanted = ("fastapi", "uvicorn", "alembic", *MODELS, *IMAGES, *PAGES)
    assert _loaded(program, unwanted) == []
    if command.endswith("--help"):
        assert _loaded(program, ("numpy", "pydicom", "pynetdicom", "sqlalchemy")) == []


def test_a_worker_loads_models_and_what_makes_pages_when_a_job_needs_them() -> None:
    assert _loaded("import radnode.pipelines.runner", (*MODELS, *PAGES)) == []


def test_a_pipeline_author_needs_no_database_and_no_web_server() -> None:
    program = (
        "import sys, radnode.pipelines.contract, radnode.pipelines.runner\n"
        "sys.exit(', '.join(n for n in ('sqlalchemy', 'fastapi', 'apscheduler') if n in sys.modules) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"imported: {done.stderr}"
