"""What of a corrected or other result is compared, and what is not taken for a correction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from radnode.pipelines.evaluation import beside
from radnode.pipelines.evaluation.truth import ReferenceRefused
from radnode.pipelines.findings import Code, Findings, Segment
from radnode.pipelines.geometry import SourceFrame, Volume

ORGAN = Code("91723000", "SCT", "Anatomical structure")
LIVER, SPLEEN = Code("10200004", "SCT", "Liver"), Code("78961009", "SCT", "Spleen")
SHAPE = (4, 20, 20)
VOLUME = Volume(
    voxels=np.zeros(SHAPE, np.float32), valid=np.ones(SHAPE, np.bool_), affine=np.diag([1.0, 1.0, 1.0, 1.0]),
    frames=tuple(SourceFrame(sop_class_uid="1.2", sop_instance_uid=f"1.2.{n}", frame_number=None) for n in range(4)),
    series_instance_uid="1.3", frame_of_reference_uid="1.4",
)


def segment(kind: Code, columns: slice, key: str = "") -> Segment:
    mask = np.zeros(SHAPE, np.bool_)
    mask[:, :, columns] = True
    return Segment(key=key or kind.meaning, label=kind.meaning, category=ORGAN, type=kind, voxels=mask, rgb=(1, 2, 3))


def findings(*segments: Any) -> Findings:
    return Findings(volume=VOLUME, segments=segments)


def test_two_that_found_the_same_organ_are_compared_in_it_and_what_only_one_has_is_listed_without_a_dice() -> None:
    found = beside.of_findings(findings(segment(LIVER, slice(0, 10))),
                               findings(segment(LIVER, slice(5, 15)), segment(SPLEEN, slice(0, 2))))
    told = {each.name: each for each in found.structures}
    assert told["Liver"].dice == pytest.approx(0.5)
    assert (told["Liver"].found_ml, told["Liver"].reference_ml) == (0.8, 0.8)
    assert told["Spleen"].dice is None


def test_what_shares_no_structure_is_no_correction() -> None:
    """Else every segmentation of another organ of the study would count as a Dice of 0."""
    with pytest.raises(ReferenceRefused):
        beside.of_findings(findings(segment(LIVER, slice(0, 10))), findings(segment(SPLEEN, slice(0, 10))))


def test_a_question_about_what_is_not_there_is_answered_with_a_reason() -> None:
    order = {"job_key": "k", "pipeline": "nobody", "revision": 1, "instances": [], "input_digest": "",
             "configuration_digest": "", "forms": [], "content_qualification": "RESEARCH", "output_folder": "",
             "device": "cpu", "node_version": "", "prior_remarks": [], "priors": [], "predecessors": []}
    assert beside.answer({"order": order, "models": "", "findings": "x", "object": "y"}) == {
        "refused": "the pipeline nobody is no longer installed"}
    assert beside.answer({}) == {"refused": "it cannot be compared (KeyError)"}
