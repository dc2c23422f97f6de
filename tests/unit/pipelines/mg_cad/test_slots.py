"""Models of the model store in the slots of mg-cad: what they answer, and what of it is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from support import bundles, flat_bundles
from support import mammography as mammo

from radnode.pipelines import registry
from radnode.pipelines.contract import RunFailed, SlotModel
from radnode.pipelines.findings import Classification, Code, Detection, Findings, OnImage
from radnode.pipelines.mg_cad import pipeline
from radnode.pipelines.mg_cad.density import CATEGORIES, COMPOSITION
from radnode.pipelines.mg_cad.masses import Masses
from radnode.pipelines.mg_cad.phantom import screening, write_screening
from radnode.pipelines.mg_cad.pipeline import MgCad
from radnode.pipelines.models import store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.geometry import Projection

MASS = Code("4147007", "SCT", "Mass")


class Model:
    """Answers each image by itself."""

    def __init__(self, answer: Callable[[int, Projection], object]) -> None:
        self._answer = answer

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        del context
        said = [self._answer(number, each) for number, each in enumerate(images.projections)]
        return Findings(projections=images.projections, looked_for=(MASS,),
                        detections=tuple(each for each in said if isinstance(each, Detection)),
                        classifications=tuple(each for each in said if isinstance(each, Classification)))


def in_slot(answer: Callable[[int, Projection], object], *, reads: str = "projection") -> SlotModel:
    manifest = replace(registry.installed().manifests["mg-cad"], name="mg-cad-density", reads=reads, version="3.1")
    return SlotModel(manifest=manifest, pipeline=Model(answer))


@lru_cache(maxsize=1)
def images() -> StudyImages:
    return mammo.study(screening(6, pixel_mm=0.2))


def composed(*letters: str) -> Findings:
    """What is said of four views of these categories."""
    codes = {letter: code for letter, _, code in CATEGORIES}
    model = in_slot(lambda number, image: Classification(
        key=f"answer-{number}", name=COMPOSITION, value=codes[letters[number]], of=image.source.sop_instance_uid))
    return MgCad({"density": model}, detectors=()).run(images(), mammo.CONTEXT)


@pytest.mark.parametrize(("letters", "meant"), [("bbbb", "b"), ("abcb", "b"), ("bbcc", "c"), ("dada", "d")])
def test_the_density_of_a_screening_is_the_models_of_the_middle_view_and_of_two_the_denser(
    letters: str, meant: str
) -> None:
    found = composed(*letters)
    (answer,) = found.classifications
    assert (answer.name, answer.value) == (COMPOSITION, next(code for letter, _, code in CATEGORIES if letter == meant))
    (said,) = (each for each in found.remarks if each.startswith("Breast density"))
    assert f"category {meant}, by the model mg-cad-density 3.1 (SHA-256 " in said
    assert said.endswith(f"one by one: {', '.join(sorted(letters))}.")


def boxed(_number: int, image: Projection) -> Detection:
    """A box at the same place of each image."""
    outline = np.array([[100.0, 300.0], [140.0, 300.0], [140.0, 350.0], [100.0, 350.0]])
    return Detection(key=f"box-{image.source.sop_instance_uid}", label="mass", type=MASS, certainty=0.8,
                     at=OnImage(sop_instance_uid=image.source.sop_instance_uid, center=(120.0, 325.0), outline=outline))


def test_a_models_marks_lie_where_it_drew_them_and_take_the_place_of_the_baseline() -> None:
    found = MgCad({"masses": in_slot(boxed)}, detectors=(Masses(),), density=lambda _: 0.1).run(images(), mammo.CONTEXT)
    assert len(found.detections) == 4
    for each in found.detections:
        assert each.at.center == pytest.approx((120, 325))
        np.testing.assert_allclose(each.at.outline, boxed(0, images().projections[0]).at.outline)
        assert (each.type, each.certainty) == (pipeline.TYPES["mass"], 0.8)
    assert found.looked_for == (pipeline.TYPES["mass"],)
    assert any(each.startswith("Masses are marked by the model mg-cad-density 3.1") for each in found.remarks)
    assert not any("baseline without trained weights" in each for each in found.remarks)


@pytest.mark.parametrize(("slot", "model", "why"), [
    ("density", in_slot(boxed), "does not give each image one of the four categories"),
    ("density", in_slot(boxed, reads="raw projection"), "does not read mammograms as they are shown"),
    ("masses", in_slot(lambda number, image: replace(boxed(number, image), certainty=None)), "no certainty"),
    ("masses", in_slot(lambda number, image: Classification(
        key=f"answer-{number}", name=COMPOSITION, value=CATEGORIES[0][2], of=image.source.sop_instance_uid)),
     "something else than marks"),
])
def test_a_model_that_does_not_fit_its_slot_ends_the_run_with_the_cure(slot: str, model: SlotModel, why: str) -> None:
    with pytest.raises(RunFailed, match=why) as raised:
        MgCad({slot: model}, detectors=()).run(images(), mammo.CONTEXT)
    assert "`radnode models remove mg-cad-density`" in str(raised.value)


def test_a_bundle_in_the_layout_of_the_zoos_breast_density_fills_the_slot_from_the_store(tmp_path: Path) -> None:
    said = flat_bundles.metadata(3, "classes", "Mammogram")
    said |= {"name": "Breast density classification", "task": "Breast Density Classification"}
    said["network_data_format"]["outputs"]["pred"] |= {
        "num_channels": 4, "spatial_shape": [1, 4], "channel_def": dict(zip("0123", "ABCD", strict=True))}
    bundle = bundles.write_bundle(
        tmp_path / "density", config=flat_bundles.inference(3, "classes", (30, 30)), said=said,
        network=flat_bundles.NETWORK.replace("channels, 2, 1", "channels, 4, 1"),
        state={"conv.weight": torch.zeros(4, 3, 1, 1), "conv.bias": torch.tensor([0.0, 0.0, 3.0, 0.0])})
    store.add(tmp_path / "store", bundle, name="mg-cad-density")
    found = registry.installed(models=tmp_path / "store")
    assert found.refused == {}
    manifests = found.manifests["mg-cad"], registry.installed().manifests["mg-cad"]
    assert manifests[0].model_digest != manifests[1].model_digest

    files = write_screening(screening(6, pixel_mm=0.2), tmp_path / "in", places=(("L", "CC"), ("L", "MLO")))
    answer = registry.load(found, "mg-cad")
    said_of_it = answer.run(mammo.selected(files), mammo.CONTEXT)
    assert said_of_it.classifications[0].value.meaning == "Heterogeneously dense"
    assert any("by the model mg-cad-density" in each for each in said_of_it.remarks)
