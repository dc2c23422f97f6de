"""WADO-RS: instances and frames as pictures, and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from pydicom.uid import EncapsulatedPDFStorage

from radnode.node.dicomweb_out.accept import NotAcceptable, accepted, choose
from radnode.node.dicomweb_out.address import accept_of, studies_router
from radnode.node.dicomweb_out.holdings import NotHeld
from radnode.node.dicomweb_out.matching import BadQuery
from radnode.node.dicomweb_out.retrieving import NO_STORE, instance_of

if TYPE_CHECKING:
    from radnode.node.dicomweb_out.holdings import Holdings
    from radnode.storage.listing_queries import Found, InstanceFound

KINDS = {"image/jpeg": "JPEG", "image/png": "PNG"}
THUMBNAIL = 200
LARGEST = 8192
_NUMBER = re.compile(r"-?\d{1,8}(\.\d{1,6})?")


def routes(holdings: Holdings) -> APIRouter:
    """The resources of pictures."""
    router = studies_router()

    @router.get("/studies/{study}/series/{series}/instances/{instance}/rendered")
    def rendered(request: Request, study: str, series: str, instance: str) -> Response:
        found = instance_of(holdings.retrieve(study, series, instance)[0])
        if found.sop_class_uid == EncapsulatedPDFStorage:
            choose(accepted(accept_of(request)), ["application/pdf"])
            _, blobs = holdings.images.ask("value", holdings.path(found), at="00420011")
            return Response(blobs[0], media_type="application/pdf", headers=NO_STORE)
        if (frames := _frames(found)) > 1:
            raise NotAcceptable(f"the instance has {frames} frames; ask for one: frames/1/rendered")
        return _picture(holdings, request, found, 1)

    @router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{frame}/rendered")
    def rendered_frame(request: Request, study: str, series: str, instance: str, frame: int) -> Response:
        found = instance_of(holdings.retrieve(study, series, instance)[0])
        if not 1 <= frame <= _frames(found):
            raise NotHeld(f"the instance has {_frames(found)} frames, not {frame}")
        return _picture(holdings, request, found, frame)

    @router.get("/studies/{study}/thumbnail")
    def of_study(request: Request, study: str) -> Response:
        return _thumbnail(holdings, request, holdings.retrieve(study))

    @router.get("/studies/{study}/series/{series}/thumbnail")
    def of_series(request: Request, study: str, series: str) -> Response:
        return _thumbnail(holdings, request, holdings.retrieve(study, series))

    @router.get("/studies/{study}/series/{series}/instances/{instance}/thumbnail")
    def of_instance(request: Request, study: str, series: str, instance: str) -> Response:
        return _thumbnail(holdings, request, holdings.retrieve(study, series, instance))

    return router


def representative(found: list[Found]) -> tuple[InstanceFound, int]:
    """The middle image of the first series with images, and its middle frame. Raises NotHeld for no image."""
    images = [each for each in found if instance_of(each).attributes.get("PixelDataPresent")]
    if not images:
        raise NotHeld("there is no image to show")
    first = images[0].series
    own = [each for each in images if each.series == first]
    middle = instance_of(own[len(own) // 2])
    return middle, (_frames(middle) + 1) // 2


def _thumbnail(holdings: Holdings, request: Request, found: list[Found]) -> Response:
    instance, frame = representative(found)
    return _picture(holdings, request, instance, frame, size=(THUMBNAIL, THUMBNAIL))


def _picture(
    holdings: Holdings, request: Request, instance: InstanceFound, frame: int, size: tuple[int, int] | None = None
) -> Response:
    kind = choose(accepted(accept_of(request)), list(KINDS))
    asked = request.query_params
    _, blobs = holdings.images.ask(
        "picture", holdings.path(instance), frame=frame, window=_window(asked.get("window")),
        size=_size(asked.get("viewport")) or size, kind=KINDS[kind], quality=_quality(asked.get("quality")),
    )
    return Response(blobs[0], media_type=kind, headers=NO_STORE)


def _frames(instance: InstanceFound) -> int:
    return int(instance.attributes.get("NumberOfFrames") or 1)


def _window(text: str | None) -> tuple[float, float] | None:
    """PS3.18 8.3.5.1.4."""
    if text is None:
        return None
    center, width, function = (*text.split(","), "linear")[:3] if text.count(",") in (1, 2) else ("", "", "")
    if not _NUMBER.fullmatch(center) or not _NUMBER.fullmatch(width) or float(width) < 1:
        raise BadQuery("window: write centre,width,linear; the width is at least 1")
    if function.lower() != "linear":
        raise BadQuery("window: the function that is supported is linear")
    return float(center), float(width)


def _size(text: str | None) -> tuple[int, int] | None:
    """The largest width and height (PS3.18 8.3.5.1.3); a region of the image is not cut out."""
    if text is None:
        return None
    if not (found := re.fullmatch(r"(\d{1,5}),(\d{1,5})", text)):
        raise BadQuery("viewport: write width,height; regions are not supported")
    width, height = int(found[1]), int(found[2])
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise BadQuery(f"viewport: from 1 to {LARGEST}")
    return width, height


def _quality(text: str | None) -> int:
    if text is None:
        return 90
    if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= 100:
        raise BadQuery("quality: write a number from 1 to 100")
    return int(text)
