"""Words that may stay in a description: those of examinations, which are nobody's.

A list of what may stay, because nobody can list what may not. What a patient is called like is found by the gate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_WORDS = """
ct cr dx mr mri mg us pt pet nm rt xa rf cta mra spect angio angiography mammography radiograph scan scanogram study
series image images localizer localiser scout topogram surview survey smartprep tracker calibration phantom dose
report abdomen abdominal ankle aorta aortic arm bladder bone brain breast cardiac carotid cervical chest coronary cord
elbow extremity face femur foot hand head heart hip humerus kidney knee larynx leg liver lumbar lung lungs mandible
mediastinum neck nodule orbit orbits organ organs pancreas pelvis pelvic prostate rib ribs sacrum shoulder sinus
sinuses skull spine spinal spleen sternum stomach thigh thoracic thorax thyroid tibia toe trunk vessel vertebra
vertebrae whole body wrist abd ax axial cor coronal sag sagittal obl oblique transverse tra ap pa lat lateral cc mlo
supine prone feet first left right upper lower anterior posterior superior inferior bilateral inner outer both side
arterial art portal venous ven delayed late early phase native plain contrast enhanced unenhanced nc ce with without
wo w iv oral bolus km inspiration expiration insp exp breath hold free breathing gated ecg trigger triggered t1 t2 t1w
t2w pd pdw flair stir dwi dti adc dixon fat sat fs fatsat suppressed water opposed in out swi swan gre tse fse se epi
tof mprage space vibe lava thrive haste ssfse trufi fiesta propeller blade dynamic perfusion diffusion trace 2d 3d 4d
mpr mip minip vrt iso thin thick slice slices kernel soft tissue sharp standard detail smooth hr hrct fov recon
reconstruction filter average volume stack helical spiral axials sequential low high ultra resolution segmentation
measurements measurement findings result results radnode screening follow up baseline original derived primary
secondary mm cm sec s ms kv ma mas of the and for by to from at on no not one two three
"""
KNOWN = frozenset(_WORDS.split())
_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,3})?(?:mm|cm|s|kv)?", re.IGNORECASE)
_JOINTS = re.compile(r"[-+/_,;:()&.]+")


def cleaned(text: str, more: Collection[str] = frozenset()) -> str:
    """The words of a text that may stay, in their order, and short numbers that follow one; empty if there is none.

    A number after a number may be a part of a day or of an identifier, and goes. more: words in lower case that an
    administrator knows to be nobody's.
    """
    kept: list[str] = []
    after_word = False
    for token in text.split():
        parts = [part for part in _JOINTS.split(token) if part]
        if parts and all(part.lower() in KNOWN or part.lower() in more for part in parts):
            kept.append(token.strip("-+,;:&."))
            after_word = True
        else:
            if after_word and _NUMBER.fullmatch(token):
                kept.append(token)
            after_word = False
    return " ".join(kept)


def unchanged(text: str, more: Collection[str] = frozenset()) -> str:
    """A sentence of which all may stay, else nothing: without one of its words it may say the opposite."""
    return text if len(cleaned(text, more).split()) == len(text.split()) else ""
