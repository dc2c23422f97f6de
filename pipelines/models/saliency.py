"""Which part of a picture spoke for a class: Grad-CAM of a classifier (Selvaraju et al., ICCV 2017, equations 1 and 2).

The layer is the last whose answer is still a picture. MONAI's own (`monai.visualize.GradCAM`) is not used because it
leaves its hooks on the network, which stays warm here; `tests/unit/pipelines/models/test_saliency.py` compares with it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from scipy import ndimage

from radnode.pipelines.findings import Code, Map, MapKind
from radnode.pipelines.models.flat import key_of
from radnode.pipelines.models.terms import PRESENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.findings import Classification, Findings
    from radnode.pipelines.models.classes import Answered
    from radnode.pipelines.models.flat import Picture

MOST = 4
"""So many maps of an image, of the surest classes: each is as large as the image."""
WHAT_IT_IS = (
    "A saliency map shows which part of the picture spoke for a class, on a scale of its own from 0 to 1, the map's "
    "largest value. It is no outline of a finding, no measurement, and no proof that the model is right."
)
OF_ITS_OWN = "No saliency map was made: the bundle loads pictures in a way of its own."
_PLACE = Code("309825002", "SCT", "Spatial and Relational Concept")
_SALIENCY, _NO_UNIT = Code("130404", "DCM", "Saliency"), Code("1", "UCUM", "no units")
_RGB = (255, 120, 0)


@runtime_checkable
class Explaining(Protocol):
    """A pipeline that classifies and can show which part of the picture spoke for its answers."""

    def explained(self, images: StudyImages, context: RunContext) -> Findings:
        """What `run` says, with a saliency map of each class that is said to be there, or a remark why there is none.

        Raises :class:`PipelineError`.
        """
        ...


class NoMap(Exception):
    """There is no saliency map; the message says why, for a radiologist."""


@dataclass(slots=True)
class Shown:
    """What a network was shown during one run: a tensor each time it was called."""

    tensors: list[Any] = field(default_factory=list)

    def only(self) -> torch.Tensor:
        """The one picture that it saw. Raises NoMap for a network that was called otherwise."""
        if len(self.tensors) != 1 or not isinstance(self.tensors[0], torch.Tensor):
            raise NoMap(f"the network was called {len(self.tensors)} times, not once with one picture")
        seen = self.tensors[0]
        if seen.ndim != 4 or seen.shape[0] != 1:
            raise NoMap(f"the network does not read one picture at a time but {tuple(seen.shape)}")
        return seen


@contextmanager
def watched(network: torch.nn.Module) -> Iterator[Shown]:
    """Within, what the network is shown is kept."""
    shown = Shown()
    handle = network.register_forward_pre_hook(lambda _, given: shown.tensors.append(next(iter(given), None)))
    try:
        yield shown
    finally:
        handle.remove()


def grad_cam(network: torch.nn.Module, picture: torch.Tensor, channel: int) -> torch.Tensor:
    """How much each part of the picture spoke for a class, before any sigmoid or softmax of the bundle.

    picture: (1, channels, *size). Returns float32 of `size` on the CPU, from 0, its largest value 1; all zeros where
    nothing spoke for the class. Raises NoMap for a network without a layer that answers with a picture, and for one
    that does not answer with a number for each class.
    """
    with torch.inference_mode(False), torch.enable_grad(), _pictures(network) as pictures:
        seen = picture.detach().clone().as_subclass(torch.Tensor).float()
        answer = network(seen.clone().requires_grad_())
        if not isinstance(answer, torch.Tensor) or answer.reshape(answer.shape[0], -1).shape[1] <= channel:
            raise NoMap("the network does not answer with a number for each class")
        if not pictures:
            raise NoMap("no layer of the network answers with a picture")
        (slope,) = torch.autograd.grad(answer.reshape(answer.shape[0], -1)[0, channel], pictures[-1], allow_unused=True)
    if slope is None:
        raise NoMap("its answer does not depend on the last layer that answers with a picture")
    weights = slope.mean(dim=(2, 3), keepdim=True)
    cam = torch.relu((weights * pictures[-1].detach()).sum(dim=1, keepdim=True))
    cam = torch.nn.functional.interpolate(cam, size=seen.shape[2:], mode="bilinear", align_corners=False)[0, 0]
    return (cam / cam.max().clamp(min=1e-12)).cpu() if float(cam.max()) > 0 else torch.zeros_like(cam).cpu()


def to_source(cam: torch.Tensor, seen: torch.Tensor, image: Picture) -> NDArray[np.float32]:
    """A map on what the network saw, on the pixels of the image: (rows, columns), linear, 0 where it saw nothing.

    cam: (i, j). seen: what the network was shown, whose affine leads from (i, j) to (column, row) of the image. Raises
    NoMap where it does not say where it lies.
    """
    affine = getattr(seen, "affine", None)
    matrix = None if affine is None else affine.cpu().numpy().astype(np.float64).reshape(-1, 4, 4)[0]
    # The unit matrix is also what is left where a transform has lost the place.
    if matrix is None or (np.array_equal(matrix, np.eye(4)) and tuple(cam.shape) != image.shape[::-1]):
        raise NoMap("the bundle's preprocessing does not say where on the image its result lies")
    there = np.linalg.inv(matrix)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    at = [there[axis, 0] * columns + there[axis, 1] * rows + there[axis, 3] for axis in (0, 1)]
    limits = [size - 0.5 for size in cam.shape]
    inside = (at[0] >= -0.5) & (at[0] <= limits[0]) & (at[1] >= -0.5) & (at[1] <= limits[1])
    values = ndimage.map_coordinates(cam.numpy().astype(np.float32), at, order=1, mode="nearest", output=np.float32)
    return np.where(inside, values, np.float32(0))


def with_maps(
    found: Findings, answered: Sequence[Answered], shown: Sequence[Shown], network: torch.nn.Module
) -> Findings:
    """The findings with a map of each class that is said to be there, up to `MOST` an image.

    answered, shown: of each image. Why there is no map of an image is a remark. Raises RunFailed as the network does.
    """
    answers = {(each.of, each.frame_number, each.key): each for each in found.classifications}
    maps: list[Map] = []
    remarks: dict[str, None] = {}
    for number, (image, one, seen) in enumerate(zip(found.projections, answered, shown, strict=True), 1):
        source = image.source
        if source.frame_number is not None:
            remarks["No saliency map was made: the image has several frames."] = None
            continue
        held = {channel: answers[source.sop_instance_uid, None, key_of(key, number)]
                for channel, key in one.held.items()}
        surest = sorted(held, key=lambda channel: -(held[channel].certainty or 0))
        try:
            for channel in surest[:MOST]:
                cam = grad_cam(network, seen.only(), channel)
                if float(cam.max()) == 0:
                    remarks[f"No saliency map of {_said(held[channel])}: nothing in the picture spoke for it."] = None
                    continue
                maps.append(_map(held[channel], to_source(cam, seen.only(), image)))
        except NoMap as why:
            remarks[f"No saliency map was made: {why}."] = None
        if len(surest) > MOST:
            remarks[f"Saliency maps were made of the {MOST} surest of {len(surest)} classes."] = None
    said = (WHAT_IT_IS,) if maps else ()
    return replace(found, maps=(*found.maps, *maps), remarks=(*found.remarks, *said, *remarks))


def _map(answer: Classification, values: NDArray[np.float32]) -> Map:
    concept = answer.name if answer.value == PRESENT else answer.value
    return Map(key=f"saliency-{answer.key}", label=f"Saliency: {_said(answer)}"[:64], kind=MapKind.SALIENCY,
               category=_PLACE, type=concept, quantity=_SALIENCY, unit=_NO_UNIT, values=values, rgb=_RGB, on=answer.of)


def _said(answer: Classification) -> str:
    return (answer.name if answer.value == PRESENT else answer.value).meaning


@contextmanager
def _pictures(network: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """Within, the answers of layers that are pictures of more than one pixel, in the order in which they were made."""
    made: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, __: Any, answer: Any) -> Any:
        if isinstance(answer, torch.Tensor) and answer.ndim == 4 and min(answer.shape[2:]) > 1 and answer.requires_grad:
            made.append(answer)
            return answer.clone()  # what follows may change it in place
        return None

    handles = [each.register_forward_hook(keep) for each in network.modules() if not list(each.children())]
    try:
        yield made
    finally:
        for handle in handles:
            handle.remove()
