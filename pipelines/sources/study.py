"""The images of a pipeline that reads several: each series chosen, decoded, and brought onto the first one's grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import IncompleteInput, NotProcessed, StudyImages
from radnode.pipelines.inputs import Content
from radnode.pipelines.sources import alignment
from radnode.pipelines.sources.choice import Series, choose, lacking, refusal
from radnode.pipelines.sources.select import select_stack
from radnode.pipelines.sources.uptake import check_activity, suvbw_factor
from radnode.pipelines.sources.volume import read_images

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.contract import Manifest
    from radnode.pipelines.geometry import Volume
    from radnode.pipelines.inputs import Input
    from radnode.pipelines.sources.headers import SourceInstance
    from radnode.pipelines.sources.select import Selection

_NO_INPUT = "it belongs to no series that was chosen as an input"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySelection:
    """One regular stack for each input, by its name, in the manifest's order. names: input -> what its series is
    called. excluded: SOP Instance UID -> why that image is in none of them. lacking: optional input -> why it is none.
    """

    selections: Mapping[str, Selection]
    names: Mapping[str, str]
    excluded: Mapping[str, str]
    lacking: Mapping[str, str]


def select_study(instances: Sequence[SourceInstance], manifest: Manifest) -> StudySelection:
    """Choose the series of each input and order their slices.

    Raises NotProcessed, naming the input and what speaks against every series, IncompleteInput for a gap in one.
    """
    of_series: dict[str, list[SourceInstance]] = {}
    for each in instances:
        of_series.setdefault(str(each.dataset.get("SeriesInstanceUID", "")), []).append(each)
    choices = choose(
        [Series(series_instance_uid=uid, headers=tuple(each.dataset for each in found))
         for uid, found in of_series.items()],
        manifest.inputs, registers=manifest.registers,
    )
    if sentence := refusal(choices):
        raise NotProcessed(sentence)
    by_header = {id(each.dataset): each for each in instances}
    selections: dict[str, Selection] = {}
    missing = lacking(choices)
    for wanted, choice in zip(manifest.inputs, choices, strict=True):
        if choice.stack is None:
            continue
        try:
            headers = choice.stack.headers
            selections[wanted.name] = _stack(wanted, [by_header[id(header)] for header in headers], manifest)
        except NotProcessed as error:
            _forgive(wanted, error, missing)
    read = {each.instance.sop_instance_uid for selection in selections.values() for each in selection.slices}
    excluded = {each.sop_instance_uid: _NO_INPUT for each in instances if each.sop_instance_uid not in read}
    for selection in selections.values():
        excluded.update(selection.excluded)
    return StudySelection(
        selections=selections, excluded=excluded, lacking=missing,
        names={choice.name: choice.reason for choice in choices if choice.name in selections},
    )


def read_study(selection: StudySelection, manifest: Manifest) -> StudyImages:
    """Decode all inputs and bring them onto the grid of the first; what was done to them is in the notes.

    Raises NotProcessed for images that share no coordinates where no registration is permitted, that do not register,
    or that do not reach over enough of the reference. An optional input is left out for it.
    """
    reference, *others = manifest.inputs
    images = _read(reference, selection.selections[reference.name])
    notes = [f"Read as {name}: {said}." for name, said in selection.names.items()]
    notes += images.notes
    found, missing = {}, dict(selection.lacking)
    for wanted in (each for each in others if each.name in selection.selections):
        try:
            read = _read(wanted, selection.selections[wanted.name])
            found[wanted.name], said = _onto(images.volume, read.volume, wanted, manifest)
        except NotProcessed as error:
            _forgive(wanted, error, missing)
        else:
            notes += [f"{wanted.name}: {note}" for note in read.notes] + ([said] if said else [])
    return replace(images, excluded=selection.excluded, notes=tuple(dict.fromkeys(notes)), others=found,
                   lacking=missing)


def _forgive(wanted: Input, error: NotProcessed, missing: dict[str, str]) -> None:
    """Take note that an optional input cannot be read. Raises the error again for another."""
    if not wanted.optional:
        raise error
    missing[wanted.name] = str(error)


def _stack(wanted: Input, instances: Sequence[SourceInstance], manifest: Manifest) -> Selection:
    try:
        return select_stack(instances, replace(manifest, modality=wanted.modality, min_slices=wanted.min_slices))
    except IncompleteInput as error:
        raise IncompleteInput(f"input {wanted.name}: {error}") from error
    except NotProcessed as error:
        raise NotProcessed(f"input {wanted.name}: {error}") from error


def _read(wanted: Input, selection: Selection) -> StudyImages:
    """One input, PET in the unit that is wanted of it. Raises NotProcessed where that unit cannot be had."""
    headers = [each.instance.dataset for each in selection.slices]
    try:
        factor, said = suvbw_factor(headers) if wanted.content is Content.SUV else (1.0, "")
        if wanted.content is Content.ACTIVITY:
            check_activity(headers)
    except NotProcessed as error:
        raise NotProcessed(f"input {wanted.name}: {error}") from error
    images = read_images(selection, wanted.modality)
    if factor != 1.0:
        images = replace(images, volume=replace(images.volume, voxels=images.volume.voxels * np.float32(factor)))
    return replace(images, notes=(*images.notes, said)) if said else images


def _onto(reference: Volume, volume: Volume, wanted: Input, manifest: Manifest) -> tuple[Volume, str]:
    """The image on the reference's grid, and what was done to it."""
    name = wanted.name
    if volume.frame_of_reference_uid == reference.frame_of_reference_uid:
        if alignment.same_grid(volume, reference):
            return volume, ""
        moved, how = alignment.resample(volume, reference), ""
    elif not manifest.registers:
        raise NotProcessed(f"input {name} has another frame of reference than {manifest.inputs[0].name}, and "
                           f"{manifest.name} permits no registration")
    else:
        try:
            motion = alignment.register(volume, reference)
        except NotProcessed as error:
            raise NotProcessed(f"input {name}: {error}") from error
        moved = alignment.resample(volume, reference, motion.matrix)
        how = (f" after rigid registration, because it has another frame of reference: moved by up to "
               f"{motion.moved_mm:.1f} mm, two starts ended {motion.apart_mm:.2f} mm apart, mutual information "
               f"{motion.mutual_information:.2f}")
    covered = float(np.count_nonzero(moved.valid)) / moved.valid.size
    if covered < wanted.coverage:
        raise NotProcessed(f"input {name} covers {covered:.0%} of {manifest.inputs[0].name}; "
                           f"{manifest.name} wants {wanted.coverage:.0%}")
    of = " x ".join(f"{each:.3g}" for each in volume.spacing_mm)
    beyond = f"; it covers {covered:.0%} of it" if covered < 0.995 else ""
    return moved, f"{name} (voxels of {of} mm) was resampled onto the grid of {manifest.inputs[0].name}{how}{beyond}."
