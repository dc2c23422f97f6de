from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from support import bundles
from typer.testing import CliRunner

from radnode.node.cli import app
from radnode.pipelines import registry
from radnode.pipelines.contract import RunFailed
from radnode.pipelines.models import description, licences, store
from radnode.pipelines.models.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundles.write_bundle(tmp_path / "spleen_ct_v0.1.0")


def zipped(folder: Path, target: Path, extra: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder.parent))
        if extra:
            archive.writestr(extra, "x")
    return target


def test_an_added_bundle_is_a_pipeline_with_what_it_says_of_itself(models: Path, bundle: Path) -> None:
    store.add(models, bundle, name="spleen-ct")
    manifest = registry.installed((), models=models).manifests["spleen-ct"]
    assert (manifest.title, manifest.version, manifest.modality) == ("Threshold", "0.1.0", "CT")
    assert (manifest.licence, manifest.intended_use) == ("Apache License 2.0", "Tests alone.")
    assert manifest.model_digest == store.digest(bundle)


def test_a_zip_file_and_its_folder_are_one_model(models: Path, bundle: Path, tmp_path: Path) -> None:
    pin = store.add(models, zipped(bundle, tmp_path / "spleen.zip"), name="spleen-ct")
    assert pin.sha256 == store.digest(bundle)


def test_a_folder_that_was_only_put_there_is_named_and_not_used(models: Path) -> None:
    bundles.write_bundle(models / "dropped")
    found = registry.installed((), models=models)
    assert not found.manifests
    assert "radnode models add" in found.refused["dropped"]
    store.add(models, models / "dropped", name="dropped")
    assert "dropped" in registry.installed((), models=models).manifests


def test_a_file_that_changed_after_the_model_was_added_stops_it(models: Path, bundle: Path) -> None:
    store.add(models, bundle, name="spleen-ct")
    (models / "spleen-ct" / "scripts" / "net.py").write_text("raise SystemExit")
    with pytest.raises(RunFailed, match="not those that were added"):
        registry.load(registry.installed((), models=models), "spleen-ct")


def test_a_removed_model_is_gone_and_may_come_back(models: Path, bundle: Path) -> None:
    first = store.add(models, bundle, name="spleen-ct")
    store.remove(models, "spleen-ct")
    assert not store.pins(models)
    assert not (models / "spleen-ct").exists()
    assert store.add(models, bundle, name="spleen-ct") == first


def test_each_model_has_series_numbers_of_its_own(models: Path, bundle: Path) -> None:
    numbers = [store.add(models, bundle, name=name).series_number for name in ("one", "two", "three")]
    assert len({number // store.SERIES_NUMBERS_EACH for number in numbers}) == 3


@pytest.mark.parametrize("name", ["", "../x", "Spleen", "a b", "-a", "x" * 3 + "/"])
def test_a_name_that_could_be_a_path_is_refused(models: Path, bundle: Path, name: str) -> None:
    with pytest.raises(StoreError, match="no name for a model"):
        store.add(models, bundle, name=name)


def test_another_digest_than_the_published_one_is_refused_and_nothing_is_kept(models: Path, bundle: Path) -> None:
    with pytest.raises(StoreError, match="has the digest"):
        store.add(models, bundle, name="spleen-ct", sha256="0" * 64)
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("extra", ["../outside.txt", "/etc/outside.txt", "spleen/../../outside.txt"])
def test_a_zip_file_that_reaches_outside_is_refused(models: Path, bundle: Path, tmp_path: Path, extra: str) -> None:
    with pytest.raises(StoreError, match="outside"):
        store.add(models, zipped(bundle, tmp_path / "evil.zip", extra), name="spleen-ct")
    assert not list(tmp_path.rglob("outside.txt"))


def test_a_link_out_of_the_folder_is_refused(models: Path, bundle: Path) -> None:
    (bundle / "models" / "passwords").symlink_to("/etc/passwd")
    store_error = pytest.raises(StoreError, match="link")
    with store_error:
        store.digest(bundle)


def test_a_folder_that_is_no_bundle_is_refused_by_name(models: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    store.add(models, tmp_path / "holiday", name="holiday")
    assert "MONAI bundle" in registry.installed((), models=models).refused["holiday"]


def test_a_model_may_not_take_the_name_of_an_installed_pipeline(models: Path, bundle: Path) -> None:
    store.add(models, bundle, name="ct-lung")
    found = registry.installed(models=models)
    assert "under another one" in found.refused["ct-lung"]
    assert found.manifests["ct-lung"].title == "Lung volume and density"


def _no_metadata(source: Path) -> Path:
    (source / "configs" / "metadata.json").unlink()
    return source


def _damaged_zip(source: Path) -> Path:
    path = zipped(source, source.parent / "spleen.zip")
    content = bytearray(path.read_bytes())
    content[60:80] = b"\0" * 20
    path.write_bytes(content)
    return path


def _a_text(source: Path) -> Path:
    path = source.parent / "spleen.txt"
    path.write_text("no model")
    return path


def _dangling_link(source: Path) -> Path:
    (source / "models" / "more.pt").symlink_to(source / "nowhere.pt")
    return source


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(_no_metadata, "is this the folder of a MONAI bundle"), (_damaged_zip, "get it anew"),
     (_a_text, "neither a folder nor a zip file"), (_dangling_link, "more.pt")],
)
def test_what_cannot_be_used_is_refused_in_a_sentence_and_nothing_is_kept(
    models: Path, bundle: Path, spoil: Callable[[Path], Path], says: str
) -> None:
    with pytest.raises(StoreError, match=says):
        store.add(models, spoil(bundle), name="spleen-ct", examine=description.metadata)
    assert list(models.iterdir()) == []


def test_a_zip_file_of_a_folder_in_a_folder_is_the_model_inside(models: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    bundle.rename(tmp_path / "outer" / "inner" / "spleen")
    path = zipped(tmp_path / "outer", tmp_path / "spleen.zip")
    store.add(models, path, name="spleen-ct", examine=description.metadata)
    assert "spleen-ct" in registry.installed((), models=models).manifests


@pytest.mark.parametrize(("number", "says"), [(errno.ENOSPC, "make room"), (errno.EACCES, "the node's user")])
def test_a_full_or_closed_disk_is_said_with_its_cure(
    models: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def copytree(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(models))

    monkeypatch.setattr(store.shutil, "copytree", copytree)
    with pytest.raises(StoreError, match=says):
        store.add(models, bundle, name="spleen-ct")
    assert not store.pins(models)


def test_pins_that_lead_outside_the_store_are_refused(models: Path) -> None:
    models.mkdir()
    entry = {"name": "evil", "folder": "..", "sha256": "0" * 64, "series_number": 1}
    (models / store.PINS).write_text(json.dumps([entry]))
    with pytest.raises(StoreError, match="no folder inside"):
        store.pins(models)


def test_two_commands_at_once_do_not_change_the_store_together(models: Path, bundle: Path, tmp_path: Path) -> None:
    other = bundles.write_bundle(tmp_path / "other")
    refused: list[str] = []

    def meanwhile(_: Path) -> None:
        for change in (lambda: store.add(models, other, name="other"), lambda: store.remove(models, "spleen-ct")):
            with pytest.raises(StoreError, match="another command adds or removes a model") as said:
                change()
            refused.append(str(said.value))

    store.add(models, bundle, name="spleen-ct", examine=meanwhile)
    assert len(refused) == 2
    assert set(store.pins(models)) == {"spleen-ct"}
    store.add(models, other, name="other")
    assert set(store.pins(models)) == {"spleen-ct", "other"}


@pytest.mark.parametrize("ends_in", ["examine", "_write"], ids=["before its folder is whole", "before it is pinned"])
def test_an_add_that_was_killed_leaves_nothing_that_is_used_and_is_simply_repeated(
    models: Path, bundle: Path, ends_in: str
) -> None:
    killed = f"""
import os, pathlib
from radnode.pipelines.models import store
def end(*_): os._exit(9)
{"store._write = end" if ends_in == "_write" else ""}
store.add(pathlib.Path({str(models)!r}), pathlib.Path({str(bundle)!r}), name="spleen-ct",
          examine={"end" if ends_in == "examine" else "print"})
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False, timeout=60).returncode == 9
    assert not registry.installed((), models=models).manifests
    store.add(models, bundle, name="spleen-ct")
    assert set(registry.installed((), models=models).manifests) == {"spleen-ct"}
    assert sorted(path.name for path in models.iterdir()) == ["models.json", "spleen-ct"]


@pytest.mark.parametrize(("text", "name"), [
    ("\n   Apache License\n  Version 2.0, January 2004\n http://www.apache.org/licenses/\n", "Apache License 2.0"),
    ("MIT License\n\nCopyright (c) 2020\n", "MIT License"),
    ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International\n", "CC BY-NC-SA 4.0"),
    ("Terms of the hospital\nAsk us.\n", "Terms of the hospital"), ("", "not stated"),
])
def test_a_licence_is_called_by_its_name_or_by_its_first_line(text: str, name: str) -> None:
    assert licences.name_of(text) == name


def test_list_and_check_say_where_the_whole_licence_is_what_it_is_for_and_the_digest(
    tmp_path: Path, bundle: Path
) -> None:
    (bundle / "LICENSE").write_text("MIT License\n\nCopyright\n")
    (bundle / "docs").mkdir(exist_ok=True)
    (bundle / "docs" / "data_license.txt").write_text("CC BY 4.0\n")
    config = tmp_path / "radnode.yaml"
    config.write_text(f"node:\n  data: {tmp_path / 'data'}\npeers: {{}}\nroutes: []\n")
    runner = CliRunner()
    added = runner.invoke(app, ["models", "add", str(bundle), "--name", "spleen-ct", "--config", str(config)])
    assert added.exit_code == 0, added.output
    folder = tmp_path / "data" / "models" / "spleen-ct"
    for command in ("list", "check"):
        said = runner.invoke(app, ["models", command, "--config", str(config)], env={"COLUMNS": "200"})
        assert said.exit_code == 0, said.output
        for part in ("MIT License", "Tests alone.", store.digest(folder)[:12], f"(lines: 3): {folder / 'LICENSE'}",
                     f"(lines: 1): {folder / 'docs' / 'data_license.txt'}"):
            assert part in said.output
