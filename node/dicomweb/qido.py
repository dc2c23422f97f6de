"""What a peer says it holds, by QIDO-RS (PS3.18 10.6): the identifier of a C-FIND as a search.

Exact matching of UIDs alone; the levels are those of the Study Root model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from radnode.node.association import PeerUnreachable
from radnode.node.dicomweb import json_model
from radnode.node.dicomweb.client import connect
from radnode.node.dicomweb.json_model import NoModel

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from radnode.config.peers import Peer
    from radnode.node.dicomweb.client import WebClient

PAGE = 1000
MOST_PAGES = 100

_MATCHED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def find(peer: Peer, identifier: Dataset) -> list[Dataset]:
    """All answers. Raises :class:`PeerUnreachable`.

    identifier: with QueryRetrieveLevel and the UIDs of the levels above it; what has no value is asked for. A service
    may answer fewer at a time than it has, so that only an answer with nothing new ends a list.
    """
    level, path, matched = _resource(identifier)
    asked = [element.keyword for element in identifier if element.is_empty and element.keyword]
    params = {**matched, **({"includefield": ",".join(asked)} if asked else {})}
    with connect(peer) as client:
        if matched:
            return _page(peer, client, path, params)
        answers: dict[str, Dataset] = {}
        for _ in range(MOST_PAGES):
            found = _page(peer, client, path, {**params, "limit": str(PAGE), "offset": str(len(answers))})
            fresh = {str(each.get(level, "")): each for each in found}
            if fresh.keys() <= answers.keys():
                return list(answers.values())
            answers |= fresh
    raise PeerUnreachable(f"{peer.name} lists more than {PAGE * MOST_PAGES} matches")


def _page(peer: Peer, client: WebClient, path: str, params: dict[str, str]) -> list[Dataset]:
    reply = client.request("GET", path, params=params, headers={"Accept": "application/dicom+json"})
    if reply.status == 204:
        return []
    if reply.status == 404 and path != "/studies":  # of a study that it does not have, by some services
        return []
    if objection := client.objection(reply):
        raise objection
    document = reply.document()
    if reply.status != 200 or not isinstance(document, list):
        raise PeerUnreachable(f"{peer.name} did not answer a query in DICOM JSON (HTTP {reply.status})")
    try:
        return [json_model.dataset(each) for each in document]
    except NoModel as error:
        raise PeerUnreachable(f"{peer.name} answered a query with what is no DICOM JSON") from error


def _resource(identifier: Dataset) -> tuple[str, str, dict[str, str]]:
    """The UID of its level, its resource below those that are named, what is matched (PS3.18 Table 10.6.1-1)."""
    study, series, instance = (str(identifier.get(keyword) or "") for keyword in _MATCHED)
    level, path, uid = {
        "STUDY": ("StudyInstanceUID", "/studies", study),
        "SERIES": ("SeriesInstanceUID", f"/studies/{quote(study)}/series", series),
        "IMAGE": ("SOPInstanceUID", f"/studies/{quote(study)}/series/{quote(series)}/instances", instance),
    }[str(identifier.QueryRetrieveLevel)]
    return level, path, {level: uid} if uid else {}
