"""The DICOM JSON model (PS3.18 Annex F) as data sets."""

from __future__ import annotations

from typing import Any

import pydicom
from pydicom.dataset import Dataset


class NoModel(Exception):
    """It is not in the DICOM JSON model, or not all of it is in it. The message holds nothing of it."""


def dataset(document: object) -> Dataset:
    """One data set, all of whose values can be written again. Raises :class:`NoModel`.

    pydicom would tell values that break a rule of their VR to the log, and so patients' names: it is told not to, for
    this whole process. Who reads a value for a purpose checks it for that purpose.
    """
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    if not isinstance(document, dict):
        raise NoModel("not a data set in the DICOM JSON model")
    try:
        made = Dataset.from_json(document, bulk_data_uri_handler=_no_bulk_data)
        made.to_json_dict()
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise NoModel("not in the DICOM JSON model (PS3.18 Annex F)") from error
    return made


def _no_bulk_data(_tag: str, _vr: str, _uri: str) -> Any:
    raise NoModel("values that lie elsewhere (BulkDataURI) are not fetched")
