"""What lies inside the patient, on the coarse grid in canonical order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

TISSUE_HU = -500.0
# Neighbours within one axial plane: what is open to the outside is decided plane by plane, because the
# airways are open to the outside at their end.
IN_PLANE = np.zeros((3, 3, 3), np.bool_)
IN_PLANE[1] = ndimage.generate_binary_structure(2, 1)
# A front or back border of which so much is body cuts through it: air there is not outside, but lung.
_CUT_SHARE = 0.2
_SQUARE = np.ones((1, 3, 3), np.bool_)


def inside_body(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The patient with all cavities, without table and clothes.

    A table shell is thinner than three coarse voxels; opening removes it. Outside is what is connected in its
    plane with the front or back border of the images: body sides may be cut off by a small field of view.
    """
    tissue = hu > TISSUE_HU
    cores = largest(ndimage.binary_erosion(tissue, _SQUARE, border_value=1))
    if not cores.any():
        return cores
    body = ndimage.binary_dilation(cores, _SQUARE, iterations=3) & tissue
    labels, count = ndimage.label(~body, IN_PLANE)
    open_labels = np.zeros(count + 1, np.bool_)
    for row in (0, -1):
        cut = body[:, row, :].mean(axis=1) > _CUT_SHARE
        open_labels[labels[~cut, row, :].ravel()] = True
        open_labels[labels[cut, row, 0]] = True
        open_labels[labels[cut, row, -1]] = True
    open_labels[0] = False
    return np.asarray(~open_labels[labels], np.bool_)


def largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected component (faces); empty if the mask is."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(sizes.argmax()), np.bool_)
