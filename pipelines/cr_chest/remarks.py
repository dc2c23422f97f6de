"""The sentences a radiologist must read with the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radnode.pipelines.cr_chest.quality import Quality
    from radnode.pipelines.geometry import Projection

METHOD = (
    "Checks of the picture by a research baseline without trained weights, measured on projected phantoms only: "
    "whether it is upright, whether a lung field reaches an edge, the side of the heart, exchanged black and white, "
    "a spine off the middle. That nothing is said of rotation is no proof that there is none. Cut apices, depth of "
    "inspiration, exposure and motion were not checked."
)
NOT_LOOKED_FOR = "No model is there: no finding was looked for, and nothing is said about disease."
NO_FIELDS = (
    "Two lung fields were not found in the picture: it could not be checked. A field that is wholly opaque looks like "
    "that."
)
_TURNED = (
    "The brightest line between the lungs (as a rule the spine) lies {share:.0%} of the width of the chest to the "
    "{side} of the middle, as the picture is shown: the patient may be turned about the long axis, the spine be "
    "curved, or what lies between the lungs be shifted. Compare the medial ends of the clavicles."
)
_WRONG_SIDE = (
    "The heart lies on the {side} of this picture, where its Patient Orientation has the patient's {patient}: "
    "exchanged sides or situs inversus. Nothing was exchanged here."
)
_UNKNOWN_SIDE = (
    "The heart lies on the {side} of this picture. The image does not say where left and right are (Patient "
    "Orientation)."
)


def by_the_model(name: str, version: str, digest: str) -> str:
    """Which model answered."""
    return f"Findings by the model {name} {version} (SHA-256 {digest[:12]}); an answer `absent` excludes nothing."


def on_the_picture(image: Projection, quality: Quality) -> list[str]:
    """What was seen that a reader must know."""
    said = [] if quality.fields or quality.inverted else [NO_FIELDS]
    if quality.cut:
        said.append(f"A lung field reaches the edge of the picture or nearly ({', '.join(quality.cut)}): parts of the "
                    "lungs may lie outside.")
    if quality.fields and quality.upright is None and not quality.lying:
        said.append("Whether the picture is upright could not be told.")
    if quality.spine_off is not None:
        said.append(_TURNED.format(share=abs(quality.spine_off), side="right" if quality.spine_off > 0 else "left"))
    if quality.heart is not None:
        patient = side_of_patient(image, quality.heart)
        if patient is None:
            said.append(_UNKNOWN_SIDE.format(side=quality.heart))
        elif patient != "left":
            said.append(_WRONG_SIDE.format(side=quality.heart, patient=patient))
    return said


def side_of_patient(image: Projection, side: str) -> str | None:
    """Which side of the patient lies on a side of the picture, by Patient Orientation; None if it does not say."""
    towards = {"L": "left", "R": "right"}.get(image.orientation[0][:1]) if image.orientation else None
    if towards is None:
        return None
    return towards if side == "right" else {"left": "right", "right": "left"}[towards]


def why_unreadable(quality: Quality) -> str:
    """Why a model is not shown the picture."""
    if quality.inverted:
        return "black and white seem to be exchanged (Photometric Interpretation against the picture)"
    return "the picture seems to lie on its side" if quality.lying else "the picture seems to be upside down"
