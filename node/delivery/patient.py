"""Whether a result is still about the patient under whom its destination has the study (I5).

A patient may be merged, renamed or corrected in the archive while a study is read here. A result under the old
identity is filed where nobody looks, or under somebody else.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import TYPE_CHECKING

import pydicom

from radnode.node.query import patient_of_study
from radnode.storage.outbox import OTHER_PATIENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydicom.dataset import Dataset

    from radnode.config.peers import Peer
    from radnode.storage.merges import Merge

ATTRIBUTES: Mapping[str, str] = {
    "PatientID": "Patient ID", "PatientName": "Patient's Name", "PatientBirthDate": "Patient's Birth Date",
}
"""What is compared, and what it is called (PS3.3 C.7.1.1)."""


def differences(ours: Dataset, theirs: Dataset) -> list[str]:
    """The names of the attributes that differ. What either side does not say is no difference.

    Of a name the first component group counts, without regard to case, trailing carets and spaces (PS3.5 6.2.1):
    archives answer in another character set than that of the images, and drop the other groups.
    """
    return [
        name for keyword, name in ATTRIBUTES.items()
        if (one := _plain(ours, keyword)) and (other := _plain(theirs, keyword)) and one != other
    ]


def objection(path: Path, digest: str, peer: Peer, own_ae_title: str, study_instance_uid: str) -> str:
    """Why a result must not go there, empty if nothing speaks against it; names attributes, never values.

    An archive that does not have the study has it under no other patient. A file that is not the one that was recorded
    is nobody's: who sends it finds that out. Raises OSError for the file,
    :class:`~radnode.node.association.PeerUnreachable`.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        return ""
    theirs = patient_of_study(peer, own_ae_title, study_instance_uid, tuple(ATTRIBUTES))
    if theirs is None:
        return ""
    tags = ["SpecificCharacterSet", *ATTRIBUTES]
    ours = pydicom.dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=tags)
    differing = differences(ours, theirs)
    if not differing:
        return ""
    return f"{OTHER_PATIENT}: {peer.name} has the study under another {', '.join(differing)} than the result"


def merged(merge: Merge) -> str:
    """Why a result must not go out of whose patient a merge was told; names nobody."""
    return (f"{OTHER_PATIENT}: {merge.sender} has merged the patient whom the images name into another since "
            f"{merge.at:%Y-%m-%d %H:%M} UTC; release it if the destination has it under the former, else have the "
            "images sent again under the new one")


def _plain(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "").strip()
    return value.partition("=")[0].rstrip("^ ").casefold() if keyword == "PatientName" else value
