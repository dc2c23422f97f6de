"""Which images of a study are its screening mammography: both breasts, each in both standard views. Pure.

Of each view one image is read, the newest; every other image has its reason. A view that is lacking is named with the
reason, because a radiologist must not take silence about a breast for an answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from radnode.pipelines.contract import SCREENINGS, NotProcessed
from radnode.pipelines.sources import projections
from radnode.pipelines.sources.mammogram import SIDES, VIEWS, Mammogram, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from radnode.pipelines.contract import Manifest
    from radnode.pipelines.sources.headers import SourceInstance
    from radnode.pipelines.sources.mammogram import Header
    from radnode.pipelines.sources.projections import ImageSelection

STANDARD = tuple((side, view) for view in VIEWS for side in SIDES)
"""(side, view) in the order in which they are read: right and left CC, right and left MLO."""

KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
# PS3.16 CID 7011: titles by which images are rejected (IHE IOCM).
_REJECTIONS = ("113001", "113037", "113038")
# Images of one examination are taken within minutes, also over midnight.
_ONE_EXAM = timedelta(hours=12)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What the headers of a study make of it.

    views: (side, view) -> SOP Instance UID of the image to read. left_out: SOP Instance UID -> why not, for all others.
    lacking: (side, view) -> why there is no image to read. notes: what must travel with the result.
    refused: why nothing may be read at all; "" if the views may.
    """

    views: Mapping[tuple[str, str], str]
    left_out: Mapping[str, str]
    lacking: Mapping[tuple[str, str], str]
    notes: tuple[str, ...]
    refused: str

    @property
    def complete(self) -> bool:
        """Both views of both breasts."""
        return not self.lacking and not self.refused


def examine(headers: Sequence[Header], manifest: Manifest) -> Screening:
    """Choose the views of a screening. headers: of one study, also those that are no mammograms.

    A breast whose images show or name an implant is not read. The least that is read is one breast in both views.
    """
    rejected = _rejected(headers)
    images = [each for each in headers if each.get("SOPClassUID") != KEY_OBJECTS]
    as_images = replace(manifest, reads=SCREENINGS[manifest.reads])
    mammograms: list[Mammogram] = []
    for header in sorted(images, key=lambda each: str(each.get("SOPInstanceUID", ""))):
        found = describe(header)
        other = projections.kind_to_exclude(header, as_images) or (
            "it was rejected after it was taken (key object selection)" if found.sop_instance_uid in rejected else ""
        )
        if other:
            found = replace(found, against=other, held=False)
        elif not found.against:
            found = replace(found, against=projections.pixels_to_exclude(header) or "")  # type: ignore[arg-type]
        mammograms.append(found)
    of_study = {str(each.get("StudyInstanceUID", "")) for each in images}
    mammograms = _of_one_day(_without_implants(mammograms))
    views, mammograms = _newest(mammograms)
    left_out = {each.sop_instance_uid: each.against for each in mammograms if each.against}
    lacking = {place: _why(place, mammograms) for place in STANDARD if place not in views}
    male = any(str(each.get("PatientSex", "")).strip().upper() == "M" for each in images)
    return Screening(
        views=views, left_out=left_out, lacking=lacking,
        notes=tuple(_notes(mammograms, lacking)),
        refused=_refusal(views, lacking, left_out, len(of_study), manifest, male=male),
    )


def select_screening(instances: Sequence[SourceInstance], manifest: Manifest) -> ImageSelection:
    """The images to read of a job's instances, in the order of :data:`STANDARD`. Raises NotProcessed."""
    by_uid = {each.sop_instance_uid: each for each in instances}
    if "" in by_uid or len(by_uid) != len(instances):
        raise NotProcessed("an image has no SOP Instance UID of its own: no result may refer to it")
    found = examine([each.dataset for each in instances], manifest)
    if found.refused:
        raise NotProcessed(found.refused)
    chosen = [by_uid[found.views[place]] for place in STANDARD if place in found.views]
    as_images = replace(manifest, reads=SCREENINGS[manifest.reads], min_slices=1)
    selection = projections.select_projections(chosen, as_images)
    order = {each.sop_instance_uid: place for place, each in enumerate(chosen)}
    return replace(
        selection, excluded=found.left_out, notes=(*found.notes, *selection.notes),
        images=tuple(sorted(selection.images, key=lambda each: order[each.instance.sop_instance_uid])),
    )


def as_json(found: Screening) -> list[dict[str, str]]:
    """For storing and showing: one item a view."""
    return [{"view": named(place), "sop_instance_uid": found.views.get(place, ""),
             "reason": found.lacking.get(place, "")} for place in STANDARD]


def named(place: tuple[str, str]) -> str:
    """Such as "right CC"."""
    return f"{SIDES[place[0]]} {place[1]}"


def _rejected(headers: Iterable[Header]) -> set[str]:
    """The images that key object selections reject."""
    found: set[str] = set()
    for header in headers:
        titles = [str(each.get("CodeValue", "")) for each in header.get("ConceptNameCodeSequence") or ()]
        if header.get("SOPClassUID") == KEY_OBJECTS and set(titles) & set(_REJECTIONS):
            found |= {str(each) for each in header.get("ReferencedSOPInstanceUID") or ()}
            found |= {str(one.get("ReferencedSOPInstanceUID"))
                      for study in header.get("CurrentRequestedProcedureEvidenceSequence") or ()
                      for series in study.get("ReferencedSeriesSequence") or ()
                      for one in series.get("ReferencedSOPSequence") or ()}
    return found


def _without_implants(mammograms: Sequence[Mammogram]) -> list[Mammogram]:
    """A breast is outside the indication as soon as one image of it says that it has an implant."""
    sides = {each.side for each in mammograms if each.implant}
    why = "the breast has an implant, which is outside what is read"
    return [replace(each, against=each.against or why) if sides and (each.side in sides or "" in sides) else each
            for each in mammograms]


def _of_one_day(mammograms: Sequence[Mammogram]) -> list[Mammogram]:
    """Only the newest examination, where the images of a study were taken on several days."""
    moments = {each.sop_instance_uid: each.taken or _noon(each.day) for each in mammograms if not each.against}
    said = sorted(moment for moment in moments.values() if moment is not None)
    starts = [said[0]] if said else []
    starts += [later for earlier, later in pairwise(said) if later - earlier > _ONE_EXAM]
    if len(starts) < 2:
        return list(mammograms)
    found = []
    for each in mammograms:
        moment = moments.get(each.sop_instance_uid)
        if each.against:
            found.append(each)
        elif moment is None:
            found.append(replace(each, held=True, against="it does not say when it was taken, and the study has images "
                                                          "of several days"))
        elif moment < starts[-1]:
            found.append(replace(each, against="it is of an earlier examination; the study has images of several days"))
        else:
            found.append(each)
    return found


def _newest(mammograms: Sequence[Mammogram]) -> tuple[dict[tuple[str, str], str], list[Mammogram]]:
    """One image for each view, and all of them with the reasons against the repeats."""
    views: dict[tuple[str, str], str] = {}
    against: dict[str, tuple[str, bool]] = {}
    for place in STANDARD:
        same = [each for each in mammograms if not each.against and (each.side, each.view) == place]
        if len(same) > 1 and (any(each.taken is None for each in same) or _tied(same)):
            why = f"{len(same)} images are {named(place)}, and nothing says which is the newest"
            against |= {each.sop_instance_uid: (why, True) for each in same}
            continue
        same.sort(key=_age)
        if same:
            views[place] = same[-1].sop_instance_uid
        against |= {each.sop_instance_uid: (f"a newer image of {named(place)} was taken", False) for each in same[:-1]}
    return views, [
        replace(each, against=against[each.sop_instance_uid][0], held=against[each.sop_instance_uid][1])
        if each.sop_instance_uid in against else each for each in mammograms
    ]


def _age(image: Mammogram) -> tuple[datetime, datetime]:
    return image.taken or _EARLIEST, image.processed or _EARLIEST


def _tied(same: Sequence[Mammogram]) -> bool:
    ages = sorted(map(_age, same))
    return ages[-1] == ages[-2]


def _noon(day: str) -> datetime | None:
    try:
        return datetime.strptime(f"{day}12+0000", "%Y%m%d%H%z")
    except ValueError:
        return None


def _why(place: tuple[str, str], mammograms: Sequence[Mammogram]) -> str:
    """Why a view is lacking: what stands against its own images, held ones first."""
    mine = sorted((each for each in mammograms if (each.side, each.view) == place and each.against),
                  key=lambda each: not each.held)
    if mine:
        return f"not read: {mine[0].against}"
    if any(each.against and not (each.side and each.view) for each in mammograms):
        return "not found among the images that can be read"
    return "not imaged"


def _notes(mammograms: Sequence[Mammogram], lacking: Mapping[tuple[str, str], str]) -> list[str]:
    notes = []
    for side, name in SIDES.items():
        reasons = {view: lacking[side, view] for view in VIEWS if (side, view) in lacking}
        if len(reasons) == len(VIEWS) and len(set(reasons.values())) == 1:
            notes.append(f"{name} breast {reasons[VIEWS[0]]}. Nothing is said about this breast.")
        else:
            notes += [f"{named((side, view))} {reason}." for view, reason in reasons.items()]
    notes = [each[:1].upper() + each[1:] for each in notes]
    unclear = [each for each in mammograms if each.held and (not each.side or not each.view)]
    if unclear:
        notes.append(f"{len(unclear)} mammograms do not say clearly which breast or view they show, and were not read: "
                     f"{unclear[0].against}.")
    return notes


def _refusal(
    views: Mapping[tuple[str, str], str], lacking: Mapping[tuple[str, str], str], left_out: Mapping[str, str],
    studies: int, manifest: Manifest, *, male: bool,
) -> str:
    if studies > 1:
        return f"the images are of {studies} studies; a screening is one"
    if male:
        return f"the patient is registered as male; {manifest.name} is meant for screening of women"
    if any(all((side, view) in views for view in VIEWS) for side in SIDES):
        return ""
    said = "; ".join(f"{named(place)} {reason}" for place, reason in lacking.items())
    others = "; ".join(f"{count} x {reason}" for reason, count in Counter(left_out.values()).most_common(3))
    return f"no breast was imaged in both standard views ({said})" + (f". Left out: {others}" if others else "")
