"""The phantom is the same each time, anatomically plausible, and a valid series."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from radnode.pipelines.ct_lung.phantom import SeriesHeader, chest_phantom, write_series


def test_the_same_seed_gives_the_same_chest_and_the_same_bytes(tmp_path: Path) -> None:
    files = [write_series(chest_phantom(slices=4, size=32, seed=3), tmp_path / name) for name in "ab"]
    assert [each.read_bytes() for each in files[0]] == [each.read_bytes() for each in files[1]]
    other = chest_phantom(slices=4, size=32, seed=4)
    assert not np.array_equal(other.hu, chest_phantom(slices=4, size=32, seed=3).hu)


def test_volumes_are_those_of_an_adult_and_the_right_lung_is_larger() -> None:
    phantom = chest_phantom(slices=100, size=128)
    millilitres = float(np.prod(phantom.spacing_mm)) / 1000
    left, right = phantom.left_mask.sum() * millilitres, phantom.right_mask.sum() * millilitres
    assert 2000 < left < right < 4000
    assert not (phantom.left_mask & phantom.right_mask).any()
    for border in (0, -1):
        assert not (phantom.left_mask | phantom.right_mask)[border].any()


def test_emphysema_is_the_part_below_minus_950() -> None:
    phantom = chest_phantom(slices=30, size=512)  # fine pixels: blur hides the border of small patches
    for lung in (phantom.left_mask, phantom.right_mask):
        truth = float((phantom.emphysema_mask & lung).sum() / lung.sum())
        assert float((phantom.hu[lung] < -950).mean()) == pytest.approx(truth, abs=0.002)


def test_another_header_is_another_study(tmp_path: Path) -> None:
    phantom = chest_phantom(slices=4, size=32)
    uids = set()
    for name in ("1", "2"):
        files = write_series(phantom, tmp_path / name, header=SeriesHeader(name=name))
        uids |= {str(pydicom.dcmread(file).StudyInstanceUID) for file in files}
    assert len(uids) == 2


def test_the_series_satisfies_an_independent_checker(tmp_path: Path) -> None:
    checker = Path(sys.executable).with_name("dciodvfy")
    if not checker.exists():
        pytest.skip("dciodvfy is not installed")
    (first, *_) = write_series(chest_phantom(slices=4, size=32), tmp_path)
    said = subprocess.run([checker, "-new", first], capture_output=True, text=True, timeout=60, check=False)
    assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []
