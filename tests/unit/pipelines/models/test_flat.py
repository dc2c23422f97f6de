"""Bundles that read pictures: they get what MONAI reads from a picture file; what they say lies where it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from monai.transforms.io.array import LoadImage
from monai.transforms.utility.array import EnsureChannelFirst
from PIL import Image
from support import bundles
from support import flat_images as flat
from support.flat_bundles import NETWORK, bundle, inference, metadata, weights
from support.phantoms import manifest

from radnode.pipelines import inspection
from radnode.pipelines.contract import NotProcessed, RunContext, RunFailed, StudyImages
from radnode.pipelines.models import description, store
from radnode.pipelines.models.bundle import BundlePipeline
from radnode.pipelines.models.flat import to_monai
from radnode.pipelines.models.received import Received
from radnode.pipelines.models.store import Pin, StoreError
from radnode.pipelines.sources.headers import read_instances
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.projections import select_projections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.findings import Findings

def read(files: Sequence[Path], modality: str, reads: str) -> StudyImages:
    wanted = manifest(modality=modality, reads=reads, min_slices=1)
    return read_projections(select_projections(read_instances(files), wanted), wanted)


def run(folder: Path, images: StudyImages) -> Findings:
    return BundlePipeline(folder).run(images, RunContext(device="cpu", stage=lambda _: None))


@pytest.mark.filterwarnings("ignore:NvImgCodec")  # LoadImage looks for every reader that there is
@pytest.mark.parametrize("modality", ["DX", "ES"])
@pytest.mark.parametrize("reader", [None, "PILReader"])
def test_a_bundle_gets_what_monai_reads_from_a_picture_of_the_image(
    tmp_path: Path, modality: str, reader: str | None
) -> None:
    path = flat.write_radiograph(tmp_path) if modality == "DX" else flat.write_colour(tmp_path)
    (image,) = read([path], modality, "projection" if modality == "DX" else "colour").projections
    picture = tmp_path / "picture.png"
    Image.fromarray(image.rgb if modality == "ES" else image.display).save(picture)  # type: ignore[union-attr, arg-type]
    meant = LoadImage(reader=reader)(picture)
    got = Received()(to_monai(image, 3 if modality == "ES" else 1))
    assert (got.dtype, tuple(got.shape)) == (meant.dtype, tuple(meant.shape))
    np.testing.assert_array_equal(got.numpy(), meant.numpy())
    np.testing.assert_array_equal(got.affine, meant.affine)
    np.testing.assert_array_equal(EnsureChannelFirst()(got).numpy(), EnsureChannelFirst()(meant).numpy())


@pytest.mark.parametrize("options", [{"inverted": False}, {"size": [96, 48]}, {"size": [64, 72], "inverted": False}])
def test_a_tool_on_one_frame_of_an_endoscopy_comes_back_pixel_for_pixel(tmp_path: Path, options: Any) -> None:
    images = read([flat.write_colour(tmp_path / "in", frames=3)], "ES", "colour")
    found = run(bundle(tmp_path / "bundle", 3, **options), images)
    (segment,) = found.segments
    assert (segment.label, segment.voxels.shape) == ("tools", (3, flat.ROWS, flat.COLUMNS))
    ((frame, plane),) = found.planes_of(segment)
    assert frame.frame_number == flat.FRAME
    np.testing.assert_array_equal(plane, flat.marked())


def test_marks_on_mammograms_come_back_pixel_for_pixel_from_both_polarities(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle", 1, modality="Mammogram", size=[64, 72])
    for inverted in (False, True):
        images = read(flat.write_mammograms(tmp_path / str(inverted), inverted=inverted), "MG", "projection")
        found = run(folder, images)
        assert [each.on for each in found.segments] == [each.source.sop_instance_uid for each in images.projections]
        for segment in found.segments:
            np.testing.assert_array_equal(segment.mask, flat.marked())


def test_a_class_is_said_of_each_frame(tmp_path: Path) -> None:
    images = read([flat.write_colour(tmp_path / "in", frames=3)], "ES", "colour")
    found = run(bundle(tmp_path / "bundle", 3, "classes"), images)
    assert [each.frame_number for each in found.classifications] == [1, 2, 3]
    assert {each.of for each in found.classifications} == {images.projections[0].source.sop_instance_uid}
    assert {each.value.meaning for each in found.classifications} == {"in body"}
    sure = [each.certainty or 0 for each in found.classifications]
    assert sure[1] < sure[0]  # the green mark is on the second frame
    assert sure[0] == pytest.approx(sure[2], abs=1e-6)


def test_an_answer_that_does_not_say_where_it_lies_is_refused(tmp_path: Path) -> None:
    config = inference(3, "segmentation", None, inverted=False)
    config["postprocessing"]["transforms"].insert(
        0, {"_target_": "Lambdad", "keys": ["pred"], "func": "$lambda x : x[:, ::2, ::2]"}
    )
    folder = bundles.write_bundle(tmp_path / "bundle", config=config, network=NETWORK,
                                  said=metadata(3, "segmentation", "regular"), state=weights(3))
    with pytest.raises(RunFailed, match="16x12 pixels does not say where it lies on an image of 32x24"):
        run(folder, read([flat.write_colour(tmp_path / "in")], "ES", "colour"))


def test_images_for_processing_are_no_pictures(tmp_path: Path) -> None:
    images = read(flat.write_mammograms(tmp_path / "in"), "MG", "projection")
    (first, *_) = images.projections
    assert to_monai(first, 3).shape == (flat.COLUMNS, flat.ROWS, 3)
    object.__setattr__(first, "display", None)
    with pytest.raises(NotProcessed, match="not for presentation"):
        to_monai(first, 3)


@pytest.mark.parametrize(("channels", "modality", "meant"), [
    (3, "regular", ("ES", "colour", 1)), (1, "Mammogram", ("MG", "projection", 1)), (1, "CT", ("CT", "volume", 2)),
])
def test_a_bundle_reads_what_its_metadata_says(tmp_path: Path, channels: int, modality: str, meant: Any) -> None:
    folder = bundle(tmp_path / "bundle", channels, modality=modality)
    said = description.manifest(folder, Pin(name="b", folder="bundle", sha256="ab" * 32, series_number=9300))
    assert (said.modality, said.reads, said.min_slices) == meant


@pytest.mark.parametrize(("changes", "reason"), [
    ({"num_channels": 4, "channel_def": {"0": "R", "1": "G", "2": "B", "3": "Mask"}}, "4 channels: more than the col"),
    ({"format": "RGB"}, "does not say clearly of what"),
])
def test_colours_of_nothing_known_and_masks_beside_colours_are_refused(
    tmp_path: Path, changes: Any, reason: str
) -> None:
    said = metadata(3, "segmentation", "regular")
    said["name"] = "Nuclei"
    said["network_data_format"]["inputs"]["image"] |= changes
    folder = bundles.write_bundle(tmp_path / "bundle", said=said)
    with pytest.raises(StoreError, match=reason):
        description.manifest(folder, Pin(name="b", folder="bundle", sha256="ab" * 32, series_number=9300))


@pytest.mark.parametrize("inverted", [False, True], ids=["MONOCHROME2", "MONOCHROME1"])
def test_a_picture_shows_what_was_found_on_the_image_as_its_own_window_shows_it(
    tmp_path: Path, inverted: bool
) -> None:
    flat.write_mammograms(tmp_path / "mg", inverted=inverted)
    store.add(tmp_path / "models", bundle(tmp_path / "marks", 1, modality="Mammogram", size=[64, 72]),
              name="marks")
    report = inspection.try_pipeline("marks", tmp_path / "mg", ["SEG"], tmp_path / "out", models=tmp_path / "models",
                                     device="cpu")
    assert report.objects, report.reason
    for produced in report.objects:
        picture = np.asarray(Image.open(Path(produced.path).with_suffix(".png")))
        scale = picture.shape[1] / flat.COLUMNS
        inside = picture[int(4.5 * scale), int(24.5 * scale)]
        tissue = picture[int(20 * scale), int(24.5 * scale)]
        assert inside.min() > 245  # 3000 of a window from 1000 to 3000
        assert tissue.max() < 80
        assert np.ptp(picture[int(5 * scale), int(20 * scale) - 3 : int(20 * scale) + 4], axis=-1).max() > 50
