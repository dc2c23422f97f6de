"""The part of the source that a result inherits, made safe to copy.

A result belongs to the patient and the study of its images (PS3.3 C.7.1.1, C.7.2.1): identity is copied,
never recomputed. What the standard forbids in a copy is repaired by leaving it empty, never by inventing a
value, and every repair is reported. Texts are decoded once; results are written in UTF-8 (ISO_IR 192).
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.results.charsets import TextReader, Undecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydicom.tag import BaseTag

    from radnode.pipelines.geometry import FlatImage, Volume

# Every image of a job must agree on these; a result can belong to one patient and one study only.
IDENTITY = (
    "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
    "AccessionNumber", "StudyID", "StudyDate",
)

# Present in every result, empty where the source has none (type 2 in the Patient and General Study modules).
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "ReferringPhysicianName", "AccessionNumber",
)

STUDY = {
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy",
    "ProcedureCodeSequence", "AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence",
    "TimezoneOffsetFromUTC", "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID",
    "ServiceEpisodeDescription", "RequestingService", "RequestAttributesSequence",
}

# What a builder of results reads of the images besides: their equipment, and what kind of image they are.
_SERIES = {
    "Modality", "BodyPartExamined", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber",
    "SoftwareVersions", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName",
    "StationName", "SeriesInstanceUID", "FrameOfReferenceUID", "PositionReferenceIndicator", "SOPClassUID",
}

# What differs between the slices of one series and places them.
_SLICE = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "InstanceNumber", "Rows", "Columns",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness",
    "SpacingBetweenSlices", "FrameOfReferenceUID", "ImageType", "AcquisitionDate", "AcquisitionTime",
    "ContentDate", "ContentTime", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod", "NumberOfFrames", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "DimensionOrganizationSequence",
    # Projection images: how they lie, since they have no place in the patient.
    "PatientOrientation", "Laterality", "ImageLaterality", "ViewPosition", "ViewCodeSequence", "ImagerPixelSpacing",
    "PresentationIntentType", "SourceImageSequence", "StudyDate", "StudyTime",
    # What a presentation state must repeat of the image.
    "SamplesPerPixel", "PhotometricInterpretation", "RescaleIntercept", "RescaleSlope", "RescaleType", "ICCProfile",
)

# What scanners round direction cosines to.
_ROUNDED = 1e-4
_OFFSET = r"[+-](0\d|1[0-4])[0-5]\d"
_TEXTS = {"PN", "LO", "SH", "ST", "LT", "UT", "UC"}
_UNREADABLE = (ValueError, TypeError, KeyError, NotImplementedError, OverflowError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHeader:
    """What results inherit from the images of one job.

    common: patient, study and equipment; UTF-8, nothing private, no pixels.
    slices: for each slice of the volume, or each projection, in its order, `common` and what places the image; for
    a volume cut from multi-frame images, each instance once.
    instances: SOP Instance UID -> Series Instance UID of every input: all that a result may refer to.
    first: one header as it was received, for a check that does not trust this module.
    """

    common: Dataset
    slices: tuple[Dataset, ...]
    instances: Mapping[str, str]
    first: Dataset
    repairs: tuple[str, ...]
    repaired: frozenset[str]

    def header(self, sop_instance_uid: str) -> Dataset:
        """The one of `slices` with that SOP Instance UID. Raises KeyError."""
        for each in self.slices:
            if each.SOPInstanceUID == sop_instance_uid:
                return each
        raise KeyError(sop_instance_uid)


def read_source(
    datasets: Sequence[Dataset], volume: Volume | None, projections: Sequence[FlatImage] = ()
) -> SourceHeader:
    """Normalise the headers of a job's images.

    datasets: every input of the job, headers without pixels. volume, projections: what was read of them. Raises
    RunFailed when they disagree on whose they are, or when something else was read.
    """
    with warnings.catch_warnings():
        # pydicom warns about values outside their VR; here each of them is judged and reported.
        warnings.simplefilter("ignore")
        _refuse_unnamed(datasets)
        common, repairs = normalise(datasets)
        by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in datasets}
        frames = volume.frames if volume is not None else [each.source for each in projections]
        chosen = dict.fromkeys(frame.sop_instance_uid for frame in frames)
        if strangers := chosen.keys() - by_uid:
            raise RunFailed(f"{len(strangers)} of the images that were read are not among those of the job")
        slices = tuple(_slice_header(by_uid[uid], common) for uid in chosen)
        if volume is not None:
            repairs += _straighten(slices, volume)
    return SourceHeader(
        common=common,
        slices=slices,
        instances={uid: str(dataset.SeriesInstanceUID) for uid, dataset in by_uid.items()},
        first=datasets[0],
        repairs=repairs,
        repaired=frozenset(repair.split(":", 1)[0] for repair in repairs),
    )


def normalise(datasets: Sequence[Dataset]) -> tuple[Dataset, tuple[str, ...]]:
    """What all images have in common, and what had to be repaired ("keyword: what was done"; never a
    value).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _refuse_disagreement(_identities(datasets))
        cleaner = _Cleaner(datasets[0])
        common = cleaner.copy(datasets[0], _is_common)
        for keyword in _TYPE_2:
            if keyword not in common:
                setattr(common, keyword, "")
        common.SpecificCharacterSet = "ISO_IR 192"
    return common, tuple(dict.fromkeys(cleaner.repairs))


def _identities(datasets: Sequence[Dataset]) -> list[dict[str, str]]:
    """The decoded identities in a job; headers with the same bytes in the same character set are read once."""
    found: dict[tuple[object, ...], dict[str, str]] = {}
    for dataset in datasets:
        received = tuple(_as_received(dataset, keyword) for keyword in ("SpecificCharacterSet", *IDENTITY))
        if received not in found:
            found[received] = _Cleaner(dataset).identity()
    return list(found.values())


def _as_received(dataset: Dataset, keyword: str) -> tuple[str, bool, str] | None:
    element = dataset.get_item(keyword) if keyword in dataset else None
    if element is None:
        return None
    return str(element.VR), isinstance(element, RawDataElement), repr(element.value)


def _refuse_unnamed(datasets: Sequence[Dataset]) -> None:
    """Careless de-identification empties UIDs; nothing can refer to such an image."""
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not all(dataset.get(keyword) for dataset in datasets):
            raise RunFailed(f"an image has no {keyword}: a result cannot refer to it")


def _refuse_disagreement(identities: Sequence[Mapping[str, str]]) -> None:
    differing = [keyword for keyword in IDENTITY if len({identity[keyword] for identity in identities}) > 1]
    if differing:
        raise RunFailed(f"the images of this job disagree on {', '.join(differing)}: "
                        "a result can belong to one patient and one study only")


def _is_common(tag: BaseTag) -> bool:
    """Patient (0010), clinical trial (0012), and the study and equipment attributes named above."""
    return tag.group in (0x0010, 0x0012) or keyword_for_tag(tag) in STUDY | _SERIES


def _slice_header(dataset: Dataset, common: Dataset) -> Dataset:
    header = Dataset()
    header.update(common)
    for keyword in _SLICE:
        if keyword in dataset:
            header[keyword] = dataset[keyword]
    return header


def _straighten(slices: Sequence[Dataset], volume: Volume) -> tuple[str, ...]:
    """Where direction cosines are no unit vectors, results carry those that the volume was built with."""
    cosines = volume.affine[:3, [2, 1]] / np.linalg.norm(volume.affine[:3, [2, 1]], axis=0)
    written = [round(float(value), 10) for value in cosines.T.ravel()]
    repairs: dict[str, None] = {}
    for header in slices:
        received = header.get("ImageOrientationPatient")
        if received is not None and np.abs(np.array(received, dtype=float) - written).max() > _ROUNDED:
            header.ImageOrientationPatient = written
            repairs["ImageOrientationPatient: no unit vectors at right angles, made so"] = None
    return tuple(repairs)


class _Cleaner:
    """Copies elements of one header; collects what it had to repair."""

    def __init__(self, dataset: Dataset) -> None:
        self.repairs: list[str] = []
        self._reader = TextReader(_character_sets(dataset))
        self._dataset = dataset

    def identity(self) -> dict[str, str]:
        """The decoded identity; padding and empty name components do not tell two patients apart."""
        cleaned = self.copy(self._dataset, lambda tag: keyword_for_tag(tag) in IDENTITY)
        return {keyword: str(cleaned.get(keyword) or "").strip().rstrip("^=") for keyword in IDENTITY}

    def copy(self, dataset: Dataset, wanted: Callable[[BaseTag], bool]) -> Dataset:
        copied = Dataset()
        for tag in sorted(dataset.keys()):
            if not tag.is_private and tag.element != 0 and wanted(tag):
                element = self._element(dataset, tag)
                if element is not None:
                    copied.add(element)
        return copied

    def _element(self, dataset: Dataset, tag: BaseTag) -> DataElement | None:
        keyword = keyword_for_tag(tag)
        try:
            whole = self._reader.raw(dataset, tag) if keyword in IDENTITY else None
            element = dataset[tag]
            value = self._value(element) if whole is None else whole
        except Undecodable as error:
            if keyword in IDENTITY:
                raise RunFailed(f"{keyword} is no text in the character set that the images declare; "
                                "correct it at the source") from error
            self.repairs.append(f"{keyword}: not decodable, left out")
            return None
        except _UNREADABLE:
            self.repairs.append(f"{keyword}: not readable, left empty")
            return DataElement(tag, dictionary_VR(tag), "") if keyword in _TYPE_2 else None
        return self._checked(DataElement(tag, element.VR, value), keyword)

    def _value(self, element: DataElement) -> Any:
        if element.VR == "SQ":
            return [self.copy(item, lambda tag: True) for item in element.value]
        if element.VR not in _TEXTS or element.value is None:
            return element.value
        if isinstance(element.value, MultiValue):
            return [self._text(single, element.VR) for single in element.value]
        return self._text(element.value, element.VR)

    def _text(self, value: object, vr: str) -> str | PersonName:
        text = self._reader.text(str(value))
        if self._reader.guess:
            self.repairs.append(f"SpecificCharacterSet: missing or wrong, texts read as {self._reader.guess}")
        return PersonName(text) if vr == "PN" else text

    def _checked(self, element: DataElement, keyword: str) -> DataElement | None:
        fault = _fault(element, keyword)
        if fault is None:
            return element
        self.repairs.append(f"{keyword}: {fault}, left empty")
        return DataElement(element.tag, element.VR, "") if keyword in _TYPE_2 else None


def _character_sets(dataset: Dataset) -> Iterable[str] | str | None:
    declared = dataset.get("SpecificCharacterSet")
    return [str(name) for name in declared] if isinstance(declared, MultiValue) else declared


def _fault(element: DataElement, keyword: str) -> str | None:
    """Why a value may not be copied, or None (PS3.5 6.2)."""
    if element.VR == "SQ" or element.is_empty:
        return None
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    if keyword == "PatientSex" and str(element.value) not in ("M", "F", "O"):
        return "not M, F or O"
    if keyword == "TimezoneOffsetFromUTC" and not re.fullmatch(_OFFSET, str(element.value)):
        return "not an offset"
    check = _CHECKS.get(element.VR)
    return check[1] if check and not all(check[0](str(value)) for value in values) else None


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{8}", text):
        return False
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


def _is_time(text: str) -> bool:
    return re.fullmatch(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?", text.strip()) is not None


_CHECKS: dict[str, tuple[Callable[[str], bool], str]] = {
    "DA": (_is_date, "not a date"),
    "TM": (_is_time, "not a time"),
    "CS": (lambda text: re.fullmatch(r"[A-Z0-9 _]{1,16}", text) is not None, "not a code string"),
    "AS": (lambda text: re.fullmatch(r"\d{3}[DWMY]", text) is not None, "not an age"),
}
