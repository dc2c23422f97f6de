"""The common part of objects that no library writes: whose they are, who made them, and their series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from radnode.pipelines.results.normalise import STUDY

if TYPE_CHECKING:
    from radnode.pipelines.results.writing import Making


def base(
    making: Making, sop_class_uid: str, modality: str, *, number: int = 1, own_series: bool = True,
    syntax: str = ExplicitVRLittleEndian,
) -> Dataset:
    """Patient, study, series, equipment and SOP common modules of the `number`-th instance; finished.

    own_series: whether each instance is a series of its own, or all are one.
    """
    common = making.common(number)
    result = Dataset()
    for element in making.source.common:
        if element.tag.group in (0x0010, 0x0012) or keyword_for_tag(element.tag) in STUDY:
            result.add(element)
    result.pop("RequestAttributesSequence", None)
    result.SpecificCharacterSet = common["specific_character_set"]
    result.SOPClassUID, result.SOPInstanceUID = sop_class_uid, common["sop_instance_uid"]
    result.Modality = modality
    result.SeriesInstanceUID, result.SeriesNumber = common["series_instance_uid"], common["series_number"]
    result.SeriesDescription = common["series_description"]
    if not own_series:
        first = making.common()
        result.SeriesInstanceUID, result.SeriesDescription = first["series_instance_uid"], first["series_description"]
    result.SeriesDate = common["series_date"].strftime("%Y%m%d")
    result.SeriesTime = common["series_time"].strftime("%H%M%S.%f")
    result.InstanceNumber = common["instance_number"]
    result.Manufacturer = common["manufacturer"]
    result.ManufacturerModelName = common["manufacturer_model_name"]
    result.DeviceSerialNumber = common["device_serial_number"]
    result.SoftwareVersions = common["software_versions"]
    result.ContentQualification = common["content_qualification"]
    result.ContributingEquipmentSequence = common["contributing_equipment"]
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = UID(syntax)
    result.file_meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    making.finish(result)
    return result


def reference(sop_class_uid: str, sop_instance_uid: str, frame_number: int | None = None) -> Dataset:
    """An item that refers to an instance, or to one frame of it."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    if frame_number is not None:
        item.ReferencedFrameNumber = frame_number
    return item
