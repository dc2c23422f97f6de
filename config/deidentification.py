"""What a destination outside the hospital gets instead of the originals: `peers.NAME.deidentify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from radnode.config.sections import Section

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from radnode.config.peers import Peer

LONGEST_NAME = 64
Retained = Literal["device", "patient-characteristics", "modified-dates", "safe-private", "uids"]
Cleaned = Literal["descriptors", "structured-content", "pixels"]
Text = Annotated[str, Field(min_length=1, max_length=64)]
Place = Annotated[int, Field(ge=0, le=100_000)]


class Mask(Section):
    """What is painted black in the images of one kind of device. boxes: (left, top, right, bottom), in pixels.

    An image is of this kind if all four are the same in it; right and bottom are the first column and row that stay.
    """

    manufacturer: Text
    model: Text
    rows: Annotated[int, Field(ge=1, le=100_000)]
    columns: Annotated[int, Field(ge=1, le=100_000)]
    boxes: Annotated[tuple[tuple[Place, Place, Place, Place], ...], Field(min_length=1)]

    @field_validator("boxes")
    @classmethod
    def _have_an_area(
        cls, value: tuple[tuple[int, int, int, int], ...]
    ) -> tuple[tuple[int, int, int, int], ...]:
        if any(left >= right or top >= bottom for left, top, right, bottom in value):
            raise ValueError("write a box as [left, top, right, bottom], left before right and top above bottom")
        return value


class Deidentification(Section):
    """The Basic Profile of PS3.15 Annex E, and what of its options. returns_to: who gets what comes back from there.

    words: that a cleaned descriptor may hold beside those of radiology that are known already.
    """

    secret_file: Path
    retain: tuple[Retained, ...] = ()
    clean: tuple[Cleaned, ...] = ()
    words: tuple[Text, ...] = ()
    masks: tuple[Mask, ...] = ()
    returns_to: tuple[str, ...] = ()

    @field_validator("clean", mode="before")
    @classmethod
    def _faces_are_not_cleaned(cls, value: object) -> object:
        if isinstance(value, list) and any("visual" in str(each) or "face" in str(each) for each in value):
            raise ValueError("recognizable visual features (faces) are not cleaned here; have them removed elsewhere")
        return value

    @model_validator(mode="after")
    def _masks_are_used(self) -> Self:
        if bool(self.masks) != ("pixels" in self.clean):
            raise ValueError("`clean: [pixels]` and `masks` go together: masks are what cleans pixels")
        return self


def contradictions(
    data: Path, peers: Mapping[str, Peer], archives: Collection[str] = ()
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Where, what each key alone allows but not all of them together, and what would be right."""
    for name, peer in peers.items():
        lane = peer.deidentify
        if lane is None:
            continue
        where = ("peers", name, "deidentify")
        if len(name) > LONGEST_NAME:
            yield ("peers", name), "too long a name for pseudonyms", f"use at most {LONGEST_NAME} characters"
        if not peer.receives:
            yield where, "nothing is sent there", "write `receives: true`, too"
        if lane.secret_file.resolve().is_relative_to(data.resolve()):
            yield (*where, "secret_file"), "it lies in the data folder, beside what it opens", "put it elsewhere"
        for key in ("answers_find", "commitment", "check_patient"):
            if getattr(peer, key):
                yield (("peers", name, key), "it would be asked about names that it must not know",
                       f"write `{key}: false`")
        if name in archives:
            yield ("archives", name), "it would be asked for patients that it must not know", "leave it out"
        yield from _of_what_returns(peer, lane, where, peers)


def _of_what_returns(
    peer: Peer, lane: Deidentification, where: tuple[str, ...], peers: Mapping[str, Peer]
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    if peer.sends and not lane.returns_to:
        yield where, "it sends, and nobody gets what comes back", "write `returns_to: [PACS1]`, or `sends: false`"
    if lane.returns_to and not peer.sends:
        yield (*where, "returns_to"), "nothing comes from it", "write `sends: true`, too"
    if lane.returns_to and "uids" in lane.retain:
        yield ((*where, "retain"), "with the UIDs of the originals, what comes back would be taken for theirs",
               "leave out `uids`, or `returns_to`")
    for name in lane.returns_to:
        target = peers.get(name)
        if target is None or not target.receives or target.deidentify is not None:
            yield ((*where, "returns_to"), f'no peer "{name}" receives inside the hospital',
                   f"peers are {', '.join(peers)}; it has `receives: true` and no `deidentify`")
