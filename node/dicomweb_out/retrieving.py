"""WADO-RS: retrieving instances, metadata, frames and bulk data (PS3.18 10.4)."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from radnode.node.dicomweb_out.accept import (
    UNCOMPRESSED,
    accepted,
    choose,
    choose_frames,
    choose_instances,
)
from radnode.node.dicomweb_out.address import accept_of, base_of, studies_router
from radnode.node.dicomweb_out.holdings import NotHeld
from radnode.node.dicomweb_out.matching import BadQuery
from radnode.node.dicomweb_out.parts import Envelope, Part, pieces_of, read_ahead
from radnode.node.dicomweb_out.searching import JSON_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from radnode.node.dicomweb_out.accept import Given
    from radnode.node.dicomweb_out.holdings import Holdings
    from radnode.storage.listed_metadata import Metadata
    from radnode.storage.listing_queries import Found, InstanceFound

NO_STORE = {"Cache-Control": "no-store"}
"""A viewer's machine has other users."""
MOST_FRAMES = 10_000
_MARK = b"\x01"
_PATH = re.compile(r"[0-9A-Fa-f]{8}(/\d{1,6}/[0-9A-Fa-f]{8}){0,32}")
_PIXELS = ("7FE00008", "7FE00009", "7FE00010")


def routes(holdings: Holdings) -> APIRouter:
    """The resources of a retrieval."""
    router = studies_router()
    server = _Retrieval(holdings)

    @router.get("/studies/{study}")
    def study(request: Request, study: str) -> Response:
        return server.instances(request, study)

    @router.get("/studies/{study}/series/{series}")
    def series(request: Request, study: str, series: str) -> Response:
        return server.instances(request, study, series)

    @router.get("/studies/{study}/series/{series}/instances/{instance}")
    def instance(request: Request, study: str, series: str, instance: str) -> Response:
        return server.instances(request, study, series, instance)

    @router.get("/studies/{study}/metadata")
    def study_metadata(request: Request, study: str) -> Response:
        return server.metadata(request, study)

    @router.get("/studies/{study}/series/{series}/metadata")
    def series_metadata(request: Request, study: str, series: str) -> Response:
        return server.metadata(request, study, series)

    @router.get("/studies/{study}/series/{series}/instances/{instance}/metadata")
    def instance_metadata(request: Request, study: str, series: str, instance: str) -> Response:
        return server.metadata(request, study, series, instance)

    @router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{frames}")
    def frames(request: Request, study: str, series: str, instance: str, frames: str) -> Response:
        return server.frames(request, (study, series, instance), frames)

    @router.get("/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path:path}")
    def bulk_data(request: Request, study: str, series: str, instance: str, path: str) -> Response:
        return server.bulk_data(request, (study, series, instance), path)

    return router


def address_of(base: str, found: Found) -> str:
    """Where an instance is retrieved."""
    series, instance = found.series, found.instance
    if series is None or instance is None:
        raise ValueError("no instance")
    return (f"{base}/studies/{found.study.study_instance_uid}/series/{series.series_instance_uid}"
            f"/instances/{instance.sop_instance_uid}")


def instance_of(found: Found) -> InstanceFound:
    """The instance of a match at that level."""
    if found.instance is None:
        raise ValueError("no instance")
    return found.instance


class _Retrieval:
    """Answers over what is held."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    def instances(self, request: Request, *uids: str) -> Response:
        """Whole files: as they are stored, or in Explicit VR Little Endian."""
        found = self._holdings.retrieve(*uids)
        single = len(uids) == 3
        given = choose_instances(
            accepted(accept_of(request)), {instance_of(each).transfer_syntax_uid for each in found}, single=single
        )
        base = base_of(request)
        parts = [self._file(each, base, given) for each in found]
        warnings = self._withheld(base, uids)
        if not given.multipart:
            return _single(parts[0], parts[0].content_type, warnings)
        return _multipart(parts, given.type, warnings)

    def _file(self, found: Found, base: str, given: Given) -> Part:
        instance = instance_of(found)
        stored = given.stored or instance.transfer_syntax_uid == ExplicitVRLittleEndian
        syntax = instance.transfer_syntax_uid if stored else ExplicitVRLittleEndian
        path = self._holdings.path(instance)
        return Part(
            content_type=f"application/dicom; transfer-syntax={syntax}", location=address_of(base, found),
            pieces=pieces_of(path) if stored else self._rewritten(path),
            size_bytes=instance.size_bytes if stored else None,
        )

    def _rewritten(self, path: Path) -> Iterator[bytes]:
        with tempfile.TemporaryDirectory(prefix="radnode-dicomweb-") as folder:
            target = Path(folder) / "instance"
            self._holdings.images.ask("rewrite", path, target=str(target))
            yield from pieces_of(target)

    def metadata(self, request: Request, *uids: str) -> Response:
        """The headers as DICOM JSON."""
        kind = choose(accepted(accept_of(request)), JSON_TYPES)
        found, base = self._holdings.retrieve(*uids), base_of(request)
        headers = self._holdings.metadata([instance_of(each) for each in found])
        documents = [_addressed(header, address_of(base, each)) for header, each in zip(headers, found, strict=True)]
        response = Response(b"[" + b",".join(documents) + b"]", media_type=kind, headers=NO_STORE)
        for warning in self._withheld(base, uids):
            response.headers.append("Warning", warning)
        return response

    def frames(self, request: Request, uids: tuple[str, str, str], frames: str) -> Response:
        """Frames by number, from 1."""
        if not re.fullmatch(r"\d{1,6}(,\d{1,6})*", frames):
            raise BadQuery("frames: write numbers from 1, separated by commas")
        numbers = [int(each) for each in frames.split(",")]
        if len(numbers) > MOST_FRAMES:
            raise BadQuery(f"frames: at most {MOST_FRAMES} at a time")
        return self._frames(request, uids, numbers)

    def _frames(self, request: Request, uids: tuple[str, str, str], numbers: Sequence[int]) -> Response:
        found = self._holdings.retrieve(*uids)[0]
        instance = instance_of(found)
        given = choose_frames(
            accepted(accept_of(request)), instance.transfer_syntax_uid, single=len(numbers) == 1
        )
        location = address_of(base_of(request), found)
        syntax = instance.transfer_syntax_uid if given.stored else ExplicitVRLittleEndian
        content_type = f"{given.type}; transfer-syntax={syntax}"
        # The first is opened before anything is answered: what cannot be given is said with a status.
        bodies = self._bodies(instance, numbers, given)
        first = next(bodies)
        every = (
            Part(content_type=content_type, location=f"{location}/frames/{number}", pieces=[body], size_bytes=len(body))
            for number, body in zip(numbers, _resumed(first, bodies), strict=True)
        )
        if not given.multipart:
            return _single(next(every), content_type)
        return _multipart(list(every) if len(numbers) == 1 else every, given.type)

    def _bodies(self, instance: InstanceFound, numbers: Sequence[int], given: Given) -> Iterator[bytes]:
        path = self._holdings.path(instance)
        layout = None if given.stored or instance.transfer_syntax_uid not in UNCOMPRESSED else (
            self._holdings.metadata([instance])[0].layout)
        for number in numbers:
            if layout is None:
                _, blobs = self._holdings.images.ask("frames", path, numbers=[number], stored=given.stored)
                yield blobs[0]
            else:
                yield _cut_out(path, layout, number)

    def bulk_data(self, request: Request, uids: tuple[str, str, str], path: str) -> Response:
        """One binary value; pixels as their frames."""
        if not _PATH.fullmatch(path):
            raise NotHeld("the instance has no such value")
        found = self._holdings.retrieve(*uids)[0]
        instance = instance_of(found)
        if path.upper() in _PIXELS:
            count = instance.attributes.get("NumberOfFrames") or 1
            return self._frames(request, uids, range(1, int(count) + 1))
        kinds = ["application/octet-stream"]
        if instance.sop_class_uid == EncapsulatedPDFStorage and path == "00420011":
            kinds.append("application/pdf")
        ranges = accepted(accept_of(request))
        in_parts = [each for each in ranges if each.multipart and each.type in ("*/*", kinds[0])]
        kind = kinds[0] if in_parts else choose(ranges, kinds)
        _, blobs = self._holdings.images.ask("value", self._holdings.path(instance), at=path)
        part = Part(content_type=kind, location=f"{address_of(base_of(request), found)}/bulkdata/{path}", pieces=blobs,
                    size_bytes=len(blobs[0]))
        return _multipart([part], kind) if in_parts else _single(part, kind)

    def _withheld(self, base: str, uids: Sequence[str]) -> list[str]:
        """A study is never cut short silently."""
        hidden = self._holdings.withheld(uids[0]) if len(uids) < 3 else 0
        text = f"299 {base}: {hidden} images of this study are unreadable or in conflict here and are not retrieved"
        return [text] if hidden else []


def _resumed(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _cut_out(path: Path, layout: dict[str, int], number: int) -> bytes:
    """An uncompressed frame as it lies in the file. Raises BadQuery."""
    if not 1 <= number <= layout["frames"]:
        raise NotHeld(f"the instance has {layout['frames']} frames, not {number}")
    with path.open("rb") as file:
        file.seek(layout["offset"] + (number - 1) * layout["frame_bytes"])
        return file.read(layout["frame_bytes"])


def _addressed(header: Metadata, address: str) -> bytes:
    return header.document.replace(_MARK, address.encode("latin-1"))


def _single(part: Part, content_type: str, warnings: Sequence[str] = ()) -> Response:
    headers = {**NO_STORE, "Content-Location": part.location}
    if part.size_bytes is not None:
        headers["Content-Length"] = str(part.size_bytes)
    return _warned(StreamingResponse(read_ahead(iter(part.pieces)), media_type=content_type, headers=headers), warnings)


def _multipart(parts: Iterable[Part], kind: str, warnings: Sequence[str] = ()) -> Response:
    envelope, headers = Envelope(), dict(NO_STORE)
    if isinstance(parts, list) and (length := envelope.length(parts)) is not None:
        headers["Content-Length"] = str(length)
    response = StreamingResponse(
        read_ahead(envelope.written(parts)), media_type=envelope.content_type(kind), headers=headers
    )
    return _warned(response, warnings)


def _warned(response: Response, warnings: Sequence[str]) -> Response:
    for warning in warnings:
        response.headers.append("Warning", warning)
    return response
