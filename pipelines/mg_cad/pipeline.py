"""The pipeline: the views of a screening in, marks out."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.findings import (
    Classification,
    Code,
    Composite,
    Detection,
    Failure,
    Findings,
    Measurement,
    OnImage,
    Relation,
    Rendering,
)
from radnode.pipelines.geometry import Projection
from radnode.pipelines.mg_cad import remarks, slots
from radnode.pipelines.mg_cad.breast import Unreadable, find_breast
from radnode.pipelines.mg_cad.clusters import Clusters
from radnode.pipelines.mg_cad.comparison import compared
from radnode.pipelines.mg_cad.correspondence import pairs
from radnode.pipelines.mg_cad.density import COMPOSITION, ThresholdDensity, category
from radnode.pipelines.mg_cad.marks import CLUSTER, MASS
from radnode.pipelines.mg_cad.masses import Masses
from radnode.pipelines.slot import WithModels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.contract import RunContext, SlotModel, StudyImages
    from radnode.pipelines.mg_cad.breast import Breast
    from radnode.pipelines.mg_cad.marks import DensityEstimate, Detector, Mark

OPERATING_POINT, SHOWN_AT_ALL = 0.7, 0.4
"""Certainty from which a mark must be shown, and from which it is reported."""
# Detectors have pixels of 0.05 to 0.1 mm; from twice that on, most calcifications are smaller than a pixel.
COARSEST_MM = 0.21

# PS3.16 CID 6014 and, for what is in both views, CID 6016; a mass on one image has no other word in CID 6014.
TYPES = {MASS: Code("129793001", "SCT", "Mammography breast density"),
         CLUSTER: Code("129769006", "SCT", "Calcification Cluster")}
COMPOSITES = {MASS: Code("129788004", "SCT", "Mammographic breast mass"), CLUSTER: TYPES[CLUSTER]}
_DISTRIBUTION = Code("111008", "DCM", "Calcification Distribution")
_GROUPED = Code("129766004", "SCT", "Grouped calcification distribution")
_NUMBER, _UNITY = Code("111038", "DCM", "Number of calcifications"), Code("1", "UCUM", "no units")
_SIDES = {"L": ("left", Code("7771000", "SCT", "Left")), "R": ("right", Code("24028007", "SCT", "Right"))}
_WORDS = {MASS: "Mass", CLUSTER: "Calcifications"}


class MgCad(WithModels):
    """Masses and clusters on each view, those that both views show, and breast density.

    models: slot -> the model of the model store in it, which takes the place of a baseline. detectors, density: what
    does without the store, in a package whose manifest names a function that returns such an `MgCad`.
    """

    def __init__(
        self, models: Mapping[str, SlotModel] | None = None, *, detectors: Sequence[Detector] | None = None,
        density: DensityEstimate | None = None,
    ) -> None:
        super().__init__(models)
        self._detectors = tuple(detectors) if detectors is not None else (Masses(), Clusters())
        self._density = density if density is not None else ThresholdDensity()

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Read the views. Raises NotProcessed if on no image a breast is found that lies as its tags say."""
        projections = [each for each in images.projections if isinstance(each, Projection)]
        breasts: list[Breast] = []
        failures: list[Failure] = []
        context.stage("finding the breasts")
        for image in projections:
            try:
                _refuse_coarse(image)
                breasts.append(find_breast(image))
            except Unreadable as why:
                reason = f"{_SIDES[image.laterality][0].capitalize()} {image.view}: {why}."
                failures += [Failure(what=TYPES[each.kind], reason=reason, on=image.source.sop_instance_uid)
                             for each in self._detectors]
        if not breasts:
            raise NotProcessed(" ".join(dict.fromkeys(each.reason for each in failures)))
        read = {each.sop_instance_uid for each in breasts}
        shown = replace(images, projections=tuple(each for each in projections if each.source.sop_instance_uid in read))
        of_models = {kind: slots.marked(self.models[slot], kind, shown, breasts, context)
                     for slot, kind in slots.KINDS.items() if slot in self.models}
        found: dict[int, list[Mark]] = {}
        for breast in breasts:
            context.stage(f"{_SIDES[breast.side][0]} {breast.view}")
            found[id(breast)] = [
                mark for detector in self._detectors
                for mark in (of_models[detector.kind].get(breast.sop_instance_uid, [])
                             if detector.kind in of_models else detector(breast))
                if mark.certainty >= SHOWN_AT_ALL]
        names = {id(mark): _Name(breast, mark, number)
                 for breast in breasts for number, mark in enumerate(found[id(breast)], 1)}
        code, on_density = self._composition(shown, breasts, context)
        sides, not_compared = compared(breasts, projections)
        return Findings(
            projections=tuple(projections),
            detections=tuple(_detection(breast, mark, names[id(mark)])
                             for breast in breasts for mark in found[id(breast)]),
            composites=tuple(_composites(breasts, found, names)),
            measurements=tuple(Measurement(of=names[id(mark)].key, name=_NUMBER, value=mark.count, unit=_UNITY)
                               for each in found.values() for mark in each if mark.kind == CLUSTER and mark.count),
            classifications=(Classification(key="density", name=COMPOSITION, value=code),),
            looked_for=tuple(TYPES[each.kind] for each in self._detectors),
            failures=tuple(failures),
            remarks=(*self._on_method(), remarks.operating_point(OPERATING_POINT), on_density,
                     *map(remarks.on_comparison, sides), *not_compared,
                     *remarks.on_the_device(images.acquisition),
                     *remarks.on_orientation(sum(each.orientation is None for each in projections))),
        )

    def _composition(
        self, images: StudyImages, breasts: Sequence[Breast], context: RunContext
    ) -> tuple[Code, str]:
        """The category, and the sentence about it."""
        if (model := self.models.get(slots.DENSITY)) is not None:
            return slots.composition(model, images, context)
        share = median(self._density(breast) for breast in breasts)
        letter, code = category(share)
        return code, remarks.on_density(letter, share)

    def _on_method(self) -> list[str]:
        """What made the marks: the baseline unless models took all of its places."""
        filled = {kind: self.models[slot] for slot, kind in slots.KINDS.items() if slot in self.models}
        baseline = [each for each in self._detectors if each.kind not in filled]
        of_baseline = [remarks.METHOD] if baseline or not filled else []
        return [*of_baseline, *(slots.said(each, kind) for kind, each in filled.items())]


class _Name:
    """What a mark is called. number: of the mark on its image."""

    def __init__(self, breast: Breast, mark: Mark, number: int) -> None:
        self.key = f"{breast.side}{breast.view}-{mark.kind}-{number}".lower()
        self.label = f"{number} {_WORDS[mark.kind]}, {_SIDES[breast.side][0]} {breast.view}"


def _refuse_coarse(image: Projection) -> None:
    """Raises Unreadable where no calcification could be seen: "none found" would be no answer."""
    if image.spacing_mm is not None and max(image.spacing_mm) > COARSEST_MM:
        raise Unreadable(f"its pixels of {max(image.spacing_mm):.2f} mm are too coarse for calcifications; the images "
                         "of the modality are needed, not copies of them made smaller")


def _rendering(certainty: float) -> Rendering:
    return Rendering.REQUIRED if certainty >= OPERATING_POINT else Rendering.OPTIONAL


def _detection(breast: Breast, mark: Mark, name: _Name) -> Detection:
    height = breast.fine.shape[0] + breast.origin[1]
    outline = breast.on_image(mark.outline).clip([0, 0], [breast.width, height])
    center = breast.on_image(np.array([mark.center]))[0]
    return Detection(
        key=name.key, label=name.label, type=TYPES[mark.kind], certainty=mark.certainty,
        at=OnImage(sop_instance_uid=breast.sop_instance_uid, center=(float(center[0]), float(center[1])),
                   outline=outline),
        laterality=_SIDES[breast.side][1], descriptors=((_DISTRIBUTION, _GROUPED),) if mark.kind == CLUSTER else (),
        rendering=_rendering(mark.certainty),
    )


def _composites(
    breasts: Sequence[Breast], found: dict[int, list[Mark]], names: dict[int, _Name]
) -> list[Composite]:
    """One for each lesion that both views of a breast show, as sure as the surer view."""
    composites = []
    for side, (name, _) in _SIDES.items():
        views = {each.view: each for each in breasts if each.side == side}
        for one, other in pairs(views, {view: found[id(each)] for view, each in views.items()}):
            certainty = max(one.certainty, other.certainty)
            members = names[id(one)].key, names[id(other)].key
            composites.append(Composite(
                key=" and ".join(members), label=f"{_WORDS[one.kind]}, {name} breast",
                type=COMPOSITES[one.kind], members=members, relation=Relation.SAME_PLACE,
                certainty=certainty, rendering=_rendering(certainty),
            ))
    return composites
