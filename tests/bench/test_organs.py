"""ct-organs and rt-oar without a model on a whole CT: 300 slices of 512 x 512, how long, and how right."""

from __future__ import annotations

import os
import time

import pytest
from support.phantoms import dice, volume_of

from radnode.pipelines.contract import RunContext, StudyImages
from radnode.pipelines.ct_organs.phantom import abdomen_phantom
from radnode.pipelines.ct_organs.pipeline import CtOrgans
from radnode.pipelines.rt_oar.pipeline import pelvis

pytestmark = pytest.mark.slow

LONGEST_S = 30.0
"""Of processor time: wall time says as much about what else runs."""


def test_whole_abdomens_are_read_in_time_and_right() -> None:
    phantom = abdomen_phantom(slices=300, size=512, spacing_mm=(1.0, 0.8))
    images = StudyImages(volume=volume_of(phantom.scan), modality="CT", excluded={})
    took = {}
    for name, pipeline in (("ct-organs", CtOrgans()), ("rt-oar-pelvis", pelvis({}))):
        stages: list[str] = []
        began, cpu = time.perf_counter(), time.process_time()
        found = pipeline.run(images, RunContext(device="cpu", stage=stages.append))
        took[name] = time.process_time() - cpu
        print(f"\n{name}: {time.perf_counter() - began:.1f} s, {took[name]:.1f} s of processors, "
              f"load {os.getloadavg()[0]:.1f}; {', '.join(stages)}")
        masks = {each.key: each.mask for each in found.segments}
        if "external" in masks:
            print(f"External: Dice {dice(masks['external'], phantom.body):.4f}; "
                  f"bone: Dice {dice(masks['bone'], phantom.bone):.3f}")
        for key, known in (("skeletal-muscle", phantom.muscle), ("subcutaneous-fat", phantom.subcutaneous),
                           ("visceral-fat", phantom.visceral)):
            if key in masks:
                planes = masks[key].any(axis=(1, 2))
                print(f"{key}: Dice {dice(masks[key][planes], known[planes]):.4f}")
    assert max(took.values()) < LONGEST_S, took
