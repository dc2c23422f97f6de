"""The pipeline: frontal chest radiographs in; checks of the picture and, with a model in its slot, findings out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.cr_chest import remarks
from radnode.pipelines.cr_chest.quality import check
from radnode.pipelines.findings import Classification, Code, Failure, Findings
from radnode.pipelines.geometry import Projection
from radnode.pipelines.models.saliency import Explaining
from radnode.pipelines.slot import WithModel

if TYPE_CHECKING:

    import numpy as np
    from numpy.typing import NDArray

    from radnode.pipelines.contract import RunContext, SlotModel, StudyImages
    from radnode.pipelines.cr_chest.quality import Quality

SLOT = "findings"
FRONTAL = ("PA", "AP")
CHEST = ("CHEST", "THORAX", "LUNG", "LUNGS")
"""Body Part Examined (PS3.16 Annex L), and what is written instead."""

# PS3.16 CID 6135 for what is wrong with a picture; the questions have no code there.
QUALITY, POSITIONING = Code("111052", "DCM", "Quality Finding"), Code("111209", "DCM", "Positioning")
UPRIGHT = Code("PICTURE_UPRIGHT", "99RADNODE", "Picture is upright")
HEART = Code("HEART_ON_LEFT", "99RADNODE", "Heart on the patient's left, by Patient Orientation")
YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
UNDETERMINED = Code("373068000", "SCT", "Undetermined")
FINDING = Code("121071", "DCM", "Finding")


class CrChest(WithModel):
    """Checks of each frontal picture; findings of the model that fills the slot `findings`, with saliency maps."""

    slot = SLOT

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Read the pictures. Raises NotProcessed if none is a frontal chest radiograph that is as its tags say."""
        context.stage("checking the pictures")
        body_part = images.acquisition.get("BodyPartExamined", "").strip().upper()
        pictures = [each for each in images.projections if isinstance(each, Projection)]
        if any(each.source.frame_number is not None for each in pictures):
            raise NotProcessed("an image has several frames; a radiograph of the chest is one picture")
        seen = {_uid(each): check(_display(each)) for each in pictures}
        refused = {_uid(each): reason for each in pictures
                   if (reason := _no_frontal_chest(each, seen[_uid(each)], body_part))}
        if len(refused) == len(pictures):
            raise NotProcessed("; ".join(dict.fromkeys(refused.values())))
        read = [each for each in pictures if _uid(each) not in refused]
        failures = [Failure(what=FINDING, reason=f"This image was not read: {reason}.", on=uid)
                    for uid, reason in refused.items()]
        said = [remarks.METHOD]
        for each in read:
            number = f"Image {pictures.index(each) + 1}: " if len(pictures) > 1 else ""
            said += [f"{number}{sentence}" for sentence in remarks.on_the_picture(each, seen[_uid(each)])]
        found = Findings(
            projections=tuple(pictures), remarks=tuple(said),
            classifications=tuple(answer for number, each in enumerate(read, 1)
                                  for answer in _answers(each, seen[_uid(each)], number)),
        )
        readable = [each for each in read if seen[_uid(each)].readable]
        failures += [Failure(what=FINDING, on=_uid(each), reason="Findings were not looked for: "
                             f"{remarks.why_unreadable(seen[_uid(each)])}.") for each in read if each not in readable]
        if self.model is None:
            return replace(found, failures=tuple(failures), remarks=(remarks.NOT_LOOKED_FOR, *found.remarks))
        found = replace(found, failures=tuple(failures))
        return _with_model(found, self.model, replace(images, projections=tuple(readable)), context) \
            if readable else found


def _with_model(found: Findings, model: SlotModel, images: StudyImages, context: RunContext) -> Findings:
    """Raises RunFailed for a model that does not classify radiographs."""
    said = model.manifest
    if said.reads != "projection" or said.modality not in ("CR", "DX"):
        raise RunFailed(f"the model {said.name} in the slot does not read radiographs (DX, CR) as they are shown; "
                        f"`radnode models remove {said.name}`, and add one that does")
    context.stage("looking for findings")
    pipeline = model.pipeline
    answered = pipeline.explained(images, context) if isinstance(pipeline, Explaining) else \
        pipeline.run(images, context)
    if not answered.classifications or answered.segments or answered.detections:
        raise RunFailed(f"the model {said.name} in the slot does not answer with classes alone; "
                        f"`radnode models remove {said.name}`, and add one that does")
    return replace(
        found, classifications=(*found.classifications, *answered.classifications), maps=answered.maps,
        looked_for=tuple(dict.fromkeys(each.name for each in answered.classifications)),
        remarks=(remarks.by_the_model(said.name, said.version, said.model_digest), *answered.remarks, *found.remarks),
    )


def _no_frontal_chest(image: Projection, quality: Quality, body_part: str) -> str | None:
    """Why an image is no frontal radiograph of the chest; None if it may be one."""
    view = image.view.upper()
    if view and view not in FRONTAL:
        return f"its View Position is {image.view}, not PA or AP"
    if body_part and body_part not in CHEST:
        return f"its Body Part Examined is {body_part}, not CHEST"
    if not quality.fields and not quality.inverted and not (view and body_part):
        return ("two lung fields were not found in the picture, and the image does not say that it is a frontal view "
                "of the chest (View Position, Body Part Examined)")
    return None


def _answers(image: Projection, quality: Quality, number: int) -> list[Classification]:
    """The answers about one picture, in codes."""
    uid = _uid(image)
    upright = False if quality.lying else quality.upright
    side = remarks.side_of_patient(image, quality.heart) if quality.heart else None
    heart = None if side is None else side == "left"
    found = [Classification(key=f"upright-{number}", name=UPRIGHT, value=_code(upright), of=uid),
             Classification(key=f"heart-{number}", name=HEART, value=_code(heart), of=uid)]
    if quality.cut or quality.spine_off is not None:
        found.append(Classification(key=f"positioning-{number}", name=QUALITY, value=POSITIONING, of=uid))
    return found


def _code(answer: bool | None) -> Code:
    return UNDETERMINED if answer is None else YES if answer else NO


def _uid(image: Projection) -> str:
    return image.source.sop_instance_uid


def _display(image: Projection) -> NDArray[np.uint8]:
    if image.display is None:
        raise NotProcessed("the images are not for presentation")
    return image.display
