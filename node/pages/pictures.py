"""Pictures of a study: its series, a viewer for one of them, what was found drawn over it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.dicomweb_out.holdings import NotHeld
from radnode.node.dicomweb_out.image_processes import ImageRefused, ImageUnreadable, Overloaded
from radnode.node.pages.picture_texts import NO_PICTURE, instead, series_shown, study_shown
from radnode.node.pages.words import N_
from radnode.node.pictures.gallery import Gallery
from radnode.node.pictures.viewer_link import viewer_address
from radnode.node.web.access import Permission, may, needs
from radnode.pipelines.results import window_presets as presets

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts
    from radnode.node.pictures.gallery import Shown
    from radnode.node.pictures.readings import Reading
    from radnode.storage.listing_queries import InstanceFound
    from radnode.storage.showing import ShownObject

FOR_A_WHILE = {"Cache-Control": "private, max-age=600", "Vary": "Cookie"}
"""Of pictures, whose addresses change with their bytes: for who is logged in, while he leafs to and fro."""
SHADOWS = Permission.ACT
"""Who runs the node sees what was made in shadow. Who reads the study does not: it was made to be told to nobody."""
SIZES = (200, 512, 1024, 2048, 4096)
PRESETS = (
    (N_("Lung"), presets.LUNG), (N_("Soft tissue"), presets.SOFT_TISSUE), (N_("Bone"), presets.BONE),
    (N_("Brain"), presets.BRAIN), (N_("Liver"), presets.LIVER), (N_("Mediastinum"), presets.MEDIASTINUM),
)
_WINDOW = re.compile(r"(-?\d{1,7}(?:\.\d{1,3})?),(\d{1,7}(?:\.\d{1,3})?)")
_SEGMENTS = re.compile(r"\d{1,10}(,\d{1,10}){0,499}")
_STATUSES = {ImageRefused: 415, ImageUnreadable: 415, Overloaded: 503}


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The pages, and the pictures in them."""
    gallery = Gallery(parts.database, parts.holdings)
    pages = APIRouter(dependencies=[needs(Permission.STUDIES)])
    _add_pages(pages, parts, frame, gallery)
    _add_pictures(pages, frame, gallery)
    unsent = APIRouter(dependencies=[needs(SHADOWS)])
    _add_shadows(unsent, gallery)
    whole = APIRouter()
    whole.include_router(pages)
    whole.include_router(unsent)
    return whole


def _add_pages(pages: APIRouter, parts: Parts, frame: Frame, gallery: Gallery) -> None:
    @pages.get("/studies/{study_id:int}/pictures")
    def study(request: Request, study_id: int) -> Response:
        """Its series with thumbnails."""
        try:
            found, series, withheld = gallery.study(study_id)
        except NotHeld as error:
            raise HTTPException(404, str(error)) from error
        objects, more = gallery.objects(study_id)
        return frame.page(
            request, "pictures/study.html", study=study_shown(found), withheld=withheld,
            received=[series_shown(each, gallery.views(each)) for each in series if not each.is_result],
            made=[series_shown(each) for each in series if each.is_result], objects=objects, more=more,
            viewer=viewer_address(parts.configuration().settings.viewer_url, found.study_instance_uid),
        )

    @pages.get("/studies/{study_id:int}/series/{series}")
    def viewer(request: Request, study_id: int, series: str) -> Response:
        """Leafing through one series."""
        shown = _shown(gallery, study_id, series)
        _, others, _ = gallery.study(study_id)
        return frame.page(
            request, "pictures/series.html", study=study_shown(shown.study), series=series_shown(shown.series),
            others=[series_shown(each, gallery.views(each)) for each in others],
            shown=shown, slices=[_slice(each) for each in shown.slices],
            unclear=sum(each.sides is None for each in shown.slices), presets=PRESETS if shown.hounsfield else (),
            viewer=viewer_address(parts.configuration().settings.viewer_url, shown.study.study_instance_uid),
        )

    @pages.get("/studies/{study_id:int}/series/{series}/findings")
    def findings(request: Request, study_id: int, series: str) -> Response:
        """What was found on it: a list, with what the viewer draws."""
        shown = _shown(gallery, study_id, series)
        objects, more = gallery.objects(study_id, shadows=may(request, SHADOWS))
        found = gallery.readings(shown, objects)
        elsewhere = {uid: (series_shown(each, views), number)
                     for uid, (each, views, number) in gallery.elsewhere(study_id, found).items()}
        return frame.part(
            request, "pictures/findings.html", study_id=study_id, jobs=gallery.jobs(study_id), found=found, more=more,
            elsewhere=elsewhere,
            drawn=[_drawn(each, reading) for each, reading in found],
        )


def _add_pictures(pages: APIRouter, frame: Frame, gallery: Gallery) -> None:
    @pages.get("/studies/{study_id:int}/series/{series}/thumbnail")
    def thumbnail(request: Request, study_id: int, series: str) -> Response:
        """The picture in the middle, small; where there is none, a picture that says so."""
        try:
            instance, number = gallery.middle(study_id, series)
            content = gallery.picture(instance, number, window=None, size=SIZES[0], kind="JPEG")
        except NotHeld:
            return _instead(request, frame, NO_PICTURE)
        except (ImageRefused, ImageUnreadable, Overloaded):
            return _instead(request, frame, N_("Cannot be shown"))
        return _picture(request, content, "image/jpeg", instance.digest)

    @pages.get("/studies/{study_id:int}/images/{number:int}/{of}")
    def picture(
        request: Request, study_id: int, number: int, of: int, window: str = "", size: int = SIZES[2]
    ) -> Response:
        """One frame of one image. window: centre,width; none: that of the image."""
        chosen = _WINDOW.fullmatch(window)
        if (window and not chosen) or size not in SIZES:
            raise HTTPException(400, "there is no such picture")
        try:
            instance = gallery.instance(study_id, number)
            content = gallery.picture(
                instance, of, size=size, kind="JPEG",
                window=(float(chosen[1]), max(float(chosen[2]), 1.0)) if chosen else None,
            )
        except (NotHeld, ImageRefused, ImageUnreadable, Overloaded) as error:
            raise HTTPException(_STATUSES.get(type(error), 404), str(error)) from error
        return _picture(request, content, "image/jpeg", instance.digest)

    @pages.get("/studies/{study_id:int}/images/{number:int}/{of}/overlay/{by:int}")
    def overlay(request: Request, study_id: int, number: int, of: int, by: int, segments: str = "") -> Response:
        """Segments or structures of one object on that frame; transparent where none is."""
        return _overlay(request, gallery, (study_id, number, of), lambda: gallery.instance(study_id, by), segments)


def _add_shadows(pages: APIRouter, gallery: Gallery) -> None:
    @pages.get("/studies/{study_id:int}/images/{number:int}/{of}/overlay/shadow/{by:int}")
    def shadow(request: Request, study_id: int, number: int, of: int, by: int, segments: str = "") -> Response:
        """The same of an object that was made in shadow and sent to nobody."""
        return _overlay(request, gallery, (study_id, number, of), lambda: gallery.in_shadow(study_id, by), segments)


def _overlay(
    request: Request, gallery: Gallery, on: tuple[int, int, int], find: Callable[[], InstanceFound], segments: str
) -> Response:
    if not _SEGMENTS.fullmatch(segments):
        raise HTTPException(400, "name segments by their numbers, separated by commas")
    try:
        drawn = find()
        content, kind = gallery.drawn(*on, drawn, {int(each) for each in segments.split(",")})
    except (NotHeld, ImageRefused, ImageUnreadable, Overloaded) as error:
        raise HTTPException(_STATUSES.get(type(error), 404), str(error)) from error
    return _picture(request, content, kind, drawn.digest)


def _shown(gallery: Gallery, study_id: int, series: str) -> Shown:
    try:
        return gallery.series(study_id, series)
    except NotHeld as error:
        raise HTTPException(404, str(error)) from error
    except Overloaded as error:
        raise HTTPException(503, str(error)) from error


def _slice(each: Any) -> dict[str, Any]:
    """What the script knows of a picture."""
    place = each.place
    return {
        "id": each.instance.id, "frame": each.frame, "digest": each.instance.digest[:16], "rows": each.rows,
        "columns": each.columns, "aspect": round(each.aspect, 6), "number": each.number,
        "place": f"{place[0]} {place[1]:.1f} mm" if place else "",
        "sides": [each.sides.left, each.sides.right, each.sides.top, each.sides.bottom] if each.sides else None,
        "view": each.said,
    }


def _drawn(found: ShownObject, reading: Reading) -> dict[str, Any]:
    """What the script draws of an object. id: the end of its address."""
    every = sorted({finding.segment for finding in reading.findings if finding.segment is not None})
    return {
        "id": f"shadow/{found.instance.id}" if found.shadow else str(found.instance.id), "shadow": found.shadow,
        "made": f"{found.pipeline} {found.version}",
        "digest": found.instance.digest[:16], "outlined": reading.outlined, "scaled": reading.scale is not None,
        "layers": {at: list(of) if reading.outlined else every for at, of in reading.layers.items()},
        "marks": [
            {"finding": number, "at": shape.at, "kind": shape.kind, "points": shape.points}
            for number, finding in enumerate(reading.findings) for shape in finding.shapes
        ],
    }


def _picture(request: Request, content: bytes, kind: str, digest: str) -> Response:
    tag = f'"{digest[:24]}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={**FOR_A_WHILE, "ETag": tag})
    return Response(content, media_type=kind, headers={**FOR_A_WHILE, "ETag": tag})


def _instead(request: Request, frame: Frame, text: str) -> Response:
    return Response(instead(frame.translated(request, text)), media_type="image/svg+xml",
                    headers={"Cache-Control": "no-store"})
