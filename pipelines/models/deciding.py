"""What stands in a bundle's postprocessing where AsDiscrete stood: the same, but for how the largest class is found.

torch finds the largest of two channels of a whole CT on a processor by reading them far apart, voxel by voxel: ten
seconds. One channel after the other takes a tenth of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from monai.transforms.post.array import AsDiscrete
from monai.transforms.post.dictionary import AsDiscreted
from monai.utils.type_conversion import convert_to_dst_type

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping


def largest(values: torch.Tensor) -> torch.Tensor:
    """`torch.argmax(values, dim=0, keepdim=True)`: of equal ones the first.

    values: (channels, *grid).
    """
    if values.device.type != "cpu" or not values.is_floating_point() or bool(values.sum().isnan()):
        return values.argmax(dim=0, keepdim=True)
    best, label = values[0], torch.zeros(values.shape[1:], dtype=torch.int16)
    for number, channel in enumerate(values[1:], 1):
        label.masked_fill_(channel > best, number)
        if number + 1 < len(values):
            best = torch.maximum(best, channel)
    return label[None]


class Discrete(AsDiscrete):
    """AsDiscrete."""

    def __call__(self, img: Any, argmax: bool | None = None, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """The values, decided."""
        plain = self.kwargs.get("dim", 0) == 0 and self.kwargs.get("keepdim", True)
        if not (self.argmax if argmax is None else argmax) or not plain or not isinstance(img, torch.Tensor):
            return super().__call__(img, argmax, *args, **options)
        found = largest(img.as_subclass(torch.Tensor))
        return super().__call__(convert_to_dst_type(found, img, dtype=found.dtype)[0], False, *args, **options)


class Discreted(AsDiscreted):
    """AsDiscreted."""

    def __init__(self, keys: Any, *args: Any, **options: Any) -> None:
        super().__init__(keys, *args, **options)
        own = Discrete()
        own.kwargs = self.converter.kwargs
        self.converter = own

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The named answers, decided."""
        return dict(super().__call__(data))
