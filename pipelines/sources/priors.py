"""Earlier examinations beside the one that is read: of which series, and whether they are the same patient's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from radnode.pipelines.contract import NotProcessed, PriorImages
from radnode.pipelines.sources.select import select_stack
from radnode.pipelines.sources.volume import read_images

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydicom import Dataset

    from radnode.pipelines.contract import Manifest, StudyImages
    from radnode.pipelines.sources.headers import SourceInstance
    from radnode.pipelines.sources.select import Selection

_WHO = ("PatientID", "IssuerOfPatientID")
_LIKE = ("ConvolutionKernel", "ContrastBolusAgent", "SliceThickness")


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierSeries:
    """The headers of one earlier series. study_date: as the node knows it."""

    study_date: str
    study_instance_uid: str
    instances: tuple[SourceInstance, ...]


def day(text: str) -> date | None:
    """A date of DICOM (PS3.5 6.2, DA); None for what is none."""
    try:
        return datetime.strptime(text.strip(), "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None


def another_patient(now: Dataset, before: Dataset) -> str:
    """Why two images are not of one patient, empty if they are. Names attributes, never values.

    A Patient ID means nothing without its issuer (PS3.3 C.7.1.1); a birth date counts where both have one.
    """
    if not _text(now, "PatientID"):
        return "these images have no Patient ID"
    for keyword in _WHO:
        if _text(now, keyword) != _text(before, keyword):
            return f"it has another {keyword}"
    births = {each for each in (_text(now, "PatientBirthDate"), _text(before, "PatientBirthDate")) if each}
    return "it has another PatientBirthDate" if len(births) > 1 else ""


def with_priors(
    images: StudyImages, now: Dataset, earlier: Sequence[EarlierSeries], remarks: Sequence[str], manifest: Manifest
) -> StudyImages:
    """The images with one series of each earlier study, the most alike of those that can be read.

    now: a header of the images. remarks: what the node has to say about priors. Whatever is not used is said in the
    notes: an earlier study never makes a run fail.
    """
    today = day(_text(now, "StudyDate"))
    found: list[PriorImages] = []
    said = list(remarks)
    for study in dict.fromkeys(each.study_instance_uid for each in earlier):
        series = [each for each in earlier if each.study_instance_uid == study]
        prior = _prior(images, now, series, manifest)
        if isinstance(prior, str):
            said.append(f"The earlier study of {_shown(series[0].study_date)} was not compared: {prior}.")
        elif today is None or prior.study_date >= today:
            said.append("An earlier study was not compared: it is not of an earlier day.")
        else:
            found.append(prior)
    found.sort(key=lambda each: each.study_date, reverse=True)
    return replace(images, study_date=today, priors=tuple(found), notes=tuple(dict.fromkeys((*images.notes, *said))))


def _prior(images: StudyImages, now: Dataset, series: Sequence[EarlierSeries], manifest: Manifest) -> PriorImages | str:
    """The most alike series, or why there is none."""
    for each in (one for listed in series for one in listed.instances):
        if objection := another_patient(now, each.dataset):
            return objection
        if day(_text(each.dataset, "StudyDate")) != day(series[0].study_date):
            return "its images do not agree about its date"
    readable: list[Selection] = []
    reasons: list[str] = []
    for listed in series:
        try:
            readable.append(select_stack(listed.instances, manifest))
        except NotProcessed as error:
            reasons.append(str(error))
    when = day(series[0].study_date)
    if not readable or when is None:
        return reasons[0] if reasons else "it has no date"
    chosen = min(readable, key=lambda each: (_unlike(each.acquisition, images.acquisition), -len(each.slices)))
    try:
        read = read_images(chosen, manifest.modality)
    except NotProcessed as error:
        return str(error)
    return PriorImages(study_date=when, study_instance_uid=series[0].study_instance_uid, volume=read.volume,
                       acquisition=read.acquisition)


def _unlike(one: Mapping[str, str], other: Mapping[str, str]) -> int:
    return sum(one.get(keyword, "") != other.get(keyword, "") for keyword in _LIKE)


def _shown(study_date: str) -> str:
    when = day(study_date)
    return when.isoformat() if when else "an unknown day"


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip()
