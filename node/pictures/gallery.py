"""The pictures of the studies that a node holds: reads tables, asks the image processes, remembers what was read."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from radnode.node.dicomweb_out.holdings import NotHeld
from radnode.node.dicomweb_out.image_processes import ImageRefused, ImageUnreadable, Overloaded
from radnode.node.pictures import readings
from radnode.node.pictures.slices import PROJECTIONS, Slice, frames_of, slices_of
from radnode.storage import listing_queries, showing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from radnode.node.dicomweb_out.holdings import Holdings
    from radnode.node.pictures.readings import Reading
    from radnode.storage.database import Database
    from radnode.storage.listing_queries import InstanceFound
    from radnode.storage.showing import ShownJob, ShownObject, ShownSeries, ShownStudy

_STORAGE = "1.2.840.10008.5.1.4.1.1."
SEGMENTATIONS = (*(f"{_STORAGE}66.{number}" for number in (4, 7)), f"{_STORAGE}30")
"""Segmentation, Label Map Segmentation and Parametric Map: what lies on the pixels of an image."""
CONTOURS = (f"{_STORAGE}481.3",)
"""RT Structure Set."""
REPORTS = tuple(f"{_STORAGE}88.{number}" for number in (22, 33, 34, 50, 65))
"""Enhanced, Comprehensive and Comprehensive 3D SR; Mammography and Chest CAD SR."""
DRAWN = (*SEGMENTATIONS, *CONTOURS, *REPORTS)
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
        self._read: OrderedDict[tuple[str, ...], dict[str, Any]] = OrderedDict()

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

    def drawn(
        self, study_id: int, on: int, frame: int, drawn: InstanceFound, wanted: Collection[int]
    ) -> tuple[bytes, str]:
        """What an object has of these segments or structures on one frame of an image of the study, and its media type.

        Transparent where nothing is. Raises NotHeld, ImageRefused, ImageUnreadable, Overloaded.
        """
        image = self.instance(study_id, on)
        places = {image.id: self._asked("planes", image)["frames"]} if self._is_asked(image) else {}
        slices, _ = slices_of([image], places)
        at = next((number for number, each in enumerate(slices) if each.frame == frame), None)
        if at is None or drawn.sop_class_uid not in (*SEGMENTATIONS, *CONTOURS):
            raise NotHeld("the study has no such picture")
        if drawn.sop_class_uid in CONTOURS:
            return self._outlines(slices[at], drawn, wanted), "image/svg+xml"
        reading = readings.of_segments(self._asked("segments", drawn), slices)
        colours = {str(each.segment): list(each.colour) for each in reading.findings if each.segment in wanted}
        _, blobs = self._holdings.images.ask(
            "overlay", self._holdings.path(drawn), layers=list(reading.layers.get(at, ())), colours=colours)
        return blobs[0], "image/png"

    def _outlines(self, picture: Slice, contours: InstanceFound, wanted: Collection[int]) -> bytes:
        if picture.plane is None:
            raise NotHeld("the picture does not say where it lies")
        _, blobs = self._holdings.images.ask(
            "outlines", self._holdings.path(contours), picture=_picture(picture), structures=sorted(wanted))
        return blobs[0]

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

    def objects(self, study_id: int, *, shadows: bool = False) -> tuple[list[ShownObject], bool]:
        """What can be drawn or listed of a study, newest first, and whether there is more.

        shadows: with what jobs in shadow made, at the end.
        """
        with self._database.read() as session:
            found = showing.objects(session, study_id, DRAWN, MOST_OBJECTS + 1)
            hidden = showing.in_shadow(session, study_id, DRAWN, MOST_OBJECTS + 1) if shadows else []
        return found[:MOST_OBJECTS] + hidden[:MOST_OBJECTS], max(len(found), len(hidden)) > MOST_OBJECTS

    def in_shadow(self, study_id: int, number: int) -> InstanceFound:
        """What a job in shadow made of the study."""
        with self._database.read() as session:
            found = showing.shadow(session, study_id, number)
        if found is None:
            raise NotHeld("the study has no such result")
        return found.instance

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
        said = [(each, self._said(each.instance, shown)) for each in objects]
        known: dict[tuple[str, int], Mapping[str, Any]] = {}
        for each, answer in said:
            if not isinstance(answer, str) and each.instance.sop_class_uid in REPORTS:
                known |= readings.numbers_of_segments(answer)
        found = [(each, self._reading(each.instance, answer, shown, known)) for each, answer in said]
        return [(each, reading) for each, reading in found if reading.concerns]

    def _said(self, drawn: InstanceFound, shown: Shown) -> dict[str, Any] | str:
        """What an object says, or why it cannot be read."""
        try:
            if drawn.sop_class_uid in CONTOURS:
                pictures = [_picture(each) for each in shown.slices if each.plane is not None]
                return self._asked("contours", drawn, pictures=pictures)
            return self._asked("segments" if drawn.sop_class_uid in SEGMENTATIONS else "report", drawn)
        except (ImageUnreadable, ImageRefused, Overloaded) as error:
            return str(error)

    def _reading(
        self, drawn: InstanceFound, said: dict[str, Any] | str, shown: Shown,
        known: Mapping[tuple[str, int], Mapping[str, Any]],
    ) -> Reading:
        if isinstance(said, str):
            return readings.Reading(unread=said)
        if drawn.sop_class_uid in CONTOURS:
            return readings.of_contours(said, [at for at, each in enumerate(shown.slices) if each.plane is not None])
        if drawn.sop_class_uid in SEGMENTATIONS:
            return readings.with_numbers(readings.of_segments(said, shown.slices), drawn.sop_instance_uid, known)
        return readings.of_report(said, shown.slices, _frame_of_reference(*shown.slices[:1]))

    def _asked(self, what: str, instance: InstanceFound, **more: Any) -> dict[str, Any]:
        """The answer about a file, which never changes, is remembered."""
        key = (what, instance.digest, json.dumps(more))
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
                return self._read[key]
        said, _ = self._holdings.images.ask(what, self._holdings.path(instance), **more)
        with self._lock:
            self._read[key] = said
            while len(self._read) > MOST_REMEMBERED:
                self._read.popitem(last=False)
        return said


def _picture(picture: Slice) -> list[Any]:
    """As :data:`radnode.node.pictures.reading_contours.Picture`; of one with a plane."""
    return [*picture.key, _frame_of_reference(picture), asdict(picture.plane) if picture.plane is not None else None]


def _frame_of_reference(*pictures: Slice) -> str:
    """Of the first, empty where it says none."""
    return str(pictures[0].instance.attributes.get("FrameOfReferenceUID") or "") if pictures else ""
