"""What a peer says it holds, by C-FIND (PS3.4 C.4.1, Study Root), or by QIDO-RS where it has a `dicomweb`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from radnode.node.association import PeerUnreachable, associate
from radnode.node.dicomweb import qido

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.config.peers import Peer

PENDING = (0xFF00, 0xFF01)
SUCCESS = 0x0000
_CONTEXTS = [
    (StudyRootQueryRetrieveInformationModelFind, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
]


def count_instances(peer: Peer, own_ae_title: str, study_instance_uid: str, series_instance_uid: str) -> int | None:
    """How many instances of a series the peer holds; None when its answer does not tell.

    Asks at series level for Number of Series Related Instances (0020,1209), which a peer need not support, and counts
    the instances at image level otherwise. Raises :class:`PeerUnreachable`.
    """
    series = _identifier("SERIES", study_instance_uid, series_instance_uid)
    series.NumberOfSeriesRelatedInstances = None
    answers = _find(peer, own_ae_title, series)
    for answer in answers:
        number = answer.get("NumberOfSeriesRelatedInstances")
        if number is not None and answer.get("SeriesInstanceUID") == series_instance_uid:
            return int(number)
    images = _identifier("IMAGE", study_instance_uid, series_instance_uid)
    images.SOPInstanceUID = None
    return len({str(answer.get("SOPInstanceUID", "")) for answer in _find(peer, own_ae_title, images)}) or None


def holds_instance(
    peer: Peer, own_ae_title: str, *, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
) -> bool:
    """Whether the peer lists the instance. Raises :class:`PeerUnreachable`."""
    image = _identifier("IMAGE", study_instance_uid, series_instance_uid)
    image.SOPInstanceUID = sop_instance_uid
    return any(
        answer.get("SOPInstanceUID") == sop_instance_uid for answer in _find(peer, own_ae_title, image)
    )


def patient_of_study(
    peer: Peer, own_ae_title: str, study_instance_uid: str, keywords: Sequence[str]
) -> Dataset | None:
    """These attributes of the patient under whom the peer has a study; None where it does not list the study.

    Raises :class:`PeerUnreachable`.
    """
    study = Dataset()
    study.QueryRetrieveLevel = "STUDY"
    study.StudyInstanceUID = study_instance_uid
    for keyword in keywords:
        setattr(study, keyword, None)
    answers = _find(peer, own_ae_title, study)
    return next((answer for answer in answers if answer.get("StudyInstanceUID") == study_instance_uid), None)


def _identifier(level: str, study_instance_uid: str, series_instance_uid: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.StudyInstanceUID = study_instance_uid
    identifier.SeriesInstanceUID = series_instance_uid
    return identifier


def _find(peer: Peer, own_ae_title: str, identifier: Dataset) -> list[Dataset]:
    if peer.dicomweb:
        return qido.find(peer, identifier)
    answers = []
    with associate(peer, own_ae_title, _CONTEXTS) as association:
        if not association.accepted_contexts:
            raise PeerUnreachable(f"{peer.name} does not offer Study Root C-FIND")
        for status, answer in association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind):
            code = status.get("Status")
            if code is None:
                raise PeerUnreachable(f"{peer.name} did not answer a C-FIND")
            if code in PENDING and answer is not None:
                answers.append(answer)
            elif code != SUCCESS:
                raise PeerUnreachable(f"{peer.name} answered a C-FIND with status 0x{code:04X}")
    return answers
