"""How much of the breast's area is dense: the baseline, a threshold between two kinds of tissue.

The categories follow the areas of the older editions of BI-RADS (below 25 %, to 50 %, to 75 %, above). A mammogram for
presentation has grey values that its manufacturer made for the eye, so the share is an estimate and no measurement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.findings import Code

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.mg_cad.breast import Breast

COMPOSITION = Code("129715009", "SCT", "Breast composition")
# PS3.16 CID 6000, with the upper limit of each.
CATEGORIES = (
    ("a", 0.25, Code("129716005", "SCT", "Almost entirely fat")),
    ("b", 0.50, Code("129717001", "SCT", "Scattered fibroglandular densities")),
    ("c", 0.75, Code("129718006", "SCT", "Heterogeneously dense")),
    ("d", 1.01, Code("129719003", "SCT", "Extremely dense")),
)
_RIM_MM = 12.0


def deep_tissue(breast: Breast) -> NDArray[np.bool_]:
    """The breast without its thin rim and without muscle, of `coarse`'s shape."""
    whole = np.pad(breast.mask, ((1, 1), (0, 1)))
    deep = ndimage.distance_transform_edt(whole)[1:-1, :-1] * breast.coarse_mm > _RIM_MM
    return np.asarray(deep & ~breast.muscle)


class ThresholdDensity:
    """The baseline estimate."""

    def __call__(self, breast: Breast) -> float:
        """Share of the area brighter than the middle between fat, at the breast's dark end, and its bright end."""
        values = ndimage.gaussian_filter(breast.coarse, 1.0)[deep_tissue(breast)]
        if values.size == 0:
            return 0.0
        low, high = np.percentile(values, [2, 99])
        air = float(np.median(breast.coarse[~breast.mask])) if (~breast.mask).any() else 0.0
        # What varies by less than a fifth of the fat's own brightness is all one tissue.
        if high - low < 0.2 * (low - air):
            return 0.0
        return float((values > low + 0.45 * (high - low)).sum() / (breast.mask & ~breast.muscle).sum())


def category(share: float) -> tuple[str, Code]:
    """BI-RADS letter and code."""
    return next((letter, code) for letter, limit, code in CATEGORIES if share < limit)
