"""QIDO-RS: searching studies, series and instances (PS3.18 10.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from radnode.node.dicomweb_out.accept import accepted, choose
from radnode.node.dicomweb_out.address import accept_of, base_of, studies_router
from radnode.node.dicomweb_out.matching import included, question
from radnode.node.dicomweb_out.model import matches
from radnode.storage.listing_queries import Level

if TYPE_CHECKING:
    from radnode.node.dicomweb_out.holdings import Holdings

JSON_TYPES = ("application/dicom+json", "application/json")


def routes(holdings: Holdings) -> APIRouter:
    """The resources of a search."""
    router = studies_router()

    @router.get("/studies")
    def studies(request: Request) -> Response:
        return _answer(holdings, request, Level.STUDIES)

    @router.get("/series")
    def all_series(request: Request) -> Response:
        return _answer(holdings, request, Level.SERIES)

    @router.get("/instances")
    def all_instances(request: Request) -> Response:
        return _answer(holdings, request, Level.INSTANCES)

    @router.get("/studies/{study}/series")
    def series(request: Request, study: str) -> Response:
        return _answer(holdings, request, Level.SERIES, StudyInstanceUID=study)

    @router.get("/studies/{study}/instances")
    def instances_of_study(request: Request, study: str) -> Response:
        return _answer(holdings, request, Level.INSTANCES, StudyInstanceUID=study)

    @router.get("/studies/{study}/series/{series}/instances")
    def instances(request: Request, study: str, series: str) -> Response:
        return _answer(holdings, request, Level.INSTANCES, StudyInstanceUID=study, SeriesInstanceUID=series)

    return router


def _answer(holdings: Holdings, request: Request, level: Level, **fixed: str) -> Response:
    """Says what was not followed, that there is more, and that images of the study are not shown (RFC 7234 5.5)."""
    kind = choose(accepted(accept_of(request)), JSON_TYPES)
    parameters = request.query_params.multi_items()
    asked, wanted, base = question(level, parameters, fixed), included(parameters), base_of(request)
    found, more = holdings.find(level, asked)
    warnings = list(asked.warnings)
    if more:
        warnings.append("There are additional results that can be requested")
    if (study := fixed.get("StudyInstanceUID")) and (hidden := holdings.withheld(study)):
        warnings.append(f"{hidden} images of this study are unreadable or in conflict here and are not listed")
    response = Response(
        matches(found, base, wanted), media_type=kind, headers={"Cache-Control": "no-store"},
    )
    for text in warnings:
        response.headers.append("Warning", f"299 {base}: {text}")
    return response
