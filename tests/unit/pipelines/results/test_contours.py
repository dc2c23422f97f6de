"""Outlines enclose exactly the pixels of a mask, and structures get the names that radiotherapy goes by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom.sr._concepts_dict import concepts
from support import result_samples as samples

from radnode.pipelines.findings import Code
from radnode.pipelines.results.contours import keyholed, outlines
from radnode.pipelines.results.filling import filled
from radnode.pipelines.results.rtstruct import _straight
from radnode.pipelines.results.structure_names import _NAMES, structure_names

MASKS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(MASKS)
@settings(max_examples=300, deadline=None)
def test_filled_outlines_are_the_mask(mask: np.ndarray) -> None:
    assert np.array_equal(filled(outlines(mask), mask.shape), mask)
    assert np.array_equal(filled(keyholed(mask), mask.shape), mask)
    assert np.array_equal(filled([_straight(ring) for ring in keyholed(mask)], mask.shape), mask)


def test_the_outline_of_one_pixel_lies_around_its_middle() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    mask[2, 4] = True
    (ring,) = outlines(mask)
    assert sorted(map(tuple, ring.tolist())) == [(4.0, 2.5), (4.5, 2.0), (4.5, 3.0), (5.0, 2.5)]


def test_a_ring_with_two_holes_is_one_keyholed_contour() -> None:
    mask = np.ones((9, 9), dtype=bool)
    mask[2:4, 2:4] = mask[5:7, 5:7] = False
    assert len(outlines(mask)) == 3
    assert len(keyholed(mask)) == 1


def test_an_island_in_a_hole_is_a_contour_of_its_own() -> None:
    mask = np.ones((9, 9), dtype=bool)
    mask[2:7, 2:7] = False
    mask[4, 4] = True
    assert len(keyholed(mask)) == 2


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(np.zeros((3, 3), dtype=bool)) == ()


def test_a_ring_that_leaves_the_image_is_cut_off() -> None:
    ring = np.array([[-5.0, -5.0], [2.0, -5.0], [2.0, 2.0], [-5.0, 2.0]])
    assert filled([ring], (4, 4)).tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2


def test_straight_lines_keep_their_ends_only() -> None:
    square = np.array([[0.0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [0, 2]])
    assert _straight(square).tolist() == [[0, 0], [2, 0], [2, 2], [0, 2]]


def test_organs_of_a_pair_are_named_by_tg_263() -> None:
    volume = samples.volume_of(samples.stack())
    assert structure_names(samples.lungs(volume).segments) == ("Lung_R", "Lung_L")


def test_an_organ_without_an_entry_keeps_its_own_name_made_legal_and_unique() -> None:
    segment = samples.lungs(samples.volume_of(samples.stack())).segments[0]
    other = replace(segment, type=Code("1", "99X", "Thing"), label="A very long & strange label")
    assert structure_names([other, other, other]) == ("A_very_long_stra", "A_very_long_st_2", "A_very_long_st_3")
    lesion = replace(segment, site=samples.LUNG, label="Nodule 1")
    assert structure_names([lesion]) == ("Nodule_1",)


@pytest.mark.parametrize("code", _NAMES)
def test_each_code_of_a_name_is_that_organ(code: str) -> None:
    """The words of PS3.16 for the code share their beginning with a word of the name."""
    meanings = " ".join(
        f"{keyword} {meaning}".lower() for keyword, codes in concepts["SCT"].items()
        for value, (meaning, _) in codes.items() if value == code
    )
    spelled = {"Brainstem": "stem", "A_Aorta": "aort", "Femur_Head": "femoral", "OpticNrv": "optic nerve",
               "Glnd_Adrenal": "adrenal", "Glnd_Submand": "submand", "Glnd_Thyroid": "thyroid",
               "Glnd_Lacrimal": "lacrimal", "Bowel_Small": "small intest", "Bowel_Large": "large intest",
               "Bone_Mandible": "mandible", "Cavity_Oral": "oral cavity", "Lobe_Temporal": "temporal lobe",
               "SeminalVes": "seminal ves", "OpticChiasm": "optic chiasm", "SpinalCord": "spinal cord",
               "External": "entire body", "Lips": "lip"}
    name = _NAMES[code]
    assert spelled.get(name, name.lower()[:5]) in meanings
