"""What stands in a bundle's postprocessing where Invertd stood: the same, but for what "nearest" means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monai.data.meta_tensor import MetaTensor
from monai.transforms.post.dictionary import Invertd
from monai.transforms.utils import convert_applied_interp_mode

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

# They use torch's `interpolate`, whose "nearest" takes the first voxel of several: half a voxel beside the nearest.
_BY_INTERPOLATE = ("Resize", "Zoom")


class Inverted(Invertd):
    """Invertd whose nearest neighbour is the nearest one, also of what Resize and Zoom made."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._by_nearest, self.nearest_interp = self.nearest_interp, (False,) * len(self.keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The named answers on the grid of the images."""
        given = dict(data)
        for _key, original, nearest in self.key_iterator(data, self.orig_keys, self._by_nearest):
            if nearest and isinstance(image := data.get(original), MetaTensor):
                given[original] = MetaTensor(image.as_tensor(), meta=image.meta, applied_operations=[
                    convert_applied_interp_mode(each, _mode(each)) for each in image.applied_operations])
        found: dict[Hashable, Any] = super().__call__(given)
        return {**found, **{key: data[key] for key in self.orig_keys if key in data and key not in self.keys}}


def _mode(operation: Mapping[str, Any]) -> str:
    return "nearest-exact" if operation.get("class") in _BY_INTERPOLATE else "nearest"
