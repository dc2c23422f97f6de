"""What an archive is to the node, whichever protocol it speaks: questions with plain answers, and images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from radnode.node.association import PeerUnreachable
from radnode.node.intake.header_walk import is_uid

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

MOST_ANSWERS = 20_000
"""Of one question; an archive that answers more is asked too broadly."""


class NoAnswer(PeerUnreachable):
    """The archive cannot be asked, or says something that is no answer; it may be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which studies. Empty: any. since, until: Study Date, both included. modality: any of them in the study."""

    study_instance_uid: str = ""
    accession_number: str = ""
    patient_id: str = ""
    since: date | None = None
    until: date | None = None
    modality: str = ""

    @property
    def study_date(self) -> str:
        """As a range of PS3.4 C.2.2.2.5; empty for any."""
        if self.since is None and self.until is None:
            return ""
        return "-".join(format(each, "%Y%m%d") if each else "" for each in (self.since, self.until))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudy:
    """A study that the archive lists. Texts are empty where it does not say. instances: None where it does not."""

    study_instance_uid: str
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    study_date: str = ""
    accession_number: str = ""
    description: str = ""
    modalities: tuple[str, ...] = ()
    instances: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """A series that the archive lists. instances: None where it does not say how many."""

    series_instance_uid: str
    modality: str = ""
    body_part: str = ""
    description: str = ""
    instances: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Images of one series. instances: SOP Instance UID -> SOP Class UID ("" if the archive does not say).

    whole: these are all of it, and it may be asked for as a whole.
    """

    study_instance_uid: str
    series_instance_uid: str
    instances: Mapping[str, str]
    whole: bool


class Archive(Protocol):
    """A source that is asked. UIDs in its answers are UIDs.

    Everything raises :class:`~radnode.node.association.PeerUnreachable`.
    """

    def studies(self, question: Question) -> list[FoundStudy]:
        """The studies that answer the question."""
        ...

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """The series of a study."""
        ...

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> dict[str, str]:
        """The instances of a series: SOP Instance UID -> SOP Class UID, "" where it does not say."""
        ...

    def retrieve(self, request: Request) -> str:
        """Have images come into the node; why not all of them did, empty if the archive says that they did.

        What is here, the ledger says, not the archive.
        """
        ...

    def abort(self) -> None:
        """From another thread: end what is under way; it raises PeerUnreachable there."""
        ...


def uid(text: str) -> str:
    """A UID of PS3.5 9.1, or nothing: what an archive says goes into requests and rows."""
    return text if is_uid(text.encode("ascii", "replace")) else ""


def wanted_series(found: Collection[FoundSeries], modalities: Collection[str]) -> list[FoundSeries]:
    """Those of these modalities; all if none is named. A series whose modality is not said is wanted."""
    return [each for each in found if not modalities or not each.modality or each.modality in modalities]
