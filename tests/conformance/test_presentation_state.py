"""Presentation states that DCMTK tests and that enclose exactly what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pydicom
import pytest
from support import projection_samples as projections
from support import result_samples as samples
from support import validators

from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset


def _on_a_stack() -> samples.Sample:
    headers = samples.stack()
    for header in headers:
        header.PatientName = "Mueller^Anna"  # dcmpschk knows no UTF-8
    return samples.sample(headers, forms=("GSPS",))


def _on_mammograms() -> samples.Sample:
    headers = projections.mammograms()
    for header in headers:
        header.PatientName = "Mueller^Anna"
    return projections.sample(headers, projections.screening(headers), ("GSPS",))


def _written(sample: samples.Sample, folder: Path) -> list[Path]:
    paths = []
    for result in write(sample.findings, sample.source, sample.provenance, ("GSPS",)):
        paths.append(folder / "GSPS.dcm")
        result.dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


@pytest.mark.peer
@pytest.mark.parametrize("sample", [_on_a_stack, _on_mammograms])
def test_a_state_is_accepted_by_all(sample: Callable[[], samples.Sample], tmp_path: Path) -> None:
    made = sample()
    paths = _written(made, tmp_path)
    check({"GSPS": paths}, made.findings, made.source, made.provenance)
    validators.dciodvfy(paths[0])
    validators.dcmpschk(paths[0])


def test_nothing_found_needs_no_state() -> None:
    sample = _on_a_stack()
    nothing = samples.nothing(sample.findings.grid)
    assert write(nothing, sample.source, sample.provenance, ("GSPS",)) == ()
    check({"GSPS": []}, nothing, sample.source, sample.provenance)


def test_each_finding_has_a_layer_in_its_colour(tmp_path: Path) -> None:
    (path,) = _written(_on_a_stack(), tmp_path)
    layers = pydicom.dcmread(path).GraphicLayerSequence
    assert [layer.GraphicLayerDescription for layer in layers] == ["Right lung", "Left lung"]
    assert len({tuple(layer.GraphicLayerRecommendedDisplayCIELabValue) for layer in layers}) == 2


def _graphic(change: Callable[[list[float]], list[float]]) -> Callable[[Dataset], None]:
    def apply(state: Dataset) -> None:
        graphic = state.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
        graphic.GraphicData = change([float(value) for value in graphic.GraphicData])

    return apply


def _other_image(state: Dataset) -> None:
    state.GraphicAnnotationSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = f"{samples.SERIES}.6"


def _other_name(state: Dataset) -> None:
    state.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue = "Left lung"


def _no_window(state: Dataset) -> None:
    state.SoftcopyVOILUTSequence[0].WindowWidth = 0


@pytest.mark.parametrize(("change", "name"), [
    (_graphic(lambda data: [value + 1 for value in data]), "voxels"),
    (_graphic(lambda data: [32 - v if i % 2 == 0 else v for i, v in enumerate(data)]), "voxels"),
    (_other_image, "reference"), (_other_name, "reference"), (_no_window, "plausibility"),
    (lambda state: state.GraphicAnnotationSequence.pop(), "reference"),
])
def test_a_state_that_misleads_is_refused(change: Callable[[Dataset], object], name: str, tmp_path: Path) -> None:
    sample = _on_a_stack()
    paths = _written(sample, tmp_path)
    state = pydicom.dcmread(paths[0])
    change(state)
    state.save_as(paths[0], enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        check({"GSPS": paths}, sample.findings, sample.source, sample.provenance)
    assert refusal.value.check == name


def test_findings_without_segments_are_drawn_too(tmp_path: Path) -> None:
    sample = _on_mammograms()
    assert not sample.findings.segments
    (path,) = _written(replace(sample), tmp_path)
    kinds = [graphic.GraphicType for annotation in pydicom.dcmread(path).GraphicAnnotationSequence
             for graphic in annotation.GraphicObjectSequence]
    assert sorted(kinds) == ["POINT", "POLYLINE", "POLYLINE"]
