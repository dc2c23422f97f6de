"""What the gate demands of a presentation state: outlines that enclose the findings, on their images, named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from radnode.pipelines.results import placing
from radnode.pipelines.results.filling import filled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]
Key = tuple[str, str, int | None]
"""(label, SOP Instance UID, frame number)"""


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    findings = writing.findings
    wanted = bool(findings.segments or findings.detections)
    if bool(results) != wanted:
        yield "missing", f"{len(results)} presentation states, expected {int(wanted)}"
        return
    try:
        yield from _annotations(results, findings)
        for result in results:
            yield from _appearance(result, writing)
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        yield "encoding", str(error)


def _appearance(result: Dataset, writing: Writing) -> Iterator[Fault]:
    """A state's own window and polarity stand in place of the image's (PS3.4 N.2)."""
    shown = {
        str(writing.source.header(str(image.ReferencedSOPInstanceUID)).get("PhotometricInterpretation"))
        for each in result.GraphicAnnotationSequence for image in each.ReferencedImageSequence
    }
    grey = shown <= {"MONOCHROME1", "MONOCHROME2"}
    if (result.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage) != grey:
        yield "encoding", "a grey state over colour images, or the reverse"
    elif grey:
        if any(not float(window.WindowWidth) >= 1 for window in result.SoftcopyVOILUTSequence):
            yield "plausibility", "the window has no width; a viewer would apply it"
        if shown != {"MONOCHROME1" if result.PresentationLUTShape == "INVERSE" else "MONOCHROME2"}:
            yield "plausibility", "a viewer would show the images as negatives"


def _annotations(results: Sequence[Dataset], findings: Findings) -> Iterator[Fault]:
    drawn: dict[Key, list[NDArray[np.float64]]] = {}
    for annotation in (each for result in results for each in result.GraphicAnnotationSequence):
        image = annotation.ReferencedImageSequence[0]
        number = image.get("ReferencedFrameNumber")
        texts = [str(text.UnformattedTextValue) for text in annotation.get("TextObjectSequence", [])]
        if len(texts) != 1 or any(each.GraphicAnnotationUnits != "PIXEL" for each in annotation.GraphicObjectSequence):
            yield "codes", "an annotation without a name, or not in pixels"
            return
        key = (texts[0], str(image.ReferencedSOPInstanceUID), None if number is None else int(number))
        drawn.setdefault(key, []).extend(
            np.array(each.GraphicData, dtype=np.float64).reshape(-1, 2) for each in annotation.GraphicObjectSequence
        )
    masks, places = _expected(findings)
    if set(drawn) != set(masks) | set(places):
        yield "reference", "what is drawn, or the image it is drawn on, is not what was found"
        return
    for key, mask in masks.items():
        shape = (mask.shape[0], mask.shape[1])
        # Coordinates are 32-bit floats; the corners of outlines lie on half pixels, which they hold exactly.
        if not np.array_equal(filled(drawn[key], shape), mask):
            yield "voxels", f"the outline of {key[0]} does not enclose what was found"
            return
    for key, points in places.items():
        if drawn[key][0].shape != points.shape or np.abs(drawn[key][0] - points).max() > 1e-3:
            yield "geometry", f"{key[0]} does not lie where it was found"


def _expected(findings: Findings) -> tuple[dict[Key, NDArray[np.bool_]], dict[Key, NDArray[np.float64]]]:
    masks: dict[Key, NDArray[np.bool_]] = {}
    for segment in findings.segments:
        for frame, plane in findings.planes_of(segment):
            masks[segment.label, frame.sop_instance_uid, frame.frame_number] = plane
    places = {}
    for detection in findings.detections:
        placed = placing.place(detection, findings)
        places[detection.label, placed.image.sop_instance_uid, placed.image.frame_number] = placed.points
    return masks, places
