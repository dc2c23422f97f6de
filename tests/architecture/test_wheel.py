"""The wheel is a whole node: everything that the folders hold, and it works without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.goal("supply")

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("node", "pipelines", "storage", "config")

# In a folder of its own: what an installed node reads that is no Python, and a database from nothing.
_WORKS = """
import sys
from pathlib import Path
import radnode
from radnode.config.loading import load
from radnode.node.cli import app
from radnode.pipelines import registry
from radnode.storage.database import Database

assert Path(radnode.__file__).is_relative_to(sys.argv[1]), radnode.__file__
database = Database(f"sqlite:///{Path.cwd() / 'node.db'}")
database.upgrade()
Path("radnode.yaml").write_text("node:\\n  data: data\\npeers: {}\\nroutes: []\\n")
app(["models", "add", "phantom_lungs", "--config", "radnode.yaml"], standalone_mode=False)
found = registry.installed(models=load(Path("radnode.yaml")).settings.model_store)
assert set(found.manifests) >= {"ct-lung", "phantom-lungs"}, found
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _built(tmp_path_factory.mktemp("wheel"))


def _built(folder: Path) -> Path:
    built = subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
                           cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_four_folders_and_nothing_else(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *FOLDERS],
                            cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0")
    wanted = {f"radnode/{name}" for name in listed if name and (REPOSITORY / name).exists()}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == wanted | {"radnode/__init__.py", "radnode/py.typed"}
    assert {"radnode/pipelines/examples/phantom_lungs/models/model.safetensors", "radnode/pipelines/models/labels.yaml",
            "radnode/storage/migrations/script.py.mako", "radnode/config/defaults/radnode.yaml",
            "radnode/pipelines/ct_lung/pipeline.yaml"} <= found


def test_two_builds_are_one_wheel(wheel: Path, tmp_path: Path) -> None:
    assert _built(tmp_path).read_bytes() == wheel.read_bytes()


def test_an_installed_wheel_works_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                    "--no-index", "--target", str(site), str(wheel)], check=True, timeout=120)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", _WORKS, str(site)], cwd=elsewhere, env=environment,
                          capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
