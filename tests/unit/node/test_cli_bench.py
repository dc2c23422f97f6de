"""`radnode models bench`: what it prints, writes and draws are the same numbers, and they add up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from support.chest import write_chest
from typer.testing import CliRunner

from radnode.node.cli import app
from radnode.pipelines.benching import PARTS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.filterwarnings("ignore")  # what libraries say while they draw and load is no matter here
def test_a_model_is_measured_with_a_table_a_file_and_a_plot_that_agree(tmp_path: Path) -> None:
    config = tmp_path / "radnode.yaml"
    config.write_text(f"node:\n  data: {tmp_path / 'data'}\npeers: {{}}\nroutes: []\n")
    write_chest(tmp_path / "ct", slices=8, size=32)
    runner = CliRunner()
    added = runner.invoke(app, ["models", "add", "phantom_lungs", "--config", str(config)])
    assert added.exit_code == 0, added.output
    done = runner.invoke(app, [
        "models", "bench", "phantom-lungs", str(tmp_path / "ct"), "--repeats", "2", "--output", str(tmp_path / "bench"),
        "--config", str(config)], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output

    found = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert (found["model"], found["device"], found["images"], found["loads"]) == ("phantom-lungs", "cpu", 8, 1)
    first, second = found["jobs"]
    assert set(first) == set(PARTS)
    assert set(second) == set(PARTS) - {"load"}
    parts = sum(sum(job.values()) for job in found["jobs"])
    assert parts <= found["wall_s"] + 0.02
    assert parts > 0.7 * found["wall_s"], "a part of a job that takes time is measured by nobody"

    for part in PARTS:
        seconds = [job[part] for job in found["jobs"] if part in job]
        median, fastest, slowest = float(np.median(seconds)), min(seconds), max(seconds)
        (line,) = [line for line in done.output.splitlines() if f" {part} " in line and "." in line]
        assert [float(word) for word in line.split() if word[0].isdigit()] == pytest.approx(
            [median, fastest, slowest], abs=0.0011)
        assert found["medians"][part] == pytest.approx(median, abs=0.0011)
    assert "loaded 1 x" in done.output
    assert f"network: format {found['memory']['network']['format']}" in done.output
    with Image.open(tmp_path / "bench" / "bench.png") as plot:
        assert plot.format == "PNG"
        drawn = np.unique(np.asarray(plot.convert("RGB")).reshape(-1, 3), axis=0)
    # Bars in several colours, at least those of the two parts that take longest (matplotlib's C0...C9).
    assert sum(bool(np.ptp(colour.astype(int)) > 60) for colour in drawn) >= 2
