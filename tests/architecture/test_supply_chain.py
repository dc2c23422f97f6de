"""What radnode is made of is pinned by hash, what is tested is what is pinned, and nothing received becomes code."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.goal("supply")

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = REPOSITORY / "deploy" / "requirements.lock"
FOLDERS = ("node", "pipelines", "storage", "config")
PRODUCT = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]

_FORBIDDEN_MODULES = {"pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
_FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
# What must be said in a call that could otherwise read code.
_NEEDED = {"torch.load": ("weights_only", True), "read_array": ("allow_pickle", False)}


def _locked() -> dict[str, tuple[str, list[str]]]:
    """Name -> (requirement, hashes), of every line of the lock."""
    text = "\n".join(line for line in LOCK.read_text().splitlines() if not line.lstrip().startswith("#"))
    found = {}
    for entry in text.replace("\\\n", " ").splitlines():
        requirement = Requirement(entry.split(" --hash")[0].strip())
        found[canonicalize_name(requirement.name)] = (str(requirement.specifier), re.findall(r"sha256:\w{64}", entry))
    return found


def _pinned() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_locked_package_has_one_version_and_its_hashes() -> None:
    locked = _locked()
    assert len(locked) > 40
    for name, (specifier, hashes) in locked.items():
        assert specifier.startswith("=="), name
        assert hashes, name


def test_the_lock_holds_all_that_radnode_needs_in_the_tested_versions() -> None:
    locked, pinned = _locked(), _pinned()
    distribution = metadata.distribution("radnode")
    needed = [Requirement(each) for each in distribution.requires or ()]
    runtime = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": "postgresql"})]
    missing = {canonicalize_name(each.name) for each in runtime} - locked.keys()
    assert not missing, "run `make lock`"
    differing = {name for name in locked.keys() & pinned.keys() if locked[name][0] != f"=={pinned[name]}"}
    assert not differing, "run `make lock`"


def test_the_tests_run_with_the_pinned_versions() -> None:
    differing = {
        name: (version, installed)
        for name, version in _pinned().items()
        if (installed := _installed(name)) is not None and installed.split("+")[0] != version
    }
    assert not differing


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def test_the_bill_of_materials_lists_every_locked_package_with_its_hashes(tmp_path: Path) -> None:
    target = tmp_path / "radnode.cdx.json"
    done = subprocess.run(
        [Path(sys.executable).with_name("cyclonedx-py"), "requirements", LOCK, "--output-reproducible", "--of", "JSON",
         "--pyproject", REPOSITORY / "pyproject.toml", "--mc-type", "application", "-o", target],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == 0, done.stderr
    bill = json.loads(target.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "radnode"
    listed = {canonicalize_name(each["name"]): each for each in bill["components"]}
    assert listed.keys() == _locked().keys()
    assert all(each["externalReferences"][0]["hashes"] for each in listed.values())


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_nothing_that_is_read_can_become_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & _FORBIDDEN_MODULES, f"line {node.lineno}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            said = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
            assert called not in _FORBIDDEN_CALLS, f"line {node.lineno}"
            assert said.get("shell") is not True, f"line {node.lineno}"
            for name, (argument, value) in _NEEDED.items():
                if called.endswith(name):
                    assert said.get(argument) is value, f"line {node.lineno}: {name} without {argument}={value}"
