"""Enhanced MR: read by its functional groups, and results refer to its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import bundles, enhanced_mr, mr_study
from support.mr_study import T1, Sweep
from support.phantoms import select

from radnode.pipelines import inspection
from radnode.pipelines.contract import IncompleteInput, NotProcessed, RunState
from radnode.pipelines.models import store
from radnode.pipelines.sources.volume import read_volume

if TYPE_CHECKING:
    from pathlib import Path

HEAD = Sweep(name="t1_se_cor", shows="T1c", plane="coronal", step_mm=(9.0, 5.0, 5.0), shape=(16, 26, 24), more=T1)
ORDER = (*range(0, 16, 2), *range(1, 16, 2))


def wanted() -> np.ndarray:
    """As scanned: stored values are whole."""
    points = mr_study.grid(HEAD.affine, HEAD.shape)
    stored = np.rint(np.maximum(mr_study.signal(HEAD.shows, points), 0)).reshape(HEAD.shape)
    return stored * enhanced_mr.SLOPE + enhanced_mr.INTERCEPT


def test_frames_lie_where_their_functional_groups_say_in_the_numbers_that_these_say(tmp_path: Path) -> None:
    volume = read_volume(select([enhanced_mr.write(tmp_path, HEAD, order=ORDER)], modality="MR"))
    # The normal of a coronal plane (rows to the left, columns to the foot) leads backwards, as the sweep does.
    np.testing.assert_allclose(volume.affine, HEAD.affine, atol=1e-4)
    np.testing.assert_allclose(volume.voxels, wanted(), atol=1e-3)
    assert [frame.frame_number for frame in volume.frames] == [ORDER.index(place) + 1 for place in range(16)]


def test_of_several_temporal_positions_one_is_read_and_that_is_said(tmp_path: Path) -> None:
    path = enhanced_mr.write(tmp_path, HEAD, times=2, TemporalPositionIndex=[1, 2])
    selection = select([path], modality="MR")
    np.testing.assert_allclose(read_volume(selection).voxels, wanted(), atol=1e-3)
    (said,) = [note for note in selection.notes if "stacks" in note]
    assert "2 stacks that differ in TemporalPositionIndex (1, 2); only the one with TemporalPositionIndex 1" in said
    assert not selection.excluded


def test_of_several_echoes_none_is_chosen_and_the_refusal_names_what_differs(tmp_path: Path) -> None:
    path = enhanced_mr.write(tmp_path, HEAD, times=2, EffectiveEchoTime=[12.0, 95.0])
    with pytest.raises(NotProcessed, match=r"differ in EffectiveEchoTime \(12.0, 95.0\); send one stack per series"):
        select([path], modality="MR")


def test_a_missing_inner_frame_is_a_gap(tmp_path: Path) -> None:
    with pytest.raises(IncompleteInput, match="slices are missing inside the stack: 1"):
        select([enhanced_mr.write(tmp_path, HEAD, order=[place for place in range(16) if place != 7])], modality="MR")


@pytest.mark.filterwarnings("ignore")  # of MONAI and torch
def test_a_segmentation_refers_to_the_frames_it_lies_on(tmp_path: Path) -> None:
    enhanced_mr.write(tmp_path / "mr", HEAD, order=ORDER)
    said = bundles.metadata()
    said["network_data_format"]["inputs"]["image"]["modality"] = "MR"
    bundle = bundles.write_bundle(tmp_path / "bright", said=said, state=bundles.weights(350.0))
    store.add(tmp_path / "models", bundle, name="bright")
    report = inspection.try_pipeline("bright", tmp_path / "mr", ["SEG"], tmp_path / "out", models=tmp_path / "models",
                                     device="cpu")
    assert report.state == RunState.FINDINGS, report.reason
    segmentation = pydicom.dcmread(report.objects[0].path)
    source = pydicom.dcmread(tmp_path / "mr" / "enhanced.dcm", stop_before_pixels=True)
    above = wanted() > 350
    found = {}
    for group, plane in zip(segmentation.PerFrameFunctionalGroupsSequence, segmentation.pixel_array, strict=True):
        (item,) = group.DerivationImageSequence[0].SourceImageSequence
        assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
        found[ORDER[int(item.ReferencedFrameNumber) - 1]] = plane > 0
    assert set(found) == {place for place in range(16) if above[place].any()}
    for place, plane in found.items():
        np.testing.assert_array_equal(plane, above[place])
    assert (tmp_path / "out" / "SEG-1.png").exists()
