"""RT Structure Sets: contours filled on the slices of the images.

Contours on one slice count by even and odd (PS3.3 C.8.8.6.3: CLOSED_PLANAR_XOR, and how planning systems draw holes);
a hole that is joined by a keyhole counts the same. A voxel is inside where its centre is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom

from radnode.pipelines.evaluation.naming import Reference
from radnode.pipelines.evaluation.reading_seg import code_of, frame_of_reference
from radnode.pipelines.evaluation.truth import ReferenceRefused, Structure, Truth
from radnode.pipelines.geometry import to_index
from radnode.pipelines.models.terms import term
from radnode.pipelines.results import filling
from radnode.pipelines.results.decoding import GRID_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Affine, Volume

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_UNREADABLE = (AttributeError, KeyError, IndexError, ValueError, TypeError)


def reference(path: Path, source: str, header: Dataset) -> Reference:
    """A structure set, of the series that it names."""
    series = tuple(
        str(each.SeriesInstanceUID)
        for frame in header.get("ReferencedFrameOfReferenceSequence", [])
        for study in frame.get("RTReferencedStudySequence", [])
        for each in study.get("RTReferencedSeriesSequence", [])
    )

    def read(findings: Findings) -> Truth:
        if findings.volume is None:
            raise ReferenceRefused("contours of slices, and the pipeline reads images that are no slices")
        return _truth(path, findings.volume)

    return Reference(source=source, study=str(header.get("StudyInstanceUID", "")), series=series, read=read)


def filled(contours: Sequence[NDArray[np.float64]], affine: Affine, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask of closed contours.

    contours: (n, 3) each, LPS millimetres. affine: (4, 4), index to LPS millimetres. Returns bool, `shape`. Raises
    ReferenceRefused for contours beside the slices, outside the images, or on every second slice alone.
    """
    rings: dict[int, list[NDArray[np.float64]]] = {}
    for points in contours:
        index = to_index(affine, points)
        place = int(np.rint(index[0, 0]))
        if np.abs(index[:, 0] - place).max() > GRID_TOLERANCE:
            raise ReferenceRefused("its contours do not lie on the slices of the images: between them, or turned")
        low, high = np.floor(index[:, 1:].min(axis=0)), np.ceil(index[:, 1:].max(axis=0))
        if not 0 <= place < shape[0] or (low < -1).any() or (high > np.array(shape[1:])).any():
            raise ReferenceRefused("its contours reach beyond the images")
        rings.setdefault(place, []).append(index[:, [2, 1]] + 0.5)
    _refuse_sparse(sorted(rings))
    mask = np.zeros(shape, dtype=np.bool_)
    for place, of_slice in rings.items():
        mask[place] = filling.filled(of_slice, (shape[1], shape[2]))
    return mask


def _refuse_sparse(places: Sequence[int]) -> None:
    """Between contours on every second slice there is an organ that nobody drew."""
    if len(places) > 2 and float(np.median(np.diff(places))) > 1:
        raise ReferenceRefused("it has contours on some of the slices only; interpolate them where they were drawn")


def _truth(path: Path, volume: Volume) -> Truth:
    try:
        dataset = pydicom.dcmread(path)
        observed = {int(each.ReferencedROINumber): each for each in dataset.get("RTROIObservationsSequence", [])}
        drawn = {int(each.ReferencedROINumber): each for each in dataset.get("ROIContourSequence", [])}
        structures: list[Structure] = []
        notes: list[str] = []
        for region in dataset.StructureSetROISequence:
            frame_of_reference(str(region.get("ReferencedFrameOfReferenceUID", "")), volume)
            number = int(region.ROINumber)
            contours = list(drawn[number].get("ContourSequence", [])) if number in drawn else []
            try:
                structures.append(_structure(region, observed.get(number), contours, volume))
            except ReferenceRefused as error:
                notes.append(f"the region {region.ROIName} was not compared: {error}")
    except _UNREADABLE as error:
        raise ReferenceRefused(f"it cannot be read as a structure set ({type(error).__name__})") from error
    if not structures:
        raise ReferenceRefused("; ".join(notes[:5]) or "it has no region")
    return Truth(structures=tuple(structures), notes=tuple(notes))


def _structure(region: Dataset, observed: Dataset | None, contours: Sequence[Dataset], volume: Volume) -> Structure:
    """Named by its code where it has one, else by its name (AAPM TG-263). Raises ReferenceRefused."""
    name = str(region.ROIName)
    if not contours or any(str(each.ContourGeometricType) not in _CLOSED for each in contours):
        raise ReferenceRefused("it has no closed contours")
    points = [np.array(each.ContourData, dtype=np.float64).reshape(-1, 3) for each in contours]
    mask = filled(points, volume.affine, volume.voxels.shape)
    codes = observed.get("RTROIIdentificationCodeSequence") if observed is not None else None
    if codes:
        sides = codes[0].get("SegmentedPropertyTypeModifierCodeSequence", [])
        return Structure(label=name, voxels=mask, type=code_of(codes[0]),
                         laterality=code_of(sides[0]) if sides else None)
    meant = term(name)
    return Structure(label=name, voxels=mask, type=meant.type, laterality=meant.laterality)
