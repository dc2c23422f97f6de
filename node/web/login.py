"""Login and logout of people in browsers: by name and password, by a one-time link, by the OpenID provider."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Annotated, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import structlog
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader

from radnode.node.pages.words import LANGUAGES, N_, Words, language_of
from radnode.node.security import passwords
from radnode.node.web.gate import address_of
from radnode.node.web.headers import DEFAULTS
from radnode.node.web.identities import cookie_name, is_secure
from radnode.node.web.oidc import LOGIN_WITHIN_S, OidcFailed
from radnode.node.web.throttle import LoginThrottle
from radnode.node.web.witness import THROTTLED
from radnode.storage import accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from radnode.config.access import AccessSettings
    from radnode.node.web.gate import Gate
    from radnode.node.web.oidc import Providers
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)

LARGEST_FORM = 65_536
FORM_TYPE = "application/x-www-form-urlencoded"
HOME = "/"

def _pages(language: str) -> Environment:
    made = Environment(loader=PackageLoader("radnode.node.web", "pages"), autoescape=True,
                       extensions=["jinja2.ext.i18n"])
    made.install_gettext_translations(Words.of(language, "login"), newstyle=True)  # type: ignore[attr-defined]
    return made


_PAGES = {language: _pages(language) for language in LANGUAGES}


class LoginWitness(Protocol):
    """Writes down who came and went, and who did not come in."""

    def login(self, name: str, request: Request, *, how: str, failed: str = "") -> None:
        """failed: why not, empty if he came in."""

    def logout(self, name: str, request: Request) -> None:
        """By himself."""


async def form(request: Request) -> dict[str, str]:
    """The fields of a small form that this site's own page sent."""
    check_same_origin(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise HTTPException(415, f"a form is sent as {FORM_TYPE}")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise HTTPException(413, "too large for this form")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise HTTPException(400, "no form in UTF-8") from None


Form = Annotated[dict[str, str], Depends(form)]
Word = Annotated[str, Query(max_length=2048)]


def check_same_origin(request: Request) -> None:
    """A browser says where a form comes from (Fetch Metadata, RFC 6454 7): not from another site."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this form comes from another site")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc not in (request.headers.get("host"), request.app.state.site()):
        raise HTTPException(403, "this form comes from another site")


def inside(then: str) -> str:
    """A path of this site, or the way home: nobody is led elsewhere."""
    plain = then.isascii() and then.isprintable() and "\\" not in then
    return then if plain and then.startswith("/") and not then.startswith("//") else HOME


class Desk:
    """Where people log in and out."""

    def __init__(
        self, *, database: Database, settings: Callable[[], AccessSettings], providers: Providers, gate: Gate,
        witness: LoginWitness, now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._settings = settings
        self._providers = providers
        self._gate = gate
        self._witness = witness
        self._now = now
        self._throttle = LoginThrottle(time.monotonic)

    def router(self) -> APIRouter:
        """Public routes; none is part of the documented interface for machines."""
        router = APIRouter(include_in_schema=False)
        router.get("/login")(self.ask)
        router.post("/login")(self.log_in)
        router.get("/link/{secret}")(self.ask_for_password)
        router.post("/link/{secret}")(self.take_password)
        router.post("/logout")(self.log_out)
        router.get("/login/oidc")(self.go_to_provider)
        router.get("/login/oidc/done")(self.come_from_provider)
        return router

    def ask(self, request: Request, then: Word = HOME) -> Response:
        """The form; who is logged in reads as whom."""
        identity = self._gate.identity(request)
        if identity is not None and identity.csrf is not None:
            return page(request, "done.html", name=identity.name, roles=identity.roles, csrf=identity.csrf)
        return self._login_page(request, then=inside(then))

    def log_in(self, request: Request, fields: Form) -> Response:
        """By name and password. A wrong name and a wrong password are one answer, in the same time."""
        name, address = fields.get("name", "")[:64], address_of(request)
        then = inside(fields.get("then", HOME))
        if wait := self._throttle.wait_s(name, address):
            self._witness.login(name, request, how="password", failed=THROTTLED)
            wrong = N_("Too many wrong passwords; wait a little.")
            answer = self._login_page(request, then=then, name=name, status=429, wrong=wrong)
            answer.headers["Retry-After"] = str(int(wait) + 1)
            return answer
        with self._database.read() as session:
            account = accounts.account(session, name)
        usable = account is not None and account.disabled_at is None
        try:
            right = passwords.is_right(account.password if account and usable else None, fields.get("password", ""))
        except passwords.TooBusy:
            busy = N_("Too busy; try again in a moment.")
            return self._login_page(request, then=then, name=name, status=503, wrong=busy)
        if account is None or not right:
            self._throttle.failed(name, address)
            self._witness.login(name, request, how="password", failed="wrong name or password")
            return self._login_page(request, then=then, name=name, status=401, wrong=N_("Wrong name or password."))
        self._throttle.succeeded(name, address)
        if account.password and passwords.is_outdated(account.password):
            renewed = passwords.hashed(fields["password"])
            with self._database.begin() as session:
                accounts.set_password(session, account.account_id, renewed)
        return self._begin(request, then, name=account.name, roles=(account.role,), account_id=account.account_id)

    def ask_for_password(self, request: Request, secret: str) -> Response:
        """The form of a one-time link."""
        with self._database.read() as session:
            name = accounts.linked(session, secret, self._now())
        return page(request, "link.html", status=200 if name else 404, name=name, shortest=passwords.SHORTEST)

    def take_password(self, request: Request, secret: str, fields: Form) -> Response:
        """Set the password, end the link and all sessions of the account, and log in."""
        now = self._now()
        with self._database.read() as session:
            name = accounts.linked(session, secret, now)
        if name is None:
            return page(request, "link.html", status=404, name=None)
        password = fields.get("password", "")
        wrong = passwords.objection(password, name)
        if not wrong and password != fields.get("again"):
            wrong = N_("the two are not the same")
        if wrong:
            return page(request, "link.html", status=422, name=name, shortest=passwords.SHORTEST, wrong=wrong)
        kept = passwords.hashed(password)
        with self._database.begin() as session:
            used = accounts.use_link(session, secret, kept, now)
            account = accounts.account(session, used) if used else None
        if account is None:
            return page(request, "link.html", status=404, name=None)
        first = request.app.state.first_page(account.role) if hasattr(request.app.state, "first_page") else HOME
        return self._begin(request, first, name=account.name, roles=(account.role,), account_id=account.account_id,
                           how="link")

    def log_out(self, request: Request, fields: Form) -> Response:
        """End the session, here and on the server."""
        cookie = cookie_name(secure=is_secure(request, self._settings()))
        identity = self._gate.identity(request)
        if identity is not None and identity.csrf is not None:
            if not secrets.compare_digest(fields.get("csrf", "").encode(), identity.csrf.encode()):
                raise HTTPException(403, "this form is not of this session")
            with self._database.begin() as session:
                accounts.end_login(session, request.cookies[cookie])
            self._witness.logout(identity.name, request)
        answer = page(request, "done.html", name=None)
        answer.delete_cookie(cookie, path="/", secure=is_secure(request, self._settings()), httponly=True)
        return answer

    def go_to_provider(self, request: Request, then: Word = HOME) -> Response:
        """To the OpenID provider."""
        try:
            url, binding = self._providers.begin(self._redirect_uri(request), inside(then))
        except OidcFailed as error:
            return self._not_by_provider(request, error)
        answer = RedirectResponse(url, 303)
        self._set_cookie(answer, request, "-oidc", binding, int(LOGIN_WITHIN_S))
        return answer

    def come_from_provider(self, request: Request) -> Response:
        """Back from it."""
        binding = request.cookies.get(self._cookie(request, "-oidc"), "")
        try:
            vouched = self._providers.finish(dict(request.query_params), binding, self._redirect_uri(request))
        except OidcFailed as error:
            return self._not_by_provider(request, error)
        answer = self._begin(request, vouched.then, name=vouched.name, roles=vouched.roles, account_id=None,
                             how="provider")
        answer.delete_cookie(self._cookie(request, "-oidc"), path="/", httponly=True,
                             secure=is_secure(request, self._settings()))
        return answer

    def _begin(
        self, request: Request, then: str, *, name: str, roles: Sequence[str], account_id: int | None,
        how: str = "password",
    ) -> Response:
        """A new session, whatever cookie came: nobody can give somebody a session of his own choice."""
        secret, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        with self._database.begin() as session:
            accounts.begin_login(session, secret, csrf, self._now(), name=name, roles=roles, account_id=account_id)
        self._witness.login(name, request, how=how)
        answer = RedirectResponse(then, 303)
        self._set_cookie(answer, request, "", secret, int(self._settings().session_longest.total_seconds()))
        return answer

    def _not_by_provider(self, request: Request, error: OidcFailed) -> Response:
        log.warning("access.provider_failed", reason=str(error))
        self._witness.login("unknown", request, how="provider", failed=str(error))
        wrong = N_("The login by the provider failed; the node's log says why.")
        return self._login_page(request, then=HOME, status=403, wrong=wrong)

    def _login_page(
        self, request: Request, *, then: str, name: str = "", wrong: str = "", status: int = 200
    ) -> HTMLResponse:
        oidc = self._settings().oidc
        provider = urlsplit(oidc.issuer).hostname if oidc else None
        return page(request, "login.html", status=status, then=then, name=name, wrong=wrong, provider=provider)

    def _redirect_uri(self, request: Request) -> str:
        base = self._settings().url or f"{request.url.scheme}://{request.url.netloc}"
        return f"{base}/login/oidc/done"

    def _cookie(self, request: Request, suffix: str) -> str:
        return cookie_name(secure=is_secure(request, self._settings())) + suffix

    def _set_cookie(self, answer: Response, request: Request, suffix: str, value: str, seconds: int) -> None:
        answer.set_cookie(
            self._cookie(request, suffix), value, max_age=seconds, path="/", httponly=True, samesite="lax",
            secure=is_secure(request, self._settings()),
        )


def page(request: Request, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of `pages/` in the language of who asks, with one inline style that its policy names."""
    nonce = secrets.token_urlsafe(16)
    language, theme = language_of(request), request.cookies.get("theme")
    text = _PAGES[language].get_template(template).render(
        nonce=nonce, language=language, languages=LANGUAGES, theme=theme if theme in ("light", "dark") else "",
        **values,
    )
    policy = DEFAULTS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'")
    return HTMLResponse(text, status, {"Content-Security-Policy": f"{policy}; style-src 'nonce-{nonce}'"})
