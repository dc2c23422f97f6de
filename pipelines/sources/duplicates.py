"""What to do when several slices of a series lie at one place.

The same pixels twice: one is left out. Different pixels: the series holds several stacks (phases, kernels),
which are told apart by an attribute, one of them is read and the choice is said; or nothing is read.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

import pydicom

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.sources.stack import along_normal, coincident, in_order, regularity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.sources.headers import Slice

# In this order. An acquisition is a scan; the others are what a scanner makes of one scan.
_SEPARATORS = (
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "StackID",
    "ConvolutionKernel",
    "SliceThickness",
    "AcquisitionDateTime",
    "AcquisitionTime",
)
# What makes other images of the same anatomy: which of them a pipeline wants, nobody but its author knows.
_CONTENTS = ("EffectiveEchoTime", "EchoTime", "DiffusionBValue", "InversionTime", "InversionTimes", "FrameType",
             "ImageType", "ComplexImageComponent", "NominalCardiacTriggerDelayTime", "TriggerTime")


def drop_copies(ordered: Sequence[Slice], excluded: dict[str, str]) -> list[Slice]:
    """Leave out, with a reason, slices at one place whose pixels are the same."""
    copies = set()
    for group in coincident(ordered):
        if any(each.frame_number is not None for each in group):
            continue
        kept: dict[str, str] = {}
        for each in sorted(group, key=lambda one: one.instance.sop_instance_uid):
            uid = each.instance.sop_instance_uid
            original = kept.setdefault(_pixel_digest(each), uid)
            if original != uid:
                excluded[uid] = f"it repeats {original}: same place, same pixels"
                copies.add(uid)
    return [each for each in ordered if each.instance.sop_instance_uid not in copies]


def one_stack(ordered: Sequence[Slice], excluded: dict[str, str], notes: list[str]) -> list[Slice]:
    """The slices of one stack. Raises NotProcessed when several lie at one place and nothing tells them
    apart.
    """
    groups = coincident(ordered)
    if not groups and not _looks_interleaved(ordered):
        return list(ordered)
    for keyword in _SEPARATORS:
        stacks = _separate(ordered, keyword)
        if len(stacks) > 1 and not any(coincident(stack) for stack in stacks.values()):
            return _choose(stacks, keyword, excluded, notes)
    if groups:
        place = float(along_normal(ordered)[ordered.index(groups[0][0])])
        raise NotProcessed(
            f"several different images lie at the same place ({len(groups)} places, the first at "
            f"{place:.2f} mm along the stack normal){_how_they_differ(groups[0])}; send one stack per series"
        )
    return list(ordered)


def _how_they_differ(group: Sequence[Slice]) -> str:
    for keyword in _CONTENTS:
        values = {each.text(keyword) for each in group}
        if len(values) > 1:
            return f" that differ in {keyword} ({', '.join(value or 'absent' for value in sorted(values))})"
    return " and no attribute tells them apart"


def _looks_interleaved(ordered: Sequence[Slice]) -> bool:
    """Two stacks with an offset: no gap, but no regular spacing either."""
    if len(ordered) < 3:
        return False
    measured = regularity(ordered)
    return not measured.gaps_mm and measured.irregular_mm > measured.tolerance_mm


def _separate(ordered: Sequence[Slice], keyword: str) -> dict[str, list[Slice]]:
    stacks = defaultdict(list)
    for each in ordered:
        stacks[each.text(keyword)].append(each)
    return {value: in_order(stack) for value, stack in stacks.items()}


def _choose(
    stacks: dict[str, list[Slice]], keyword: str, excluded: dict[str, str], notes: list[str]
) -> list[Slice]:
    """The stack with most slices; of equals the one with the lowest value."""
    order = sorted(stacks, key=lambda value: (-len(stacks[value]), len(value), value))
    chosen = order[0]
    read = {each.instance.sop_instance_uid for each in stacks[chosen]}
    for value in order[1:]:
        for each in (each for each in stacks[value] if each.instance.sop_instance_uid not in read):
            excluded[each.instance.sop_instance_uid] = (
                f"it belongs to another stack of the series ({keyword} {value or 'absent'})"
            )
    notes.append(
        f"The series holds {len(stacks)} stacks that differ in {keyword} "
        f"({', '.join(value or 'absent' for value in sorted(stacks))}); "
        f"only the one with {keyword} {chosen or 'absent'} was read."
    )
    return stacks[chosen]


def _pixel_digest(each: Slice) -> str:
    dataset = pydicom.dcmread(each.instance.path, specific_tags=["PixelData"])
    return hashlib.sha256(dataset.get("PixelData", b"")).hexdigest()
