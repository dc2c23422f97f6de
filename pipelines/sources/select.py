"""Which images of a job form the stack that a pipeline reads, in which order, and why not the others.

Whatever is doubtful about the stack as a whole ends in a refusal; nothing is interpolated, guessed or cut.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines.contract import IncompleteInput, NotProcessed
from radnode.pipelines.sources.duplicates import drop_copies, one_stack
from radnode.pipelines.sources.exclusion import reason_to_exclude
from radnode.pipelines.sources.headers import Slice, SourceInstance, Unplaced, read_instances, slices_of
from radnode.pipelines.sources.stack import Regularity, in_order, regularity, same_orientation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.contract import Manifest

__all__ = ["Selection", "SourceInstance", "read_instances", "select_stack"]

# The share of the slices that must agree in orientation, matrix and spacing.
LARGEST_GROUP = 0.75
# What a pipeline may want to know about how the images were made.
_ACQUISITION = (
    "ConvolutionKernel",
    "SliceThickness",
    "ContrastBolusAgent",
    "KVP",
    "PatientPosition",
    "BodyPartExamined",
    "PatientAge",
    "RecognizableVisualFeatures",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One regular stack.

    slices: along the stack normal (row direction x column direction).
    excluded: SOP Instance UID -> why that image is not in the stack. notes: what must travel with the result.
    acquisition: keyword -> value for attributes on which all slices agree; absent where they do not.
    """

    slices: tuple[Slice, ...]
    excluded: Mapping[str, str]
    notes: tuple[str, ...]
    acquisition: Mapping[str, str]


def select_stack(instances: Sequence[SourceInstance], manifest: Manifest) -> Selection:
    """Choose and order the slices.

    Raises NotProcessed when the images are not a stack that the pipeline reads, IncompleteInput when slices
    are missing inside it.
    """
    excluded: dict[str, str] = {}
    notes: list[str] = []
    slices = _placed(instances, manifest.modality, excluded)
    _refuse_several_series(slices)
    slices = in_order(_largest_group(slices, excluded))
    _refuse_unclear_frame_of_reference(slices)
    slices = drop_copies(slices, excluded)
    slices = one_stack(slices, excluded, notes)
    if len(slices) < max(manifest.min_slices, 2):
        raise NotProcessed(
            f"{len(slices)} slices of one stack; {manifest.name} needs at least {max(manifest.min_slices, 2)}"
            + _why_left_out(excluded)
        )
    measured = regularity(slices)
    _refuse_gaps(measured)
    _refuse_irregular(measured)
    _refuse_tilt(measured, slices, manifest)
    notes += _notes(slices, measured)
    return Selection(
        slices=tuple(slices), excluded=excluded, notes=tuple(notes), acquisition=_acquisition(slices)
    )


def _placed(instances: Sequence[SourceInstance], modality: str, excluded: dict[str, str]) -> list[Slice]:
    slices: list[Slice] = []
    seen: set[str] = set()
    for instance in sorted(instances, key=lambda each: each.sop_instance_uid):
        uid = instance.sop_instance_uid
        if not uid or not instance.dataset.get("SeriesInstanceUID"):
            raise NotProcessed(
                "an image without SOP Instance UID or Series Instance UID: no result may refer to it"
            )
        if uid in seen:
            raise NotProcessed(f"instance {uid} is there twice")
        seen.add(uid)
        reason = reason_to_exclude(instance.dataset, modality)
        if reason is None:
            try:
                slices += slices_of(instance)
            except Unplaced as error:
                reason = str(error)
        if reason is not None:
            excluded[uid] = reason
    if not slices:
        raise NotProcessed(f"no {modality} slice among {len(instances)} images" + _why_left_out(excluded))
    return slices


def _why_left_out(excluded: Mapping[str, str]) -> str:
    reasons = Counter(excluded.values()).most_common(3)
    return "".join(f"; {count} left out: {reason}" for reason, count in reasons)


def _refuse_several_series(slices: Sequence[Slice]) -> None:
    series = {str(each.instance.dataset.get("SeriesInstanceUID", "")) for each in slices}
    if len(series) > 1:
        raise NotProcessed(f"images of {len(series)} series; a job reads one")


def _largest_group(slices: Sequence[Slice], excluded: dict[str, str]) -> list[Slice]:
    """The slices that agree in orientation, matrix and pixel spacing; the rest is excluded if it is the
    smaller part.
    """
    groups: list[list[Slice]] = []
    for each in slices:
        for group in groups:
            if _alike(group[0], each):
                group.append(each)
                break
        else:
            groups.append([each])
    groups.sort(key=lambda group: -len(group))
    largest = groups[0]
    if len(largest) < LARGEST_GROUP * len(slices):
        kinds = ", ".join(f"{len(group)} of {group[0].shape[1]}x{group[0].shape[0]}" for group in groups[:4])
        raise NotProcessed(
            f"the series is a mixture: slices that agree in orientation, matrix and spacing are {kinds}"
        )
    for each in (each for group in groups[1:] for each in group):
        excluded[each.instance.sop_instance_uid] = _how_different(each, largest[0])
    mixed = {each.instance.sop_instance_uid for each in largest} & set(excluded)
    if mixed:
        raise NotProcessed(f"the frames of {min(mixed)} do not lie in one stack")
    return largest


def _alike(one: Slice, other: Slice) -> bool:
    return (
        one.shape == other.shape
        and all(abs(a - b) <= 1e-3 * a for a, b in zip(one.spacing_mm, other.spacing_mm, strict=True))
        and same_orientation(one, other)
    )


def _how_different(each: Slice, reference: Slice) -> str:
    if not same_orientation(each, reference):
        return "it has another orientation than the stack"
    if each.shape != reference.shape:
        return f"its matrix is {each.shape[1]}x{each.shape[0]}, not {reference.shape[1]}x{reference.shape[0]}"
    return "its pixel spacing is not that of the stack"


def _refuse_unclear_frame_of_reference(slices: Sequence[Slice]) -> None:
    frames = {each.text("FrameOfReferenceUID") for each in slices}
    if "" in frames:
        raise NotProcessed("images without Frame of Reference UID: their positions are not comparable")
    if len(frames) > 1:
        raise NotProcessed(f"{len(frames)} frames of reference in one series: positions are not comparable")


def _refuse_gaps(measured: Regularity) -> None:
    if measured.gaps_mm:
        shown = ", ".join(f"{gap:.2f}" for gap in measured.gaps_mm[:10])
        more = "" if len(measured.gaps_mm) <= 10 else f" and {len(measured.gaps_mm) - 10} more"
        raise IncompleteInput(
            f"slices are missing inside the stack: {len(measured.gaps_mm)}, at {shown}{more} mm along the "
            f"stack normal (spacing {measured.spacing_mm:.2f} mm)"
        )


def _refuse_irregular(measured: Regularity) -> None:
    worst = max(measured.irregular_mm, measured.scatter_mm)
    if worst > measured.tolerance_mm:
        raise NotProcessed(
            f"the slices are not regular: up to {worst:.2f} mm away from a stack with "
            f"{measured.spacing_mm:.2f} mm spacing ({measured.tolerance_mm:.2f} mm are tolerated)"
        )


def _refuse_tilt(measured: Regularity, slices: Sequence[Slice], manifest: Manifest) -> None:
    if measured.drift_mm > min(slices[0].spacing_mm) and not manifest.sheared:
        raise NotProcessed(
            f"the stack is sheared (gantry tilt): its last slice is shifted by {measured.drift_mm:.1f} mm "
            f"against the first; {manifest.name} reads rectangular stacks"
        )


def _notes(slices: Sequence[Slice], measured: Regularity) -> list[str]:
    notes = []
    if any(each.repaired for each in slices):
        notes.append("Direction cosines of the images were not exact and were made unit and orthogonal.")
    if measured.is_noteworthy:
        notes.append(
            f"Slices lie up to {measured.irregular_mm:.2f} mm away from regular positions "
            f"(spacing {measured.spacing_mm:.2f} mm)."
        )
    if any(each.text("LossyImageCompression") == "01" for each in slices):
        notes.append("The images were compressed with loss; measured values may differ from the original.")
    return notes


def _acquisition(slices: Sequence[Slice]) -> dict[str, str]:
    found = {}
    for keyword in _ACQUISITION:
        values = {each.text(keyword) for each in slices}
        if len(values) == 1 and (value := values.pop()):
            found[keyword] = value
    return found
