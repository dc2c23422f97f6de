"""What stands around every page: navigation, language, theme, and what the browser may load for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from radnode.node.pages.picture_texts import date_said, name_said, number_said, unit
from radnode.node.pages.reasons import Reasons
from radnode.node.pages.routes.shown import written_again
from radnode.node.pages.static import assets, static_router
from radnode.node.pages.words import COOKIE, DEFAULT, LANGUAGES, Words, language_of
from radnode.node.web.identities import is_secure
from radnode.node.web.login import inside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from radnode.config.loading import Configuration
    from radnode.node.web.access import Identity, Permission

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""No inline script, no inline style, nothing of another site (CSP level 3)."""
THEMES = ("light", "dark")
YEAR_S = 31_536_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """An entry of the navigation, shown to who holds the permission. label: marked with N_."""

    path: str
    label: str
    permission: Permission


class Frame:
    """Renders templates of `templates/`, each into a whole page or into a part of one that is there."""

    def __init__(self, configuration: Callable[[], Configuration]) -> None:
        self._configuration = configuration
        self._assets = assets()
        self._areas: Sequence[Area] = ()
        self._environments: dict[tuple[str, str], Environment] = {}

    def begin(self, areas: Sequence[Area]) -> None:
        """What the navigation shows, in this order."""
        self._areas = tuple(areas)

    def page(self, request: Request, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A whole page: its template extends `frame.html`."""
        return HTMLResponse(self.text(request, template, **values), status, {"Content-Security-Policy": POLICY,
                            "Vary": "Cookie, Accept-Language"})

    part = page
    """A part of a page, which htmx puts into its place: the template extends nothing."""

    def text(self, request: Request, template: str, /, **values: Any) -> str:
        """The same as text, for events."""
        identity: Identity | None = request.app.state.identity(request)
        language, theme = language_of(request), request.cookies.get("theme")
        held = identity.permissions if identity else frozenset()
        words = Words.of(language)
        return self._environment(language, template.partition("/")[0]).get_template(template).render(
            **values, person=identity, permissions=held, language=language, languages=LANGUAGES,
            areas=[(each.path, words.gettext(each.label)) for each in self._areas if each.permission in held],
            theme=theme if theme in THEMES else "", path=request.url.path, node=self._configuration().settings.ae_title,
        )

    def translated(self, request: Request, text: str, /, **values: Any) -> str:
        """A text that is marked with N_, in the language of who asks, with its values in."""
        found = Words.of(language_of(request)).gettext(text)
        return found % values if values else found

    @staticmethod
    def said(request: Request, reason: str) -> str:
        """A reason in the language of who asks."""
        return Reasons.of(language_of(request)).said(reason)

    def error(self, request: Request, status: int, detail: str) -> HTMLResponse:
        """A page that says why there is none."""
        return self.page(request, "error.html", status=status, code=status, detail=detail)

    def router(self) -> APIRouter:
        """Style sheets, scripts, and the choice of a language: public."""
        router = APIRouter(include_in_schema=False)
        router.include_router(static_router(self._assets))

        @router.get("/language/{code}")
        def choose(request: Request, code: str, then: str = "/") -> Response:
            """Remember a language and go back."""
            answer = RedirectResponse(inside(then), 303)
            if code in LANGUAGES:
                answer.set_cookie(COOKIE, code, max_age=YEAR_S, path="/", httponly=True, samesite="lax",
                                  secure=is_secure(request, self._configuration().access))
            return answer

        return router

    def _environment(self, language: str, area: str) -> Environment:
        """For the templates of an area, which are compiled once."""
        known = self._environments.get((language, area))
        if known is None:
            known = self._environments[language, area] = self._made(language, area)
        return known

    def _made(self, language: str, area: str) -> Environment:
        made = Environment(
            loader=PackageLoader("radnode.node.pages", "templates"), autoescape=True, undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"], trim_blocks=True, lstrip_blocks=True,
        )
        made.install_gettext_translations(Words.of(language, area), newstyle=True)  # type: ignore[attr-defined]
        made.globals["static"] = lambda name: self._assets[name].address
        made.filters |= {"when": when, "person": name_said, "day": date_said, "number": number_said,
                         "unit": unit}
        made.filters |= reason_filters(language)
        made.filters["segment"] = lambda value: quote(str(value), safe="")
        return made


def reason_filters(language: str) -> dict[str, Callable[[Any], Any]]:
    """Filters for what was said in English elsewhere; English shows it as it is."""
    reasons, words = Reasons.of(language), Words.of(language)

    def said(text: object) -> object:
        return reasons.said(text) if isinstance(text, str) and language != DEFAULT else text or ""

    def condition(written: str) -> str:
        return written if language == DEFAULT else written_again(written, words.gettext)

    def all_said(values: Mapping[str, Any]) -> dict[str, Any]:
        ways = {"reason": said, "seen": said, "condition": condition}
        return {name: ways[name](value) if name in ways else value for name, value in values.items()}

    return {"said": said, "condition": condition, "all_said": all_said}


def when(at: datetime | str | None) -> str:
    """A moment for a `<time>`: UTC in ISO 8601, which the browser's script shows in its own zone. Empty for None."""
    if at is None:
        return ""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return moment.astimezone(UTC).isoformat(timespec="seconds")
