"""An archive by DICOMweb: QIDO-RS and WADO-RS (PS3.18 10.6 and 10.4)."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from radnode.node.association import PeerUnreachable
from radnode.node.dicomweb import media
from radnode.node.dicomweb.multipart import Malformed
from radnode.node.dicomweb.stow import NoSuchType, Transaction, parts
from radnode.node.intake.pdus import Violation
from radnode.node.retrieving.archive import MOST_ANSWERS, FoundSeries, FoundStudy, NoAnswer, uid
from radnode.node.security.tokens import SecretUnreadable, read_secret
from radnode.node.statuses import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radnode.config.pulls import Web
    from radnode.node.retrieving.archive import Question, Request

TIMEOUT_S = 60.0
LARGEST_ANSWER = 64 * 2**20
"""Bytes of one answer of QIDO-RS."""
PAGE = 500
_PIECE = 2**18
_IMAGES = 'multipart/related; type="application/dicom"; transfer-syntax=*'

_STUDY_FIELDS = ("00080050", "00080061", "00081030", "00100021", "00100030", "00201208")
_SERIES_FIELDS = ("00180015", "0008103E", "00201209")


class WebArchive:
    """An address of DICOMweb. begin: makes what images of a study are given to."""

    def __init__(self, name: str, web: Web, begin: Callable[[str], Transaction]) -> None:
        self._name = name
        self._web = web
        self._begin = begin
        self._connection: http.client.HTTPConnection | None = None
        self._ended = False

    def studies(self, question: Question) -> list[FoundStudy]:
        """Search for studies."""
        asked = {
            "StudyInstanceUID": question.study_instance_uid, "AccessionNumber": question.accession_number,
            "PatientID": question.patient_id, "StudyDate": question.study_date, "ModalitiesInStudy": question.modality,
        }
        return [
            FoundStudy(
                study_instance_uid=study, patient_id=_text(each, "00100020"), issuer=_text(each, "00100021"),
                birth_date=_text(each, "00100030"), study_date=_text(each, "00080020"),
                accession_number=_text(each, "00080050"), description=_text(each, "00081030"),
                modalities=_texts(each, "00080061"), instances=_number(each, "00201208"),
            )
            for each in self._search("studies", asked, _STUDY_FIELDS) if (study := uid(_text(each, "0020000D")))
        ]

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """Search for the series of a study."""
        found = self._search(f"studies/{study_instance_uid}/series", {}, _SERIES_FIELDS)
        return [
            FoundSeries(
                series_instance_uid=series, modality=_text(each, "00080060"), body_part=_text(each, "00180015"),
                description=_text(each, "0008103E"), instances=_number(each, "00201209"),
            )
            for each in found if (series := uid(_text(each, "0020000E")))
        ]

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> dict[str, str]:
        """Search for the instances of a series."""
        found = self._search(f"studies/{study_instance_uid}/series/{series_instance_uid}/instances", {}, ())
        return {
            instance: uid(_text(each, "00080016")) for each in found if (instance := uid(_text(each, "00080018")))
        }

    def retrieve(self, request: Request) -> str:
        """A series in one request, or instances one by one."""
        series = f"studies/{request.study_instance_uid}/series/{request.series_instance_uid}"
        paths = [series] if request.whole else [f"{series}/instances/{each}" for each in request.instances]
        reasons = [said for path in paths if (said := self._retrieve(path, request.study_instance_uid))]
        return f"{reasons[0]}{f' (and {len(reasons) - 1} more)' if reasons[1:] else ''}" if reasons else ""

    def abort(self) -> None:
        """Cut the connection, and open no other."""
        self._ended = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _retrieve(self, path: str, study_instance_uid: str) -> str:
        transaction = self._begin(study_instance_uid)
        with self._requested(path, _IMAGES) as answer:
            if answer.status != 200:
                return f"{self._name} answered {answer.status} to WADO-RS"
            said = media.parse(answer.headers.get("Content-Type", ""))
            if said is None:
                raise NoAnswer(f"{self._name} answered WADO-RS without a type")
            try:
                transaction.take(parts(_body(answer), said))
            except (Malformed, NoSuchType, Violation) as error:
                raise NoAnswer(f"{self._name}: its answer to WADO-RS is none: {error}") from error
        refused = [each.status for each in transaction.outcomes if each.status.code != SUCCESS]
        return f"{len(refused)} objects were refused, the first with 0x{refused[0].code:04X}" if refused else ""

    def _search(self, path: str, asked: dict[str, str], fields: tuple[str, ...]) -> list[dict[str, Any]]:
        """All answers: pages until one brings nothing new, for a server may give fewer at a time than it is asked for
        (PS3.18 8.3.4.4), and one that knows no pages gives the same again."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            query = [*((key, value) for key, value in asked.items() if value),
                     *(("includefield", each) for each in fields), ("limit", str(PAGE)), ("offset", str(len(found)))]
            page = self._page(f"{path}?{urlencode(query)}")
            before = len(found)
            for each in page:
                found.setdefault(json.dumps(each, sort_keys=True), each)
            if len(found) == before:
                return list(found.values())
            if len(found) > MOST_ANSWERS:
                raise NoAnswer(f"{self._name} lists more than {MOST_ANSWERS} answers; ask for less at a time")

    def _page(self, path: str) -> list[dict[str, Any]]:
        with self._requested(path, media.JSON) as answer:
            if answer.status == 204:
                return []
            if answer.status != 200:
                raise NoAnswer(f"{self._name} answered {answer.status} to QIDO-RS")
            content = answer.read(LARGEST_ANSWER + 1)
        try:
            page = json.loads(content) if len(content) <= LARGEST_ANSWER else None
        except ValueError:
            page = None
        if not isinstance(page, list) or not all(isinstance(each, dict) for each in page):
            raise NoAnswer(f"{self._name}: its answer to QIDO-RS is no list in DICOM JSON")
        return page

    @contextlib.contextmanager
    def _requested(self, path: str, accept: str) -> Iterator[http.client.HTTPResponse]:
        """An answer, whatever its status; redirects are not followed. Raises NoAnswer, PeerUnreachable."""
        parts_of_url = urlsplit(self._web.url)
        connection: http.client.HTTPConnection | None = None
        try:
            connection = self._connection = self._connect(parts_of_url.hostname or "", parts_of_url.port)
            headers = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": "radnode", **self._secret()}
            if self._ended:
                raise PeerUnreachable("the node is stopping")
            connection.request("GET", f"{parts_of_url.path}/{path}", headers=headers)
            yield connection.getresponse()
        except (http.client.HTTPException, OSError, ValueError, SecretUnreadable) as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise NoAnswer(f"{self._name} ({parts_of_url.netloc}): {said}") from error
        finally:
            self._connection = None
            if connection is not None:
                connection.close()

    def _connect(self, host: str, port: int | None) -> http.client.HTTPConnection:
        if self._web.url.startswith("http:"):
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        context = ssl.create_default_context(cafile=self._web.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._web.certificate:
            context.load_cert_chain(self._web.certificate, self._web.key)
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)

    def _secret(self) -> dict[str, str]:
        if self._web.token_file:
            return {"Authorization": f"Bearer {read_secret(self._web.token_file)}"}
        if self._web.user and self._web.password_file:
            shown = f"{self._web.user}:{read_secret(self._web.password_file)}".encode()
            return {"Authorization": f"Basic {base64.b64encode(shown).decode('ascii')}"}
        return {}


def _body(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := answer.read1(_PIECE):
        yield piece


def _values(answer: dict[str, Any], tag: str) -> list[Any]:
    """The values of an attribute of the DICOM JSON model (PS3.18 F.2)."""
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [each for each in values if each is not None] if isinstance(values, list) else []


def _texts(answer: dict[str, Any], tag: str) -> tuple[str, ...]:
    return tuple(str(each).strip() for each in _values(answer, tag))


def _text(answer: dict[str, Any], tag: str) -> str:
    return next(iter(_texts(answer, tag)), "")


def _number(answer: dict[str, Any], tag: str) -> int | None:
    try:
        return int(_text(answer, tag))
    except ValueError:
        return None
