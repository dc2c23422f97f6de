"""What an administrator types about models, and the one sentence that comes back for a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import bundles
from typer.testing import CliRunner, Result

from radnode.node.cli_models import models_app

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "radnode.yaml"
    path.write_text("node:\n  data: data\npeers: {}\nroutes: []\n")
    return path


def models(config: Path, *words: object) -> Result:
    return CliRunner().invoke(models_app, [*map(str, words), "--config", str(config)])


def test_the_model_that_comes_with_radnode_is_added_by_its_name_and_says_what_it_is_not(config: Path) -> None:
    added = models(config, "add", "phantom_lungs")
    assert added.exit_code == 0, added.output
    assert "useless on patients" in added.output
    assert "run: [phantom-lungs]" in added.output
    assert models(config, "check").exit_code == 0


def test_a_folder_without_metadata_is_refused_and_not_kept(config: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    refused = models(config, "add", tmp_path / "holiday")
    assert refused.exit_code == 1
    assert "is this the folder of a MONAI bundle?" in refused.output
    assert not (tmp_path / "data" / "models" / "holiday").exists()


def test_a_taken_name_is_refused_with_how_to_free_it(config: Path, tmp_path: Path) -> None:
    bundle = bundles.write_bundle(tmp_path / "threshold")
    assert models(config, "add", bundle).exit_code == 0
    again = models(config, "add", bundle)
    assert again.exit_code == 1
    assert "radnode models remove threshold" in again.output


def test_a_model_that_a_route_names_is_not_removed(config: Path, tmp_path: Path) -> None:
    models(config, "add", bundles.write_bundle(tmp_path / "threshold"))
    without = config.read_text()
    config.write_text(
        "node:\n  data: data\npeers:\n  PACS: {ae_title: PACS, host: 127.0.0.1, port: 104, receives: true}\n"
        "routes:\n  - {name: chest, when: {modality: CT}, run: [threshold], send: [PACS]}\n"
    )
    refused = models(config, "remove", "threshold")
    assert refused.exit_code == 1
    assert "named by the route chest" in refused.output
    config.write_text(without)
    assert models(config, "remove", "threshold").exit_code == 0
    assert "threshold" not in models(config, "list").output


@pytest.mark.parametrize(
    ("source", "says"),
    [("nowhere/model.zip", "neither a folder nor a zip file"), ("http://example.org/model.zip", "only https"),
     ("https://example.org/model.zip", "--sha256")],
)
def test_a_source_that_cannot_be_taken_is_refused_in_a_sentence(config: Path, source: str, says: str) -> None:
    refused = models(config, "add", source)
    assert refused.exit_code == 1
    assert says in refused.output
