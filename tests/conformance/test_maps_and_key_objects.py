"""Parametric maps come back number for number; key objects name the images that carry the findings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import projection_samples as projections
from support import result_samples as samples
from support import validators

from radnode.pipelines.findings import Code, Findings, Map, MapKind
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pydicom import Dataset

UNITY = Code("1", "UCUM", "no units")
PROBABILITY = Code("110841", "DCM", "Probability")


def _map(volume_shape: tuple[int, ...], key: str, kind: MapKind = MapKind.SALIENCY) -> Map:
    values = np.random.default_rng(len(key)).random(volume_shape).astype(np.float32)
    return Map(key=key, label=f"Map {key}", kind=kind, category=samples.ANATOMY, type=samples.LUNG,
               quantity=PROBABILITY, unit=UNITY, values=values, rgb=(200, 40, 40))


def _sample(form: str, orientation: Sequence[float] = samples.AXIAL, step: float = 2.5) -> samples.Sample:
    headers = samples.stack(orientation=orientation, step=step)
    findings = samples.lungs(samples.volume_of(headers))
    shape = findings.grid.voxels.shape
    maps = (_map(shape, "heat"), _map(shape, "chance", MapKind.PROBABILITY))
    return samples.sample(headers, replace(findings, maps=maps), forms=(form,))


def _written(sample: samples.Sample, folder: Path) -> list[Path]:
    (form,) = sample.provenance.order.forms
    paths = []
    for result in write(sample.findings, sample.source, sample.provenance, (form,)):
        paths.append(folder / f"{form}-{result.number}.dcm")
        result.dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _check(sample: samples.Sample, paths: list[Path]) -> None:
    check({sample.provenance.order.forms[0]: paths}, sample.findings, sample.source, sample.provenance)


@pytest.mark.peer
@pytest.mark.parametrize(("orientation", "step"), [(samples.AXIAL, 2.5), (samples.AXIAL, -2.5), (samples.OBLIQUE, 2.5)])
def test_dcmqi_reads_the_same_numbers_at_the_same_places(
    orientation: Sequence[float], step: float, tmp_path: Path
) -> None:
    sample = _sample("PM", orientation, step)
    paths = _written(sample, tmp_path)
    _check(sample, paths)
    assert len(paths) == len(sample.findings.maps)
    for path, shown in zip(paths, sample.findings.maps, strict=True):
        validators.dciodvfy(path)
        read = validators.dcmqi_map(path, tmp_path / path.stem)
        index = np.argwhere(np.ones(shown.values.shape, dtype=bool))
        for place, value in zip(to_patient(sample.findings.grid.affine, index)[::97], shown.values.ravel()[::97],
                                strict=True):
            assert read(place) == value


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["volume", "projections", "nothing"])
def test_key_objects_are_accepted_and_named(kind: str, tmp_path: Path) -> None:
    if kind == "projections":
        headers = projections.mammograms()
        sample = projections.sample(headers, projections.screening(headers), ("KEY-OBJECTS",))
    else:
        sample = _sample("KEY-OBJECTS")
        if kind == "nothing":
            sample = replace(sample, findings=samples.nothing(sample.findings.grid))
    paths = _written(sample, tmp_path)
    _check(sample, paths)
    assert len(paths) == (kind != "nothing")
    for path in paths:
        validators.dciodvfy(path)
        shown = validators.dsrdump(path)
        assert "Chosen by AI" in shown
        validators.pixelmed_key_objects(path)


def test_each_organ_is_shown_where_it_is_largest(tmp_path: Path) -> None:
    (path,) = _written(_sample("KEY-OBJECTS"), tmp_path)
    selection = pydicom.dcmread(path)
    named = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
             for item in selection.ContentSequence if item.ValueType == "IMAGE"]
    assert named == [f"{samples.SERIES}.3", f"{samples.SERIES}.6"]


def _pixels(how: Callable[[np.ndarray], np.ndarray]) -> Callable[[Dataset], None]:
    def change(result: Dataset) -> None:
        shape = (int(result.NumberOfFrames), int(result.Rows), int(result.Columns))
        result.FloatPixelData = how(np.frombuffer(result.FloatPixelData, "<f4").reshape(shape)).tobytes()

    return change


def _unit(result: Dataset) -> None:
    mapping = result.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    mapping.MeasurementUnitsCodeSequence[0].CodeValue = "%"


def _moved(result: Dataset) -> None:
    for group in result.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        group.PlanePositionSequence[0].ImagePositionPatient = [position[0] + 5, position[1], position[2]]


@pytest.mark.parametrize(("change", "name"), [
    (_pixels(lambda p: np.flip(p, 1)), "voxels"), (_pixels(lambda p: np.flip(p, 0)), "voxels"),
    (_pixels(lambda p: p * np.float32(1.001)), "voxels"), (_unit, "codes"), (_moved, "geometry"),
])
def test_a_map_that_is_not_the_one_found_is_refused(
    change: Callable[[Dataset], None], name: str, tmp_path: Path
) -> None:
    sample = _sample("PM")
    paths = _written(sample, tmp_path)
    result = pydicom.dcmread(paths[0])
    change(result)
    result.save_as(paths[0], enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        _check(sample, paths)
    assert refusal.value.check == name


def _other_image(selection: Dataset) -> None:
    image = next(item for item in selection.ContentSequence if item.ValueType == "IMAGE")
    image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = f"{samples.SERIES}.1"


def _other_words(selection: Dataset) -> None:
    text = next(item for item in selection.ContentSequence
                if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS")
    text.TextValue = "Chosen by a radiologist"


@pytest.mark.parametrize(("change", "name"), [(_other_image, "reference"), (_other_words, "remarks")])
def test_a_selection_that_misleads_is_refused(
    change: Callable[[Dataset], None], name: str, tmp_path: Path
) -> None:
    sample = _sample("KEY-OBJECTS")
    paths = _written(sample, tmp_path)
    selection = pydicom.dcmread(paths[0])
    change(selection)
    selection.save_as(paths[0], enforce_file_format=True)
    with pytest.raises(GateRefused) as refusal:
        _check(sample, paths)
    assert refusal.value.check == name


def test_probabilities_of_a_volume_alone_make_maps() -> None:
    headers = projections.mammograms()
    read = projections.projections(headers)
    values = np.zeros(read[0].pixels.shape, dtype=np.float32)
    shown = replace(_map(values.shape, "heat"), on=read[0].source.sop_instance_uid)
    sample = projections.sample(headers, Findings(projections=read, maps=(shown,)), ("PM",))
    assert write(sample.findings, sample.source, sample.provenance, ("PM",)) == ()
