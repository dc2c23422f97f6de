"""What a pipeline says about a study, in patient coordinates and coded terms; knows no DICOM encoding.

Five kinds of finding (segment, detection, measurement, classification, map) about one volume or about projection
images, and an image that a model derived of them. "Nothing found" is an answer of its own (`Findings.nothing_found`),
and so is "this part failed because" (:class:`Failure`); a run that could not read the study at all raises and has no
findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import ColourImage, Projection, SourceFrame, Volume

STUDY = "study"
"""What a classification is about when it is about the study as a whole."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 8.8); `meaning` is spelled as in the standard, viewers compare it."""

    value: str
    scheme: str
    meaning: str


class Rendering(StrEnum):
    """Whether a workstation must show a detection (PS3.16 CID 6034)."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NOT_SHOWN = "not shown"


class Relation(StrEnum):
    """What the members of a :class:`Composite` have in common (PS3.16 CID 6035)."""

    SAME_PLACE = "same place"
    OVER_TIME = "over time"
    OPPOSITE_SIDE = "opposite side"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A region of the volume, or of one projection image.

    key: short name, unique in the findings; measurements refer to it and UIDs are derived from it.
    voxels: a bool mask, or a label map that several segments share, of which this one is `value`. Shape (slices, rows,
    columns) of the volume; (rows, columns) of the projection `on` (its SOP Instance UID); or (frames, rows, columns) of
    that image, if it has several frames. At least one voxel is set.
    category, type: CID 7150 and CID 7151. site: where it is, for what is no organ itself. laterality: CID 244.
    rgb: recommended display colour, 0-255 each. certainty: 0 to 1.
    """

    key: str
    label: str
    category: Code
    type: Code
    voxels: NDArray[np.bool_] | NDArray[np.uint8] | NDArray[np.uint16]
    rgb: tuple[int, int, int]
    value: int = 1
    site: Code | None = None
    laterality: Code | None = None
    certainty: float | None = None
    on: str | None = None

    def __post_init__(self) -> None:
        _share(self.certainty, f"the certainty of {self.key}")
        if self.voxels.dtype == np.bool_ and not self.voxels.any():
            raise ValueError(f"segment {self.key} has no voxel: say in a remark that it was not found")

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Where the segment is, bool; the array itself if it is a mask."""
        if self.voxels.dtype == np.bool_:
            return self.voxels  # type: ignore[return-value]
        return np.asarray(self.voxels == self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnImage:
    """A place on one image, in pixel coordinates (column, row).

    The top-left corner of the image is (0, 0), so the middle of its first pixel is (0.5, 0.5) (PS3.3 C.18.6.1.2).
    outline: float64 (n, 2), n at least 3, closed without repeating the first point; None if only the centre is known.
    """

    sop_instance_uid: str
    center: tuple[float, float]
    outline: NDArray[np.float64] | None = None
    frame_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InPatient:
    """A place in the patient, LPS millimetres. extent_mm: side lengths of the box around it, along L, P and S."""

    center_lps: tuple[float, float, float]
    extent_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Something found at a place.

    key: unique in the findings. type: what it is, for example (27925004, SCT, "Nodule"). certainty: 0 to 1.
    site, laterality: where. descriptors: (concept name, value), such as margins or shape.
    """

    key: str
    label: str
    type: Code
    at: OnImage | InPatient
    certainty: float | None = None
    site: Code | None = None
    laterality: Code | None = None
    descriptors: tuple[tuple[Code, Code], ...] = ()
    rendering: Rendering = Rendering.REQUIRED

    def __post_init__(self) -> None:
        _share(self.certainty, f"the certainty of {self.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """Detections that are one finding: the same mass in two views, a lesion then and now. members: their keys."""

    key: str
    label: str
    type: Code
    members: tuple[str, ...]
    relation: Relation
    certainty: float | None = None
    rendering: Rendering = Rendering.REQUIRED

    def __post_init__(self) -> None:
        _share(self.certainty, f"the certainty of {self.key}")
        if len(set(self.members)) < 2:
            raise ValueError(f"{self.key} has {len(set(self.members))} members, a composite has two or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """What a length was measured along: float64 (n, 2), (column, row) as in :class:`OnImage`, on one image."""

    sop_instance_uid: str
    points: NDArray[np.float64]
    frame_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number about one segment, detection or composite.

    of: its key. unit: UCUM. method: how it was derived (CID 7464), if it matters.
    """

    of: str
    name: Code
    value: float
    unit: Code
    method: Code | None = None
    path: Path | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise ValueError(f"{self.name.meaning} of {self.of} is {self.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """One answer out of several about a whole.

    of: `STUDY`, a Series or SOP Instance UID, or the key of another finding. frame_number: the frame of that instance,
    if it has several and the answer is about one. laterality: CID 244, for one breast.
    name: the question, value: the answer. certainty: 0 to 1.
    """

    key: str
    name: Code
    value: Code
    of: str = STUDY
    laterality: Code | None = None
    certainty: float | None = None
    frame_number: int | None = None

    def __post_init__(self) -> None:
        _share(self.certainty, f"the certainty of {self.key}")


class MapKind(StrEnum):
    """What the numbers of a map are: a probability from 0 to 1, or a saliency of any scale."""

    PROBABILITY = "probability"
    SALIENCY = "saliency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """A number for every voxel.

    values: float32, shape of the volume, or of the projection `on`. category, type: what it is a map of, as in a
    :class:`Segment`. quantity, unit: what the numbers mean.
    """

    key: str
    label: str
    kind: MapKind
    category: Code
    type: Code
    quantity: Code
    unit: Code
    values: NDArray[np.float32]
    rgb: tuple[int, int, int]
    on: str | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            raise ValueError(f"map {self.key} has values that are no numbers")
        if self.kind is MapKind.PROBABILITY and (self.values.min() < 0 or self.values.max() > 1):
            raise ValueError(f"map {self.key} has probabilities beyond 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedImage:
    """An image that a model made of the images: enhanced, translated, warped. It is never taken for an acquired one.

    values: float32, shape of the volume, on its grid. unit: UCUM. derivation: a sentence, what was made of what.
    method: CID 7203, if it has what was done.
    """

    key: str
    label: str
    values: NDArray[np.float32]
    unit: Code
    derivation: str
    method: Code | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            raise ValueError(f"image {self.key} has values that are no numbers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A part of the run that gave no answer. what: what was looked for. reason: a sentence for a radiologist.

    on: the SOP Instance UID of the image on which it was not found out; None for all of them.
    """

    what: Code
    reason: str
    on: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything one run says.

    volume: what was read, or projections: the images that were read, each frame for itself.
    looked_for: what the run searched, found or not; without it "nothing found" would mean nothing.
    remarks: sentences a radiologist must read with the numbers (a limit of the method, an odd input, a part that
    was not found). Never empty in place of a doubt.
    """

    volume: Volume | None = None
    projections: tuple[Projection | ColourImage, ...] = ()
    segments: tuple[Segment, ...] = ()
    detections: tuple[Detection, ...] = ()
    composites: tuple[Composite, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    classifications: tuple[Classification, ...] = ()
    maps: tuple[Map, ...] = ()
    derived: DerivedImage | None = None
    looked_for: tuple[Code, ...] = ()
    failures: tuple[Failure, ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.volume is None) == (not self.projections):
            raise ValueError("findings are about a volume or about projection images")
        keys = [each.key for each in self._keyed()]
        if len(set(keys)) != len(keys):
            raise ValueError(f"keys are not unique: {sorted(key for key in keys if keys.count(key) > 1)}")
        self._check_references(set(keys))
        self._check_shapes()
        self._check_label_maps()

    @property
    def grid(self) -> Volume:
        """The volume. Raises ValueError for findings about projection images."""
        if self.volume is None:
            raise ValueError("these findings are about projection images, not about a volume")
        return self.volume

    @property
    def nothing_found(self) -> bool:
        """True when the run succeeded and saw nothing: an answer, unlike a run that failed or was refused."""
        return not (self.segments or self.detections or self.classifications or self.derived)

    @property
    def images_read(self) -> int:
        """How many images, or frames of images, the run read."""
        return len(self.projections) if self.volume is None else len(self.volume.frames)

    def projection(self, sop_instance_uid: str, frame_number: int | None = None) -> Projection | ColourImage:
        """The projection image of that UID, or that frame of it. Raises KeyError."""
        for each in self.projections:
            if (each.source.sop_instance_uid, each.source.frame_number) == (sop_instance_uid, frame_number):
                return each
        raise KeyError(sop_instance_uid)

    def frames_of(self, found: Segment | Map) -> tuple[SourceFrame, ...]:
        """The image of each plane of a segment or a map, in the order of its planes; one for a flat array."""
        if found.on is None:
            return self.grid.frames
        return tuple(each.source for each in self.projections if each.source.sop_instance_uid == found.on)

    def planes_of(self, segment: Segment) -> Iterator[tuple[SourceFrame, NDArray[np.bool_]]]:
        """(image, bool (rows, columns)) of each image or frame on which the segment has a voxel."""
        mask = segment.mask
        for frame, plane in zip(self.frames_of(segment), mask if mask.ndim == 3 else mask[np.newaxis], strict=True):
            if plane.any():
                yield frame, plane

    def _keyed(self) -> Iterator[Segment | Detection | Composite | Classification | Map | DerivedImage]:
        for kind in (self.segments, self.detections, self.composites, self.classifications, self.maps):
            yield from kind
        if self.derived is not None:
            yield self.derived

    def _check_references(self, keys: set[str]) -> None:
        unknown = {measurement.of for measurement in self.measurements} - keys
        unknown |= {member for each in self.composites for member in each.members}
        unknown -= keys
        if unknown:
            raise ValueError(f"measurements or composites of unknown findings: {sorted(unknown)}")
        frames = self.volume.frames if self.volume else [each.source for each in self.projections]
        images = {(frame.sop_instance_uid, frame.frame_number) for frame in frames}
        drawn: list[OnImage | Path] = [each.at for each in self.detections if isinstance(each.at, OnImage)]
        drawn += [each.path for each in self.measurements if each.path is not None]
        places = [(each.sop_instance_uid, each.frame_number) for each in drawn]
        if not set(places) | {(each.on, None) for each in self.failures if each.on is not None} <= images:
            raise ValueError("a finding lies on an image that was not read")

    def _check_shapes(self) -> None:
        shaped: list[tuple[Segment | Map | DerivedImage, tuple[int, ...]]] = [
            (each, each.voxels.shape) for each in self.segments
        ]
        shaped += [(each, each.values.shape) for each in self.maps]
        if self.derived is not None:
            shaped.append((self.derived, self.derived.values.shape))
        for each, shape in shaped:
            on = None if isinstance(each, DerivedImage) else each.on
            expected: tuple[int, ...] = self.grid.voxels.shape if on is None else self._shape_on(on)
            if shape != expected:
                raise ValueError(f"{each.key} has shape {shape}, its images {expected}")

    def _shape_on(self, sop_instance_uid: str) -> tuple[int, ...]:
        on = [each for each in self.projections if each.source.sop_instance_uid == sop_instance_uid]
        if not on:
            raise ValueError("a finding lies on an image that was not read")
        return on[0].shape if on[0].source.frame_number is None else (len(on), *on[0].shape)

    def _check_label_maps(self) -> None:
        shared = {id(each.voxels): each.voxels for each in self.segments if each.voxels.dtype != np.bool_}
        for place, labels in shared.items():
            of_it = {each.value: each.key for each in self.segments if id(each.voxels) == place}
            for value in _absent(labels, set(of_it)):
                raise ValueError(f"segment {of_it[value]} has no voxel: say in a remark that it was not found")


def _absent(labels: NDArray[Any], values: set[int]) -> set[int]:
    """Those of the values, 0 never counting, that no voxel has; slice by slice, until all were seen."""
    for plane in labels if labels.ndim == 3 else labels[np.newaxis]:
        if values and plane.any():
            values = values - set(np.flatnonzero(np.bincount(plane.ravel())[1:]) + 1)
    return values


def values_present(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values lie on each slice of a label map: (slices, rows, columns) or (rows, columns) -> (slices, values).

    A slice for itself fits into a processor's cache.
    """
    values = int(labels.max(initial=0)) + 1
    planes = labels if labels.ndim == 3 else labels[np.newaxis]
    return np.array([np.bincount(plane.ravel(), minlength=values) > 0 for plane in planes]).reshape(-1, values)


def _share(value: float | None, what: str) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"{what} is {value}, not between 0 and 1")
