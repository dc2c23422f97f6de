"""One file made into the file that leaves: held or cleaned, painted over, written, read again and gone over."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from radnode.node.deidentifying.checking import identity_of, leftovers
from radnode.node.deidentifying.cleaning import NotIdentifiable, Record, deidentify
from radnode.node.deidentifying.holding import Held, why_held
from radnode.node.deidentifying.masking import mask_of, paint
from radnode.node.deidentifying.profile import Action, action
from radnode.node.intake.p10 import IMPLEMENTATION_CLASS_UID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    from radnode.node.deidentifying.profile import Profile
    from radnode.node.deidentifying.pseudonyms import Pseudonyms


def outward(
    path: Path, profile: Profile, pseudonyms: Pseudonyms, masks: Sequence[Mapping[str, Any]]
) -> tuple[bytes, Record]:
    """The bytes of the file that leaves, and the way back. Raises :class:`Held`."""
    dataset = pydicom.dcmread(path)
    if not UID(dataset.file_meta.TransferSyntaxUID).is_little_endian:
        raise Held("it is in big endian, which the node takes from nobody either")
    mask = mask_of(dataset, masks)
    if reason := why_held(dataset, profile, masked=mask is not None):
        raise Held(reason)
    identity = identity_of(dataset, lambda element: _retained(element, profile))
    if mask is not None and "PixelData" in dataset:
        paint(dataset, mask["boxes"])
    try:
        record = deidentify(dataset, profile, pseudonyms)
    except NotIdentifiable as error:
        raise Held(str(error)) from error
    content = written(dataset)
    again = pydicom.dcmread(BytesIO(content))
    made = {record.patient_pseudonym, *record.uids, *record.dates, "19000101"}
    if found := leftovers(content, again, identity, made=made):
        raise Held(f"after cleaning there was still {'; '.join(found)}")
    return content, record


def written(dataset: Dataset) -> bytes:
    """A file (PS3.10) with a file meta information of ours alone, and an empty preamble."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax.is_deflated else syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    dataset.file_meta = meta
    dataset.preamble = b"\0" * 128
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _retained(element: DataElement, profile: Profile) -> bool:
    """By an option or because the table says nothing of it; a private one never."""
    return not element.tag.is_private and action(element.tag, element.VR, profile) is Action.KEEP
