"""How a bundle that reads pictures gets one: as MONAI reads a picture file, as a file, or as a patch of a slide.

Which, its preprocessing says: it begins with MONAI's LoadImage, with a loader that the bundle brings itself, or with
neither, because its data set cuts patches out of slides.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from PIL import Image

from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.geometry import ColourImage
from radnode.pipelines.models import flat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from radnode.pipelines.models.flat import Picture

AS_PATCHES = "Each image was judged as one patch of a slide; its scale was not compared with that of the training."
_SIDEWAYS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def own_loader(transforms: Sequence[Any], own: Callable[[Any], bool]) -> Any:
    """The first transform, if it is a loader that the bundle brings. own: whether a class is the bundle's own."""
    first = next(iter(transforms), None)
    return first if own(type(first)) and type(first).__name__.startswith("Load") else None


def rows_first(loader: Any, key: str) -> bool:
    """Whether a loader gives (channels, rows, columns) of a picture, or (channels, columns, rows).

    It is shown a picture of 4 rows and 5 columns. Raises RunFailed for a loader that makes anything else of it.
    """
    with _file(np.zeros((4, 5, 3), np.uint8)) as path:
        shape = tuple(loader({key: str(path)})[key].shape)
    if shape[-2:] not in ((4, 5), (5, 4)):
        raise RunFailed(f"the bundle's own loader makes {shape} of a picture of 4 rows and 5 columns: where its "
                        "answers lie cannot be told")
    return shape[-2:] == (4, 5)


@contextmanager
def as_file(image: Picture, channels: int) -> Iterator[str]:
    """Within, the path of a PNG file with what is seen, 8 bits each, without a word about the patient."""
    with _file(flat.seen(image, channels)) as path:
        yield str(path)


def as_patch(image: Picture, shape: Sequence[int]) -> MetaTensor:
    """The image as a patch that a reader of slides cuts: (3, rows, columns), 0 to 255.

    Raises NotProcessed for an image of another shape: to scale or to cut it would show the model what it never saw.
    """
    if not isinstance(image, ColourImage) or image.shape != tuple(shape):
        said = "x".join(map(str, image.shape))
        raise NotProcessed(f"the bundle judges patches of {'x'.join(map(str, shape))} pixels in colour, cut out of "
                           f"slides; this image has {said}")
    values = torch.from_numpy(np.moveaxis(image.rgb, -1, 0).astype(np.float32))
    return MetaTensor(values, affine=torch.from_numpy(_SIDEWAYS))


@contextmanager
def _file(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="radnode-picture-") as name:
        path = Path(name) / "image.png"
        Image.fromarray(pixels).save(path)
        yield path
