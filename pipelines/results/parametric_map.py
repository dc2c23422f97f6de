"""Saliency and probability maps as Parametric Maps (PS3.3 A.75): 32-bit numbers with their quantity and unit.

A segmentation of probabilities has 255 steps; here every number is what the model said. Few archives show floating
point pixels, so this is for research.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from highdicom import VOILUTFunctionValues, pm
from highdicom.content import VOILUTTransformation
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as PydicomCode

from radnode.pipelines.results.marking import concept, pydicom_code

if TYPE_CHECKING:
    from radnode.pipelines.findings import Map
    from radnode.pipelines.results.writing import Writing

_ANATOMICAL_STRUCTURE = "91723000"
# The whole of float32: the numbers are stored as they are.
_LIMITS = (float(np.finfo(np.float32).min), float(np.finfo(np.float32).max))


def write(writing: Writing) -> tuple[Dataset, ...]:
    """One instance in a series of its own for each map of the volume."""
    if writing.findings.volume is None:
        # highdicom's maps have a place in the patient; a projection has none.
        return ()
    maps = [each for each in writing.findings.maps if each.on is None]
    return tuple(_written(writing, each, number) for number, each in enumerate(maps, 1))


def _written(writing: Writing, shown: Map, number: int) -> Dataset:
    source = writing.source
    planes = shown.values
    if (order := [frame.frame_number for frame in writing.findings.grid.frames])[0] is not None:
        planes = np.zeros((int(source.slices[0].NumberOfFrames), *shown.values.shape[1:]), dtype=np.float32)
        planes[[each - 1 for each in order if each is not None]] = shown.values
    low, high = float(shown.values.min()), float(shown.values.max())
    result = pm.ParametricMap(
        source_images=list(source.slices),
        pixel_array=planes,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[pm.RealWorldValueMapping(
            lut_label=shown.key[:16],
            lut_explanation=shown.label[:64],
            unit=pydicom_code(shown.unit),
            value_range=_LIMITS,
            intercept=0,
            slope=1,
            quantity_definition=PydicomCode(shown.quantity.value, shown.quantity.scheme, shown.quantity.meaning),
        )],
        # Widths below 1 are allowed for the exact function only (PS3.3 C.11.2.1.3).
        voi_lut_transformations=[VOILUTTransformation(
            window_center=(low + high) / 2, window_width=max(high - low, 1e-6),
            voi_lut_function=VOILUTFunctionValues.LINEAR_EXACT,
        )],
        content_label="MAP",
        content_description=shown.label[:64],
        content_creator_name=f"AI^{writing.provenance.manifest.name}",
        **writing.common(number),
    )
    if shown.category.value == _ANATOMICAL_STRUCTURE:
        anatomy = Dataset()
        anatomy.FrameLaterality, anatomy.AnatomicRegionSequence = "U", [concept(shown.type)]
        result.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    else:
        result.Laterality = ""
    writing.finish(result)
    _sort_frames(result, writing)
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = writing.uid("dimensions", number)
    for index in result.DimensionIndexSequence:
        index.DimensionOrganizationUID = writing.uid("dimensions", number)
    return result


def _sort_frames(result: Dataset, writing: Writing) -> None:
    """Frames along the stack normal, upwards: dcmqi, and so 3D Slicer, takes their order for their place."""
    affine = writing.findings.grid.affine
    normal = np.cross(affine[:3, 2], affine[:3, 1])
    groups = list(result.PerFrameFunctionalGroupsSequence)
    along = [np.dot(normal, np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)) for group in groups]
    order = np.argsort(along)
    shape = (len(groups), int(result.Rows), int(result.Columns))
    stored = np.frombuffer(result.FloatPixelData, dtype="<f4").reshape(shape)
    result.FloatPixelData = np.ascontiguousarray(stored[order]).tobytes()
    result.PerFrameFunctionalGroupsSequence = [groups[index] for index in order]
    for number, group in enumerate(result.PerFrameFunctionalGroupsSequence, 1):
        group.FrameContentSequence[0].DimensionIndexValues = number
