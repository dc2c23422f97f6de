"""Models of the model store in the slots of mg-cad: their answers as marks and as a category of breast density.

What is read and refused, which views belong together, and what is said of it stay those of the pipeline.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import OnImage
from radnode.pipelines.mg_cad.density import CATEGORIES, COMPOSITION
from radnode.pipelines.mg_cad.marks import CLUSTER, MASS, Mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.contract import RunContext, SlotModel, StudyImages
    from radnode.pipelines.findings import Code, Findings
    from radnode.pipelines.mg_cad.breast import Breast

DENSITY = "density"
KINDS = {"masses": MASS, "calcifications": CLUSTER}
"""Slot -> what the model in it looks for."""


def marked(
    model: SlotModel, kind: str, images: StudyImages, breasts: Sequence[Breast], context: RunContext
) -> Mapping[str, list[Mark]]:
    """SOP Instance UID -> marks by falling certainty.

    Raises RunFailed for a model of other images, and for answers that are no marks of one kind, each with a certainty.
    """
    found = _run(model, images, context)
    if found.segments or found.classifications or found.maps or len(found.looked_for) > 1:
        raise _unfit(model, "answers with something else than marks of one kind")
    on = {each.sop_instance_uid: each for each in breasts}
    marks = defaultdict[str, list[Mark]](list)
    for each in found.detections:
        if not isinstance(each.at, OnImage) or each.at.outline is None or each.certainty is None:
            raise _unfit(model, "answers with marks that have no outline or no certainty")
        outline = on[each.at.sop_instance_uid].of_image(each.at.outline)
        low, high = outline.min(0), outline.max(0)
        marks[each.at.sop_instance_uid].append(Mark(
            kind=kind, outline=outline, certainty=each.certainty,
            center=(float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2)))
    return {uid: sorted(each, key=lambda mark: -mark.certainty) for uid, each in marks.items()}


def composition(model: SlotModel, images: StudyImages, context: RunContext) -> tuple[Code, str]:
    """The category of the middle view, of an even number the denser, and a sentence about it.

    Raises RunFailed for a model of other images, and for one that does not give each view one of the four categories.
    """
    letters = {code: letter for letter, _, code in CATEGORIES}
    found = [each.value for each in _run(model, images, context).classifications if each.name == COMPOSITION]
    if len(found) != len(images.projections) or not letters.keys() >= set(found):
        raise _unfit(model, "does not give each image one of the four categories of breast density")
    ranks = sorted(letters[each] for each in found)
    letter = ranks[len(ranks) // 2]
    return (next(code for code, each in letters.items() if each == letter),
            f"Breast density: category {letter}, by the model {_name(model)}; of the views one by one: "
            f"{', '.join(ranks)}.")


def said(model: SlotModel, kind: str) -> str:
    """The sentence about marks that are a model's."""
    what = {MASS: "Masses", CLUSTER: "Calcifications"}[kind]
    return f"{what} are marked by the model {_name(model)}, in place of the baseline."


def _run(model: SlotModel, images: StudyImages, context: RunContext) -> Findings:
    if (model.manifest.modality, model.manifest.reads) not in (("MG", "projection"), ("MG", "screening")):
        raise _unfit(model, "does not read mammograms as they are shown")
    return model.pipeline.run(images, context)


def _name(model: SlotModel) -> str:
    return f"{model.manifest.name} {model.manifest.version} (SHA-256 {model.manifest.model_digest[:12]})"


def _unfit(model: SlotModel, why: str) -> RunFailed:
    name = model.manifest.name
    return RunFailed(f"the model {name} in the slot {why}; `radnode models remove {name}`, and add one that does")
