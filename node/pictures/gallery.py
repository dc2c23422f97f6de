"""The pictures of the studies that a node holds: reads tables, asks the image processes, remembers what was read."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from radnode.node.dicomweb_out.holdings import NotHeld
from radnode.node.dicomweb_out.image_processes import ImageRefused, ImageUnreadable, Overloaded
from radnode.node.pictures import readings
from radnode.node.pictures.slices import PROJECTIONS, Slice, frames_of, slices_of
from radnode.storage import listing_queries, showing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.node.dicomweb_out.holdings import Holdings
    from radnode.node.pictures.readings import Reading
    from radnode.storage.database import Database
    from radnode.storage.listing_queries import InstanceFound
    from radnode.storage.showing import ShownJob, ShownObject, ShownSeries, ShownStudy

_STORAGE = "1.2.840.10008.5.1.4.1.1."
SEGMENTATIONS = tuple(f"{_STORAGE}66.{number}" for number in (4, 7))
"""Segmentation and Label Map Segmentation."""
REPORTS = tuple(f"{_STORAGE}88.{number}" for number in (22, 33, 34, 50, 65))
"""Enhanced, Comprehensive and Comprehensive 3D SR; Mammography and Chest CAD SR."""
MOST_OBJECTS = 40
MOST_TRIES = 5
MOST_REMEMBERED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One series, ready to be leafed through.

    by_place: whether its pictures are in the order of their places. window: centre and width to begin with, None for
    that of each picture. hounsfield: whether its values are Hounsfield units. unread: why none of its middle pictures
    can be read.
    """

    study: ShownStudy
    series: ShownSeries
    slices: tuple[Slice, ...]
    by_place: bool
    window: tuple[float, float] | None = None
    window_of: str = ""
    hounsfield: bool = False
    colour: bool = False
    unread: str = ""


class Gallery:
    """For any thread. Raises NotHeld for what is not there or not of the study that is named."""

    def __init__(self, database: Database, holdings: Holdings) -> None:
        self._database = database
        self._holdings = holdings
        self._lock = threading.Lock()
        self._read: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()

    def study(self, study_id: int) -> tuple[ShownStudy, list[ShownSeries], int]:
        """A study, its series, and how many of its images are not shown: unreadable ones, and ones in conflict."""
        with self._database.read() as session:
            study = showing.study(session, study_id)
            if study is None:
                raise NotHeld("the node has no pictures of this study")
            return study, showing.series(session, study_id), listing_queries.withheld(session, study.study_instance_uid)

    def series(self, study_id: int, address: str) -> Shown:
        """One series of a study."""
        study, all_series, _ = self.study(study_id)
        series = next((each for each in all_series if each.address == address), None)
        if series is None:
            raise NotHeld("the study has no such series that can be shown")
        with self._database.read() as session:
            images = showing.images(session, series.listed_id)
        pictures = [each for each in images if each.attributes.get("PixelDataPresent")]
        places: dict[int, Sequence[Mapping[str, Any]]] = {}
        for each in pictures:
            if self._is_asked(each):
                # An image that cannot be read is shown by its reason, in its place.
                with contextlib.suppress(ImageUnreadable, ImageRefused):
                    places[each.id] = self._asked("planes", each)["frames"]
        slices, by_place = slices_of(pictures, places)
        facts, unread = self._facts(slices)
        flat = series.attributes.get("Modality") in PROJECTIONS
        window = facts.get("window")
        is_own = flat and facts.get("window_of") == "header"
        return Shown(
            study=study, series=series, slices=slices, by_place=by_place,
            window=(window[0], window[1]) if window and not is_own else None,
            unread=unread, window_of=facts.get("window_of", ""), hounsfield=facts.get("hounsfield", False),
            colour=facts.get("colour", False),
        )

    def _facts(self, slices: Sequence[Slice]) -> tuple[dict[str, Any], str]:
        """How a series begins to be shown: as its middle picture says, or the next that can be read; else why not."""
        why = ""
        for each in sorted(slices, key=lambda each: abs(slices.index(each) - len(slices) // 2))[:MOST_TRIES]:
            try:
                return self._asked("planes", each.instance), ""
            except (ImageUnreadable, ImageRefused) as error:
                why = str(error)
        return {}, why

    def middle(self, study_id: int, address: str) -> tuple[InstanceFound, int]:
        """The picture that stands for a series, and its frame: the one in the middle."""
        with self._database.read() as session:
            listed = showing.listed_id(session, study_id, address)
            images = showing.images(session, listed) if listed is not None else []
        pictures = [each for each in images if each.attributes.get("PixelDataPresent")]
        if not pictures:
            raise NotHeld("there is no picture of this series")
        found = pictures[len(pictures) // 2]
        return found, (frames_of(found.attributes) + 1) // 2

    def instance(self, study_id: int, number: int) -> InstanceFound:
        """One instance of a study."""
        with self._database.read() as session:
            found = showing.image(session, study_id, number)
        if found is None:
            raise NotHeld("the study has no such picture")
        return found

    def layer(
        self, study_id: int, on: int, frame: int, segmentation: InstanceFound
    ) -> tuple[tuple[int, ...], dict[int, readings.Colour]]:
        """The frames of a segmentation on one frame of an image of the study, and the colours of its segments."""
        with self._database.read() as session:
            image = showing.image(session, study_id, on)
        if image is None or segmentation.sop_class_uid not in SEGMENTATIONS:
            raise NotHeld("the study has no such picture")
        places = {image.id: self._asked("planes", image)["frames"]} if self._is_asked(image) else {}
        slices, _ = slices_of([image], places)
        at = next((number for number, each in enumerate(slices) if each.frame == frame), None)
        reading = readings.of_segments(self._asked("segments", segmentation), slices)
        colours = {each.segment: each.colour for each in reading.findings if each.segment is not None}
        return (() if at is None else reading.layers.get(at, ())), colours

    @staticmethod
    def _is_asked(image: InstanceFound) -> bool:
        """Whether the known header does not say where each frame lies."""
        return image.is_result or frames_of(image.attributes) > 1

    def picture(
        self, instance: InstanceFound, frame: int, *, window: tuple[float, float] | None, size: int, kind: str
    ) -> bytes:
        """A frame. size: the longest side, pixels. Raises NotHeld, ImageRefused, ImageUnreadable, Overloaded."""
        if not 1 <= frame <= frames_of(instance.attributes):
            raise NotHeld("the image has no such frame")
        _, blobs = self._holdings.images.ask(
            "picture", self._holdings.path(instance), frame=frame, window=window, size=(size, size), kind=kind,
            quality=90,
        )
        return blobs[0]

    def overlay(
        self, segmentation: InstanceFound, frames: Sequence[int], colours: Mapping[int, Sequence[int]]
    ) -> bytes:
        """These frames of a segmentation, transparent where nothing is. Raises the errors of :meth:`picture`."""
        _, blobs = self._holdings.images.ask(
            "overlay", self._holdings.path(segmentation), layers=list(frames),
            colours={str(number): list(colour) for number, colour in colours.items()},
        )
        return blobs[0]

    def objects(self, study_id: int) -> tuple[list[ShownObject], bool]:
        """What can be drawn or listed of a study, newest first, and whether there is more."""
        with self._database.read() as session:
            found = showing.objects(session, study_id, (*SEGMENTATIONS, *REPORTS), MOST_OBJECTS + 1)
        return found[:MOST_OBJECTS], len(found) > MOST_OBJECTS

    def jobs(self, study_id: int) -> list[ShownJob]:
        """Which pipelines have read a study, and which have not: no finding drawn is no answer yet."""
        with self._database.read() as session:
            return showing.jobs(session, study_id)

    def elsewhere(
        self, study_id: int, found: Sequence[tuple[ShownObject, Reading]]
    ) -> dict[str, tuple[ShownSeries, str, int]]:
        """SOP Instance UID that a finding names -> its series, side and view, id in the list; of what the study has."""
        wanted = {finding.elsewhere for _, reading in found for finding in reading.findings if finding.elsewhere}
        with self._database.read() as session:
            known = showing.series_of(session, study_id, wanted)
            of = {each.listed_id: each for each in showing.series(session, study_id)} if known else {}
        return {uid: (of[series], self.views(of[series]), number) for uid, (series, number) in known.items()
                if series in of}

    def views(self, series: ShownSeries) -> str:
        """Side and view of the projections of a series; empty for slices, and where they do not say."""
        if series.attributes.get("Modality") not in PROJECTIONS:
            return ""
        with self._database.read() as session:
            images = showing.images(session, series.listed_id)
        slices, _ = slices_of([each for each in images if each.attributes.get("PixelDataPresent")], {})
        return ", ".join(dict.fromkeys(filter(None, (each.said for each in slices))))

    def readings(self, shown: Shown, objects: Sequence[ShownObject]) -> list[tuple[ShownObject, Reading]]:
        """What these objects say of the pictures of a series; what says nothing of them is not there."""
        said: list[tuple[ShownObject, dict[str, Any] | str]] = []
        for each in objects:
            what = "segments" if each.instance.sop_class_uid in SEGMENTATIONS else "report"
            try:
                said.append((each, self._asked(what, each.instance)))
            except (ImageUnreadable, ImageRefused, Overloaded) as error:
                said.append((each, str(error)))
        known: dict[tuple[str, int], Mapping[str, Any]] = {}
        for each, answer in said:
            if not isinstance(answer, str) and each.instance.sop_class_uid in REPORTS:
                known |= readings.numbers_of_segments(answer)
        frame_of_reference = str(shown.slices[0].instance.attributes.get("FrameOfReferenceUID", "")
                                 if shown.slices else "")
        found = []
        for each, answer in said:
            if isinstance(answer, str):
                reading = readings.Reading(unread=answer)
            elif each.instance.sop_class_uid in SEGMENTATIONS:
                reading = readings.with_numbers(
                    readings.of_segments(answer, shown.slices), each.instance.sop_instance_uid, known)
            else:
                reading = readings.of_report(answer, shown.slices, frame_of_reference)
            if reading.concerns:
                found.append((each, reading))
        return found

    def _asked(self, what: str, instance: InstanceFound) -> dict[str, Any]:
        """The answer about a file, which never changes, is remembered."""
        key = (what, instance.digest)
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
                return self._read[key]
        said, _ = self._holdings.images.ask(what, self._holdings.path(instance))
        with self._lock:
            self._read[key] = said
            while len(self._read) > MOST_REMEMBERED:
                self._read.popitem(last=False)
        return said
