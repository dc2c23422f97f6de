"""Names of labels in public bundles, by their own words, get the codes of the standard; sides become laterality."""

from __future__ import annotations

import re

import pytest

from radnode.pipelines.models import terms
from radnode.pipelines.models.terms import ABNORMAL, LEFT, PRIVATE, RIGHT, term


def numbered(stem: str, numbers: range) -> list[str]:
    return [stem.format(number) for number in numbers]


def both(stem: str) -> list[str]:
    return [stem.format("left"), stem.format("right")]


VERTEBRAE = [*numbered("L{}", range(1, 6)), *numbered("T{}", range(1, 13)), *numbered("C{}", range(1, 8))]
ORGANS = [
    "spleen", "gallbladder", "liver", "stomach", "aorta", "inferior_vena_cava", "superior vena cava", "pancreas",
    "portal_vein_and_splenic_vein", "Portal and Splenic Veins", "esophagus", "trachea", "heart_myocardium", "heart",
    "heart_atrium_left", "heart_ventricle_left", "heart_atrium_right", "heart_ventricle_right", "pulmonary_artery",
    "brain", "small_bowel", "duodenum", "colon", "sacrum", "face", "urinary_bladder", "bladder", "rectum", "lung",
    "bone", "kidney", "prostate", "pulmonary vein", "skull", "spinal cord", "sternum", "thyroid gland", "airway",
    "brachiocephalic trunk", "costal cartilages", "IVC", "artery", "vein", "ureter", "portal vein", "hepatic vessel",
    "lv_pool", "rv_pool", "myocardium", "peripheral zone", "nuclei", "vertebrae L6", "vertebrae S1",
    "lung_middle_lobe_right", "right lung middle lobe", *(f"vertebrae_{each}" for each in VERTEBRAE),
]
PAIRS = [
    "kidney_{}", "adrenal_gland_{}", "lung_upper_lobe_{}", "lung_lower_lobe_{}", "iliac_artery_{}", "iliac_vena_{}",
    "humerus_{}", "scapula_{}", "clavicula_{}", "femur_{}", "hip_{}", "gluteus_maximus_{}", "gluteus_medius_{}",
    "gluteus_minimus_{}", "autochthon_{}", "iliopsoas_{}", "{} lung upper lobe", "{} lung lower lobe", "{} kidney cyst",
    "{} brachiocephalic vein", "{} common carotid artery", "{} subclavian artery",
    *(f"rib_{{}}_{number}" for number in range(1, 13)), *(f"{{}} rib {number}" for number in range(1, 13)),
    "{}-Accumbens-Area", "{}-Amygdala", "{}-Caudate", "{}-Cerebellum-Exterior", "{}-Cerebellum-White-Matter",
    "{}-Cerebral-White-Matter", "{}-Hippocampus", "{}-Inf-Lat-Vent", "{}-Lateral-Ventricle", "{}-Pallidum",
    "{}-Putamen", "{}-Thalamus-Proper", "{}-Ventral-DC", "{}-Ent---entorhinal-area",
]
TUMOURS = ["tumor", "lung tumor", "liver tumor", "hepatic tumor", "pancreatic tumor", "colon cancer primaries",
           "bone lesion", "kidney mass", "neoplasm", "Tumor core", "Whole tumor", "Enhancing tumor", "metastasis",
           "lung nodule"]
BRAIN = ["3rd-Ventricle", "4th-Ventricle", "Brain-Stem"]
# The standard has no gyri and no parts of the kidney; a combination of organs is no organ.
WITHOUT_A_CODE = [
    "prostate or uterus", "central gland", "kidney cortex", "medulla", "pelvicalyceal system", "parenchyma", "tools",
    "left atrial appendage", "Left-Basal-Forebrain", "Cerebellar-Vermal-Lobules-I-V", "Right-AnG---angular-gyrus",
    "Left-SPL---superior-parietal-lobule", "in body", "category 1", "circle",
]


@pytest.mark.parametrize("name", [*ORGANS, *(name for pair in PAIRS for name in both(pair)), *TUMOURS, *BRAIN])
def test_a_name_that_public_bundles_use_has_a_code_of_the_standard(name: str) -> None:
    meant = term(name)
    assert meant.type.scheme != PRIVATE
    assert len(meant.label) <= 64


@pytest.mark.parametrize("pair", [*PAIRS, "heart_atrium_{}", "heart_ventricle_{}"])
def test_left_and_right_never_mean_the_same(pair: str) -> None:
    left, right = (term(name) for name in both(pair))
    assert (left.type, left.laterality) != (right.type, right.laterality)
    for meant, side, word in ((left, LEFT, "left"), (right, RIGHT, "right")):
        assert meant.laterality == side or (meant.laterality is None and word in meant.type.meaning.lower())


@pytest.mark.parametrize("name", WITHOUT_A_CODE)
def test_a_name_without_a_code_keeps_its_authors_words(name: str) -> None:
    meant = term(name)
    assert (meant.type.scheme, meant.type.meaning) == (PRIVATE, meant.label)
    assert re.sub(r"\W|_", "", meant.label) == re.sub(r"\W|_", "", name)
    assert len(meant.type.value) <= 16
    assert (meant.laterality == LEFT) == ("left" in name.lower())


@pytest.mark.parametrize(
    ("name", "kind", "place"),
    [("lung tumor", "Neoplasm", "Lung"), ("pancreatic tumor", "Neoplasm", "Pancreas"),
     ("bone lesion", "Lesion", "Bone"), ("colon cancer primaries", "Neoplasm, Primary", "Colon"),
     ("left kidney cyst", "Cyst", "Kidney"),
     ("kidney mass", "Mass", "Kidney"), ("lung nodule", "Nodule", "Lung"), ("metastasis", "Neoplasm, Secondary", None)],
)
def test_what_is_abnormal_says_what_it_is_and_where(name: str, kind: str, place: str | None) -> None:
    meant = term(name)
    assert (meant.category, meant.type.meaning) == (ABNORMAL, kind)
    assert (meant.site.meaning if meant.site else None) == place


def test_every_listed_name_leads_to_a_concept_of_the_standard() -> None:
    listed = terms._labels()
    assert all(terms._structure(meaning) for part in ("structures", "one_sided") for meaning in listed[part].values())
    for name in listed["abnormal"]:
        assert term(name).type.scheme != PRIVATE


def test_every_spelling_of_a_name_is_one_structure() -> None:
    meant = {(each.type, each.laterality)
             for each in map(term, ("kidney_right", "Right Kidney", "right-kidney", "KidneyRight", "Right Kideny"))}
    assert len(meant) == 1
