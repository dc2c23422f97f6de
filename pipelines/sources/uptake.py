"""PET in standardised uptake values by body weight (SUVbw, g/ml), or a sentence that says why that cannot be computed.

The vendor-neutral computation of the QIBA FDG-PET/CT profile ("SUV calculation", happy path) on PS3.3 C.8.9.1: activity
in the tissue, times body weight, divided by the dose that was injected, decayed to the time that the images are
corrected to. Nothing is assumed: a time, a dose or a weight that is missing, or that contradicts another, is a refusal.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydicom.uid import EnhancedPETImageStorage

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.sources.headers import numbers, pet_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom import Dataset

# kg: between a newborn's and the heaviest patient's; a weight outside was entered in another unit.
_WEIGHT_KG = (0.3, 400.0)
# Bq: a dose below a hundredth of what is given for any scan was entered in MBq, as some scanners do.
_LEAST_DOSE_BQ = 100_000.0
# MBq, of an enhanced image: one of the other unit lies far outside.
_DOSE_MBQ = (0.1, 20_000.0)
# Later, nothing is left that could be measured.
_MOST_HALF_LIVES = 6
# A time without a date is of the day before only for a scan in the same night.
_OVER_MIDNIGHT = timedelta(hours=8)


def suvbw_factor(headers: Sequence[Dataset]) -> tuple[float, str]:
    """What stored activity (after Rescale Slope) is multiplied with to be SUVbw, and a sentence for the result.

    headers: of all images of a PET series. Raises NotProcessed, saying what is missing or does not agree.
    """
    if headers[0].get("SOPClassUID") == EnhancedPETImageStorage:
        found = {_enhanced(each) for each in {str(each.get("SOPInstanceUID")): each for each in headers}.values()}
        if len(found) > 1:
            raise NotProcessed("its images disagree on weight, dose or times: no SUV can be computed")
        return found.pop()
    units = str(_agreed(headers, "Units"))
    if units == "GML":
        kind = str(_agreed(headers, "SUVType", required=False) or "BW")
        if kind != "BW":
            raise NotProcessed(f"its SUV are of the type {kind}, not by body weight (BW)")
        return 1.0, "PET was stored as SUVbw by the scanner."
    if units != "BQML":
        raise NotProcessed(f"its Units are {units}, neither BQML nor GML: no SUV can be computed")
    corrected = _agreed(headers, "CorrectedImage")
    for needed, what in (("ATTN", "attenuation"), ("DECY", "decay")):
        if needed not in corrected:
            raise NotProcessed(f"it is not corrected for {what} (Corrected Image): no SUV can be computed")
    weight = _weight(_agreed(headers, "PatientWeight"))
    drug = _drug(headers[0])
    dose = _number(drug.get("RadionuclideTotalDose"), "Radionuclide Total Dose")
    half_life = _number(drug.get("RadionuclideHalfLife"), "Radionuclide Half Life")
    if dose < _LEAST_DOSE_BQ:
        raise NotProcessed(f"Radionuclide Total Dose is {dose:g} Bq, which nobody injects; was it entered in MBq?")
    decay = _decay_s(headers, drug)
    return _factor(weight, dose, half_life, decay)


def check_activity(headers: Sequence[Dataset]) -> None:
    """Raises NotProcessed for a PET series that is not in Bq/ml."""
    if headers[0].get("SOPClassUID") == EnhancedPETImageStorage:
        found = {_units(each) for each in headers}
    else:
        found = {str(_agreed(headers, "Units"))}
    if found != {"BQML"}:
        raise NotProcessed(f"its Units are {', '.join(sorted(found))}, not BQML")


def _enhanced(image: Dataset) -> tuple[float, str]:
    """The same of an enhanced PET image (PS3.3 A.56), which says more: dates with times, the dose in MBq.

    Frames are in the units of their Real World Value Mapping (:mod:`.headers`).
    """
    if _units(image) == "GML":
        return 1.0, "PET was stored as SUVbw by the scanner."
    for keyword, what in (("AttenuationCorrected", "attenuation"), ("DecayCorrected", "decay")):
        if image.get(keyword) != "YES":
            raise NotProcessed(f"it is not corrected for {what} ({keyword}): no SUV can be computed")
    weight, drug = _weight(image.get("PatientWeight")), _drug(image)
    megabecquerels = _number(drug.get("RadionuclideTotalDose"), "Radionuclide Total Dose")
    half_life = _number(drug.get("RadionuclideHalfLife"), "Radionuclide Half Life")
    if not _DOSE_MBQ[0] <= megabecquerels <= _DOSE_MBQ[1]:
        raise NotProcessed(f"Radionuclide Total Dose is {megabecquerels:g} MBq, which nobody injects; was it entered "
                           "in another unit?")
    corrected_to = _datetime(image.get("DecayCorrectionDateTime"), "Decay Correction DateTime")
    given = _datetime(drug.get("RadiopharmaceuticalStartDateTime"), "Radiopharmaceutical Start DateTime")
    if corrected_to < given:
        raise NotProcessed(f"the radiopharmaceutical was given at {given:%Y-%m-%d %H:%M}, its decay is corrected to "
                           f"{corrected_to:%Y-%m-%d %H:%M}: no SUV can be computed")
    return _factor(weight, megabecquerels * 1e6, half_life, (corrected_to - given).total_seconds())


def _units(image: Dataset) -> str:
    units = pet_units(image)
    if len(units) != 1 or units == {""}:
        raise NotProcessed("its frames have no Real World Value Mapping to one unit, Bq/ml or SUVbw: its values cannot "
                           "be read")
    return units.pop()


def _weight(value: Any) -> float:
    weight = _number(value, "Patient's Weight")
    if not _WEIGHT_KG[0] <= weight <= _WEIGHT_KG[1]:
        raise NotProcessed(f"Patient's Weight is {weight:g} kg: no SUV can be computed")
    return weight


def _drug(header: Dataset) -> Dataset:
    drugs: Sequence[Dataset] = header.get("RadiopharmaceuticalInformationSequence") or ()
    if len(drugs) != 1:
        raise NotProcessed(f"it names {len(drugs)} radiopharmaceuticals, expected one")
    return drugs[0]


def _factor(weight_kg: float, dose_bq: float, half_life_s: float, decay_s: float) -> tuple[float, str]:
    if decay_s > _MOST_HALF_LIVES * half_life_s:
        raise NotProcessed(f"the dose has decayed for {decay_s / 3600:.1f} hours, more than {_MOST_HALF_LIVES} half "
                           "lives: no SUV can be computed")
    factor = weight_kg * 1000 / (dose_bq * 2 ** (-decay_s / half_life_s))
    return factor, (f"PET is in SUVbw: {weight_kg:g} kg, {dose_bq / 1e6:.1f} MBq, decayed for {decay_s / 60:.0f} min "
                    f"before the time of the images; 1 Bq/ml is {factor:.4g} g/ml.")


def _decay_s(headers: Sequence[Dataset], drug: Dataset) -> float:
    """For how long the dose has decayed when the images are as they say (PS3.3 C.8.9.1, Decay Correction)."""
    correction = str(_agreed(headers, "DecayCorrection"))
    if correction == "ADMIN":
        return 0.0
    if correction != "START":
        raise NotProcessed(f"its Decay Correction is {correction}, neither START nor ADMIN: no SUV can be computed")
    scan = _moment(_agreed(headers, "SeriesDate"), _agreed(headers, "SeriesTime"), "Series Date and Time")
    acquired = min(_moment(each.get("AcquisitionDate"), each.get("AcquisitionTime"), "Acquisition Date and Time")
                   for each in headers)
    if scan > acquired:
        raise NotProcessed("its Series Time is after the acquisition: the series was written anew, and the time that "
                           "its decay is corrected to is not known")
    given = _given(drug, scan)
    undated = not drug.get("RadiopharmaceuticalStartDateTime")
    if scan < given or (undated and scan.date() != given.date() and scan - given > _OVER_MIDNIGHT):
        raise NotProcessed(f"the radiopharmaceutical was given at {given:%Y-%m-%d %H:%M}, the scan began at "
                           f"{scan:%Y-%m-%d %H:%M}: no SUV can be computed")
    return (scan - given).total_seconds()


def _given(drug: Dataset, scan: datetime) -> datetime:
    """When it was injected. A time without a date is of the day of the scan, or, if later, of the day before."""
    if drug.get("RadiopharmaceuticalStartDateTime"):
        return _datetime(drug.RadiopharmaceuticalStartDateTime, "Radiopharmaceutical Start DateTime")
    time = drug.get("RadiopharmaceuticalStartTime")
    given = _moment(f"{scan:%Y%m%d}", time, "Radiopharmaceutical Start Time")
    return given if given <= scan else given - timedelta(days=1)


def _datetime(value: Any, name: str) -> datetime:
    """Without its time zone: one that a single attribute names says nothing about the others."""
    whole = str(value or "").strip()
    return _moment(whole[:8], whole[8:].split("+")[0].split("-")[0], name)


def _moment(date: Any, time: Any, name: str) -> datetime:
    text = f"{str(date or '').strip()} {str(time or '').strip().partition('.')[0]}"
    for form in ("%Y%m%d %H%M%S", "%Y%m%d %H%M"):
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - differences within one study
        except ValueError:
            continue
    raise NotProcessed(f"it has no usable {name}: no SUV can be computed")


def _agreed(headers: Sequence[Dataset], keyword: str, *, required: bool = True) -> Any:
    found = {"" if (value := each.get(keyword)) is None else str(value) for each in headers}
    if len(found) != 1 or (required and found == {""}):
        how = "is missing" if found == {""} else "differs from image to image"
        raise NotProcessed(f"{keyword} {how}: its values cannot be read")
    return headers[0].get(keyword)


def _number(value: Any, name: str) -> float:
    found = numbers(value, 1)
    if found is None or found[0] <= 0:
        raise NotProcessed(f"it has no usable {name}: no SUV can be computed")
    return found[0]
