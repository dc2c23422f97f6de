"""What stands in a bundle's preprocessing where LoadImage stood: the image is in memory already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monai.transforms.transform import MapTransform, Transform
from monai.transforms.utility.array import EnsureChannelFirst, EnsureType

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.models.inputs import LABELS

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import torch


class Received(Transform):
    """LoadImage, of an image that was read from DICOM. dtype, ensure_channel_first: as LoadImage's.

    over_time: slices are given as nibabel gives images over time, (columns, rows, 1, slices).
    """

    def __init__(
        self, dtype: str | torch.dtype | None = None, ensure_channel_first: bool = False, image_only: bool = True,
        over_time: bool = False,
    ) -> None:
        self._over_time = over_time
        self._as_type = EnsureType(dtype=dtype) if dtype is not None else None
        self._channel_first = EnsureChannelFirst() if ensure_channel_first else None

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """The image in the wanted type, with a channel axis if LoadImage would have added it."""
        if self._as_type is not None:
            image = self._as_type(image)
        if self._over_time:
            return image.unsqueeze(2)
        return self._channel_first(image) if self._channel_first is not None else image


class Receivedd(MapTransform):
    """LoadImaged, likewise; the truth beside images, which only training has, is not asked for."""

    def __init__(
        self, keys: Sequence[Hashable] | Hashable, allow_missing_keys: bool = False, image_only: bool = True,
        **options: Any,
    ) -> None:
        """image_only: without the header beside it, under the key and `_meta_dict`, as LoadImaged gives it else."""
        super().__init__(keys, allow_missing_keys)
        self._image_only = image_only
        self.keys = tuple(key for key in self.keys if len(self.keys) == 1 or key not in LABELS)
        self._received = Received(**options)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Every named image as :class:`Received` gives it. Raises RunFailed for one that is no image."""
        found = dict(data)
        for key in self.key_iterator(found):
            if isinstance(found[key], (str, bytes)):
                raise RunFailed(f"the bundle reads a file of its own for {key!a}; it gets images in memory only")
            found[key] = self._received(found[key])
            if not self._image_only:
                found[f"{key}_meta_dict"] = dict(found[key].meta)
        return found
