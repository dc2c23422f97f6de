"""Names of structures as radiotherapy spells them (AAPM TG-263): planning systems and protocols go by the name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from radnode.pipelines.findings import Findings, Segment

_SIDES = {"7771000": "_L", "24028007": "_R"}
_BOTH, _BODY = "51440002", "38266002"

# SNOMED CT code of an organ -> its TG-263 name without the side.
_NAMES = {
    "39607008": "Lung", "80891009": "Heart", "2748008": "SpinalCord", "119238007": "Brainstem", "12738006": "Brain",
    "45289007": "Parotid", "54019009": "Glnd_Submand", "69748006": "Glnd_Thyroid", "23451007": "Glnd_Adrenal",
    "13561001": "Glnd_Lacrimal", "64033007": "Kidney", "10200004": "Liver", "89837001": "Bladder",
    "34402009": "Rectum", "41216001": "Prostate", "64739004": "SeminalVes", "71252005": "Cervix",
    "35039007": "Uterus", "15497006": "Ovary", "40689003": "Testis", "15776009": "Pancreas", "78961009": "Spleen",
    "69695003": "Stomach", "32849002": "Esophagus", "38848004": "Duodenum", "30315005": "Bowel_Small",
    "14742008": "Bowel_Large", "71854001": "Colon", "28231008": "Gallbladder", "15825003": "A_Aorta",
    "44567001": "Trachea", "4596009": "Larynx", "54066008": "Pharynx", "74262004": "Cavity_Oral", "48477009": "Lips",
    "21974007": "Tongue", "91609006": "Bone_Mandible", "2812003": "Femur_Head", "81745001": "Eye", "78076003": "Lens",
    "18234004": "OpticNrv", "244453006": "OpticChiasm", "56329008": "Pituitary", "5366008": "Hippocampus",
    "78277001": "Lobe_Temporal", "76752008": "Breast", "38266002": "External",
}
_PLURALS = {"Lung": "Lungs", "Kidney": "Kidneys", "Parotid": "Parotids", "Eye": "Eyes", "Breast": "Breasts"}
_LONGEST, _LONGEST_TEXT = 16, 1024


def structure_names(segments: Iterable[Segment]) -> tuple[str, ...]:
    """A name for each segment, unique among them, at most 16 characters of those that TG-263 allows.

    An organ without an entry keeps its label, made legal; it never gets the name of another organ.
    """
    names: list[str] = []
    for segment in segments:
        name = _name(segment)
        number = 1
        while name in names:
            number += 1
            name = f"{_name(segment)[: _LONGEST - 1 - len(str(number))]}_{number}"
        names.append(name)
    return tuple(names)


def interpreted_type(segment: Segment) -> str:
    """RT ROI Interpreted Type (PS3.3 C.8.8.8.1): dose is computed inside the one EXTERNAL; all else is an ORGAN."""
    return "EXTERNAL" if (segment.type.scheme, segment.type.value) == ("SCT", _BODY) else "ORGAN"


def description(findings: Findings) -> str:
    """What a planner reads of the set as a whole: who drew it, and what was looked for and is missing."""
    said = " ".join(("Drawn by a machine; not verified by a person.", *(each.reason for each in findings.failures)))
    return said if len(said) <= _LONGEST_TEXT else f"{said[: _LONGEST_TEXT - 3]}..."


def _name(segment: Segment) -> str:
    side = segment.laterality.value if segment.laterality else None
    known = _NAMES.get(segment.type.value) if segment.type.scheme == "SCT" and segment.site is None else None
    if known is not None and side == _BOTH:
        known = _PLURALS.get(known)
    if known is not None:
        tail = _SIDES.get(side or "", "")
        return known[: _LONGEST - len(tail)] + tail
    # TG-263 allows letters, digits and underscores.
    legal = re.sub(r"[^A-Za-z0-9]+", "_", segment.label).strip("_") or re.sub(r"[^A-Za-z0-9]+", "_", segment.key)
    return legal[:_LONGEST]
