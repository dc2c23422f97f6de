"""Images that are no slices: which of a job are read, and with which numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from support import flat_images as flat
from support.phantoms import manifest

from radnode.pipelines.contract import IncompleteInput, NotProcessed
from radnode.pipelines.geometry import ColourImage, Projection
from radnode.pipelines.sources.headers import read_instances
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.projections import select_projections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from radnode.pipelines.contract import StudyImages


def read(files: Sequence[Path], modality: str = "MG", reads: str = "projection", least: int = 1) -> StudyImages:
    wanted = manifest(modality=modality, reads=reads, min_slices=least)
    return read_projections(select_projections(read_instances(files), wanted), wanted)


def projections(images: StudyImages) -> list[Projection]:
    found = [each for each in images.projections if isinstance(each, Projection)]
    assert len(found) == len(images.projections)
    return found


def colours(images: StudyImages) -> list[ColourImage]:
    found = [each for each in images.projections if isinstance(each, ColourImage)]
    assert len(found) == len(images.projections)
    return found


def change(path: Path, **attributes: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def test_a_mammogram_in_monochrome1_is_the_same_picture_as_in_monochrome2(tmp_path: Path) -> None:
    plain = projections(read(flat.write_mammograms(tmp_path / "2")))
    inverted = projections(read(flat.write_mammograms(tmp_path / "1", inverted=True)))
    for number, (one, other) in enumerate(zip(plain, inverted, strict=True)):
        np.testing.assert_array_equal(one.pixels, flat.grey(number))
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert one.display is not None
        assert other.display is not None
        assert np.abs(one.display.astype(int) - other.display).max() <= 1
        assert (one.display[flat.marked()] > one.display[~flat.marked()].max()).all()
    assert [(each.laterality, each.view) for each in plain] == [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")]


@pytest.mark.parametrize(("function", "meant"), [
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5) * 255, rounded.
    ("LINEAR", {1499: 64, 1999: 127, 3000: 255}), ("LINEAR_EXACT", {1500: 64, 2000: 128, 3000: 255}),
    # C.11.2.1.3.1: 255 / (1 + exp(-4 (x - c) / w)).
    ("SIGMOID", {2000: 128, 1500: 69, 3000: 225}),
])
def test_a_window_gives_the_grey_of_the_standard(tmp_path: Path, function: str, meant: dict[int, int]) -> None:
    pixels = np.full((4, 4), 1000, np.uint16)
    pixels.flat[: len(meant)] = list(meant)
    path = flat.write_radiograph(tmp_path, VOILUTFunction=function, Rows=4, Columns=4,
                                 PixelData=pixels.astype("<u2").tobytes())
    (image,) = projections(read([path], "DX"))
    assert image.display is not None
    assert image.display.flat[: len(meant)].tolist() == list(meant.values())


def test_a_voi_table_stands_before_a_window(tmp_path: Path) -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4096, 0, 8])
    table.add_new("LUTData", "OW", (255 - np.arange(4096) // 16).astype("<u2").tobytes())
    (image,) = projections(read([flat.write_radiograph(tmp_path, VOILUTSequence=[table])], "DX"))
    np.testing.assert_array_equal(image.display, 255 - flat.grey() // 16)


def test_padding_is_darkest_and_named(tmp_path: Path) -> None:
    pixels = flat.grey()
    pixels[:, :6] = 4000
    path = flat.write_radiograph(tmp_path, PixelPaddingValue=4000, PixelData=pixels.astype("<u2").tobytes())
    (image,) = projections(read([path], "DX"))
    assert image.valid is not None
    assert image.display is not None
    assert not image.valid[:, :6].any()
    assert image.valid[:, 6:].all()
    assert (image.pixels[:, :6] == image.pixels[:, 6:].min()).all()
    assert (image.display[:, :6] == 0).all()


@pytest.mark.parametrize(("given", "meant"), [
    ({"PixelSpacing": [0.14, 0.14]}, ((0.14, 0.14), None)),
    ({"PixelSpacing": [0.1, 0.1]}, ((0.14, 0.14), (0.1, 0.1))),
    ({"PixelSpacing": [0.14, 0.14], "PixelSpacingCalibrationType": "GEOMETRY"}, ((0.14, 0.14), (0.14, 0.14))),
])
def test_spacing_at_the_detector_and_in_the_patient_are_two(tmp_path: Path, given: Any, meant: Any) -> None:
    (image,) = projections(read([flat.write_radiograph(tmp_path, **given)], "DX"))
    assert (image.spacing_mm, image.spacing_in_patient_mm) == meant


def test_a_cr_image_is_read_where_dx_is_wanted(tmp_path: Path) -> None:
    path = flat.write_radiograph(tmp_path, SOPClassUID=pydicom.uid.ComputedRadiographyImageStorage, Modality="CR",
                                 ImageType=["DERIVED", "PRIMARY"])
    assert projections(read([path], "DX"))[0].orientation == ("L", "F")


@pytest.mark.parametrize(("changes", "reason"), [
    ({"SOPClassUID": pydicom.uid.DigitalMammographyXRayImageStorageForProcessing,
      "PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING, which sample does not read"),
    ({"PresentationIntentType": "FOR PROCESSING"}, "its Presentation Intent Type is not"),
    ({"SOPClassUID": pydicom.uid.SecondaryCaptureImageStorage}, "not a MG image"),
    ({"Modality": "DX"}, "its modality is DX"),
    ({"ImageType": ["DERIVED", "SECONDARY"]}, "made from other images"),
    ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]}, "computed from a tomosynthesis"),
    ({"ImageType": ["DERIVED", "PRIMARY", "SCREEN SAVE"]}, "a screen, protocol or dose page"),
    ({"Laterality": "R"}, "it names two sides"),
    ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "Photometric Interpretation is RGB"),
    ({"BitsStored": 17}, "pixels that are not supported"),
])
def test_an_image_that_is_left_out_says_why_and_the_others_are_read(tmp_path: Path, changes: Any, reason: str) -> None:
    files = flat.write_mammograms(tmp_path)
    change(files[1], **changes)  # a left breast
    images = read(files)
    assert len(images.projections) == 3
    ((uid, said),) = images.excluded.items()
    assert uid == pydicom.dcmread(files[1]).SOPInstanceUID
    assert reason in said


def test_images_for_processing_are_read_by_who_asks_for_them(tmp_path: Path) -> None:
    files = flat.write_mammograms(
        tmp_path, SOPClassUID=pydicom.uid.DigitalMammographyXRayImageStorageForProcessing,
        PresentationIntentType="FOR PROCESSING",
    )
    assert len(read(files, reads="raw projection").projections) == 4
    with pytest.raises(NotProcessed, match=r"0 of 4 images .* FOR PROCESSING, which sample does not read"):
        read(files)


def test_what_a_reader_must_know_of_the_images_is_said(tmp_path: Path) -> None:
    files = flat.write_mammograms(tmp_path)
    change(files[0], BurnedInAnnotation="YES", PartialView="YES")
    change(files[1], BreastImplantPresent="YES")
    images = read(files)
    assert [each for each in projections(images) if each.partial] == [projections(images)[0]]
    assert [each.implant for each in projections(images)] == [None, True, None, None]
    assert images.notes == (
        "1 of 4 images have text burned into their pixels.",
        "1 of 4 images show only a part of the breast (Partial View).",
        "1 of 4 images show a breast with an implant.",
    )


def test_too_few_images_are_refused_with_what_was_left_out(tmp_path: Path) -> None:
    files = flat.write_mammograms(tmp_path)
    change(files[3], Modality="DX")
    with pytest.raises(NotProcessed, match=r"3 of 4 images .* needs 4; 1 left out: its modality is DX, not MG"):
        read(files, least=4)


def test_an_image_that_is_cut_short_ends_the_run(tmp_path: Path) -> None:
    files = flat.write_mammograms(tmp_path)
    change(files[2], PixelData=b"\0\0" * 20)
    with pytest.raises(IncompleteInput, match="pixel data incomplete"):
        read(files)


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_clip_is_read_frame_by_frame_in_rgb(tmp_path: Path, jpeg: bool) -> None:
    images = colours(read([flat.write_colour(tmp_path, frames=3, jpeg=jpeg)], "ES", "colour"))
    assert [each.source.frame_number for each in images] == [1, 2, 3]
    for number, image in enumerate(images, 1):
        away = np.abs(image.rgb.astype(int) - flat.colours(number)).max(axis=-1)
        assert np.percentile(away, 90) <= (8 if jpeg else 0)
    green = images[flat.FRAME - 1].rgb[..., 1] > 130
    np.testing.assert_array_equal(green, flat.marked())


def _ybr(rgb: np.ndarray) -> np.ndarray:
    """PS3.3 C.7.6.3.1.2."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    return np.clip(np.rint(rgb @ matrix.T + [0, 128, 128]), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422", "PALETTE COLOR", "RGB by plane"])
def test_every_colour_model_becomes_rgb(tmp_path: Path, photometric: str) -> None:
    rgb = flat.colours()
    changes: dict[str, Any] = {"PhotometricInterpretation": photometric}
    if photometric == "RGB by plane":
        changes = {"PlanarConfiguration": 1, "PixelData": rgb.transpose(2, 0, 1).tobytes()}
    elif photometric == "YBR_FULL":
        changes["PixelData"] = _ybr(rgb).tobytes()
    elif photometric == "YBR_FULL_422":
        rgb[:, 1::2] = rgb[:, ::2]  # two pixels share their colour
        ybr = _ybr(rgb)
        changes["PixelData"] = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], -1).tobytes()
    else:
        table, index = np.unique(rgb.reshape(-1, 3), axis=0, return_inverse=True)
        changes |= {"SamplesPerPixel": 1, "PixelData": index.astype(np.uint8).tobytes()}
        for place, name in enumerate(("Red", "Green", "Blue")):
            changes[f"{name}PaletteColorLookupTableDescriptor"] = [len(table), 0, 16]
            changes[f"{name}PaletteColorLookupTableData"] = (table[:, place].astype("<u2") * 257).tobytes()
    path = flat.write_colour(tmp_path, **changes)
    (image,) = colours(read([path], "ES", "colour"))
    assert np.abs(image.rgb.astype(int) - rgb).max() <= (0 if photometric in ("RGB by plane", "PALETTE COLOR") else 2)


@pytest.mark.parametrize(("changes", "reason"), [
    ({"Modality": "OP"}, "its modality is OP, not ES"),
    ({"PhotometricInterpretation": "MONOCHROME2", "SamplesPerPixel": 1}, "it is no colour image"),
    ({"SamplesPerPixel": 4}, "Samples per Pixel"),
])
def test_what_is_no_colour_image_is_refused_with_the_reason(tmp_path: Path, changes: Any, reason: str) -> None:
    with pytest.raises(NotProcessed, match=reason):
        read([flat.write_colour(tmp_path, **changes)], "ES", "colour")


def test_a_clip_of_absurd_size_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    path = flat.write_colour(tmp_path, frames=3, NumberOfFrames=60000, Rows=400, Columns=400)
    with pytest.raises(NotProcessed, match=r"declares .* MiB of pixels"):
        read([path], "ES", "colour")
