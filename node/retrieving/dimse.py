"""An archive by DIMSE: C-FIND, and C-MOVE or C-GET (PS3.4 Annex C, Study Root)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pynetdicom import StoragePresentationContexts, build_role, evt

from radnode.node.association import PeerUnreachable, associate
from radnode.node.intake.negotiation import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, TRANSFER_SYNTAXES
from radnode.node.intake.pdus import Violation
from radnode.node.intake.storing import Announced, refusal_of
from radnode.node.retrieving.archive import MOST_ANSWERS, FoundSeries, FoundStudy, NoAnswer, uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pynetdicom.association import Association

    from radnode.config.peers import Peer
    from radnode.node.intake.storing import Incoming
    from radnode.node.retrieving.archive import Question, Request

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
PENDING = (0xFF00, 0xFF01)
SUCCESS = 0x0000
WARNING = 0xB000
CANNOT_KEEP = 0xA700
_PLAIN = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
_PATIENCE_S = 600.0
"""For the next answer while images are moved: an archive may fetch them from a tape first."""
_MANY = [str(context.abstract_syntax) for context in StoragePresentationContexts]
"""120 classes, for an archive that does not say which (DCMTK's): an association has room for 128 contexts (PS3.8
9.3.2.2)."""

_STUDY = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "StudyDate", "AccessionNumber", "StudyDescription",
          "ModalitiesInStudy", "NumberOfStudyRelatedInstances")
_SERIES = ("SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription", "NumberOfSeriesRelatedInstances")


class DimseArchive:
    """A peer. take: receives what comes by C-GET; None: it comes by C-MOVE to the node's own AE title."""

    def __init__(
        self, peer: Peer, own_ae_title: str, take: Callable[[Announced], Incoming] | None
    ) -> None:
        self._peer = peer
        self._own_ae_title = own_ae_title
        self._take = take
        self._association: Association | None = None
        self._ended = False

    def studies(self, question: Question) -> list[FoundStudy]:
        """C-FIND at STUDY level."""
        identifier = _identifier("STUDY", question.study_instance_uid)
        for keyword in _STUDY:
            setattr(identifier, keyword, None)
        identifier.PatientID = question.patient_id or None
        identifier.AccessionNumber = question.accession_number or None
        identifier.StudyDate = question.study_date or None
        identifier.ModalitiesInStudy = question.modality or None
        return [
            FoundStudy(
                study_instance_uid=study, patient_id=_text(each, "PatientID"),
                issuer=_text(each, "IssuerOfPatientID"), birth_date=_text(each, "PatientBirthDate"),
                study_date=_text(each, "StudyDate"), accession_number=_text(each, "AccessionNumber"),
                description=_text(each, "StudyDescription"), modalities=_texts(each, "ModalitiesInStudy"),
                instances=_number(each, "NumberOfStudyRelatedInstances"),
            )
            for each in self._find(identifier) if (study := uid(_text(each, "StudyInstanceUID")))
        ]

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """C-FIND at SERIES level."""
        identifier = _identifier("SERIES", study_instance_uid)
        for keyword in _SERIES:
            setattr(identifier, keyword, None)
        return [
            FoundSeries(
                series_instance_uid=series, modality=_text(each, "Modality"),
                body_part=_text(each, "BodyPartExamined"), description=_text(each, "SeriesDescription"),
                instances=_number(each, "NumberOfSeriesRelatedInstances"),
            )
            for each in self._find(identifier) if (series := uid(_text(each, "SeriesInstanceUID")))
        ]

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> dict[str, str]:
        """C-FIND at IMAGE level; of classes only for C-GET, which needs them: Orthanc opens each file to tell one."""
        identifier = _identifier("IMAGE", study_instance_uid, series_instance_uid)
        identifier.SOPInstanceUID = None
        if self._take is not None:
            identifier.SOPClassUID = None
        return {
            instance: uid(_text(each, "SOPClassUID"))
            for each in self._find(identifier) if (instance := uid(_text(each, "SOPInstanceUID")))
        }

    def retrieve(self, request: Request) -> str:
        """C-MOVE to this node, or C-GET; of a whole series at SERIES level, else with a list of UIDs (C.4.2.1.4.2)."""
        identifier = _identifier("SERIES" if request.whole else "IMAGE", request.study_instance_uid,
                                 request.series_instance_uid)
        if not request.whole:
            identifier.SOPInstanceUID = list(request.instances)
        return self._move(identifier) if self._take is None else self._get(identifier, request)

    def abort(self) -> None:
        """End the association, and open no other."""
        self._ended = True
        association = self._association
        if association is not None:
            with contextlib.suppress(Exception):  # it may end by itself at this moment
                association.abort()

    def _find(self, identifier: Dataset) -> list[Dataset]:
        answers = []
        with self._associated([(FIND, _PLAIN)]) as association:
            for status, answer in association.send_c_find(identifier, FIND):
                code = self._code(status, "C-FIND")
                if code in PENDING and answer is not None:
                    answers.append(answer)
                elif code not in (SUCCESS, *PENDING):
                    raise NoAnswer(f"{self._peer.name} answered a C-FIND with status 0x{code:04X}")
                if len(answers) > MOST_ANSWERS:
                    raise NoAnswer(f"{self._peer.name} lists more than {MOST_ANSWERS} answers; ask for less at a time")
        return answers

    def _move(self, identifier: Dataset) -> str:
        with self._associated([(MOVE, _PLAIN)]) as association:
            answers = association.send_c_move(identifier, self._own_ae_title, MOVE)
            return self._outcome(answers, "C-MOVE")

    def _get(self, identifier: Dataset, request: Request) -> str:
        said = sorted(set(request.instances.values()))
        classes = _MANY if "" in said or len(said) > len(_MANY) else said
        contexts = [(GET, _PLAIN), *((each, TRANSFER_SYNTAXES) for each in classes)]
        roles = [build_role(each, scp_role=True) for each in classes]

        def stored(event: Any) -> int:
            return self._stored(event, request.study_instance_uid)

        with self._associated(contexts, roles=roles, handlers=[(evt.EVT_C_STORE, stored)]) as association:
            return self._outcome(association.send_c_get(identifier, GET), "C-GET")

    def _stored(self, event: Any, study_instance_uid: str) -> int:
        """A sub-operation: the bytes as they came, through the node's own intake; its status is the answer."""
        assert self._take is not None  # noqa: S101 - the handler is bound where it is given
        said, content = event.request, event.request.DataSet
        sop_class_uid, sop_instance_uid = (
            str(uid).encode("ascii", "replace") for uid in (said.AffectedSOPClassUID, said.AffectedSOPInstanceUID))
        incoming = self._take(Announced(
            sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=str(event.context.transfer_syntax), study_instance_uid=study_instance_uid,
            refusal=refusal_of(sop_class_uid, sop_instance_uid),
        ))
        if content is None:
            incoming.discard()
            return CANNOT_KEEP
        try:
            with content.getbuffer() as octets:
                for at in range(0, len(octets), 2**20):
                    incoming.write(octets[at : at + 2**20])
        except Violation:
            incoming.discard()
            return CANNOT_KEEP
        return incoming.finish().code

    def _outcome(self, answers: Iterator[tuple[Dataset, Dataset | None]], service: str) -> str:
        """Why not everything came, empty if it did; numbers of sub-operations as the archive counts them."""
        for status, _ in answers:
            code = self._code(status, service)
            if code in PENDING:
                continue
            failed = int(status.get("NumberOfFailedSuboperations") or 0)
            if code == SUCCESS and not failed:
                return ""
            if code in (SUCCESS, WARNING):
                return f"{failed} sub-operations failed at {self._peer.name}"
            comment = str(status.get("ErrorComment") or "")[:64]
            said = f" ({comment})" if comment.isascii() and comment.isprintable() and comment else ""
            return f"{self._peer.name} answered a {service} with status 0x{code:04X}{said}"
        raise NoAnswer(f"{self._peer.name} did not answer a {service}")

    def _code(self, status: Dataset, service: str) -> int:
        code = status.get("Status")
        if code is None:
            raise NoAnswer(f"{self._peer.name} did not answer a {service} to its end")
        return int(code)

    @contextlib.contextmanager
    def _associated(
        self, contexts: Sequence[tuple[str, Sequence[str]]], *, roles: Sequence[Any] = (),
        handlers: Sequence[tuple[Any, Any]] = (),
    ) -> Iterator[Association]:
        service = {FIND: "C-FIND", MOVE: "C-MOVE", GET: "C-GET"}[contexts[0][0]]
        with associate(self._peer, self._own_ae_title, contexts, roles=roles, handlers=handlers) as association:
            if service != "C-FIND":
                association.dimse_timeout = association.network_timeout = _PATIENCE_S
            if contexts[0][0] not in {context.abstract_syntax for context in association.accepted_contexts}:
                raise NoAnswer(f"{self._peer.name} does not offer Study Root {service}")
            self._association = association
            try:
                if self._ended:
                    raise PeerUnreachable("the node is stopping")
                yield association
            finally:
                self._association = None


def _identifier(level: str, study_instance_uid: str, series_instance_uid: str = "") -> Dataset:
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = level
    identifier.StudyInstanceUID = study_instance_uid or None
    if series_instance_uid:
        identifier.SeriesInstanceUID = series_instance_uid
    return identifier


def _text(answer: Dataset, keyword: str) -> str:
    value = answer.get(keyword)
    return "" if value is None else str(value).strip()


def _texts(answer: Dataset, keyword: str) -> tuple[str, ...]:
    value = answer.get(keyword)
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return tuple(str(each).strip() for each in values or [] if each)


def _number(answer: Dataset, keyword: str) -> int | None:
    try:
        return int(answer.get(keyword))
    except (TypeError, ValueError):
        return None
