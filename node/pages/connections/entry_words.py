"""Every key of a connection, explained: what its form says beside each field. Here what forms share, and peers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from radnode.config.deidentification import Cleaned, Retained
from radnode.config.destinations import ResultForm
from radnode.config.durations import DAYS
from radnode.node.pages.connections.words import FORMS, PROFILES
from radnode.node.pages.words import N_

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key. choices: value -> what it is in words, empty where its name says it. nothing: of a choice, none."""

    key: str
    label: str
    hint: str
    choices: Mapping[str, str]
    nothing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Fields that belong together. seldom: most connections need none of them, so they are folded away."""

    title: str
    hint: str
    fields: tuple[Field, ...]
    seldom: bool = False

    def is_filled(self, fields: Mapping[str, str]) -> bool:
        """Whether there is something to see in it."""
        return any(key == each.key or key.startswith(f"{each.key}.") for each in self.fields for key in fields)


def asked(key: str, label: str, hint: str = "", choices: Mapping[str, str] | None = None, nothing: str = "") -> Field:
    """One field."""
    return Field(key=key, label=label, hint=hint, choices=choices or {}, nothing=nothing)


def in_use(hint: str = "") -> Field:
    """Whether it is used at all."""
    return asked("enabled", N_("It is in use"), hint or N_(
        "Not ticked: it stays written, and is as unknown as if it were not. That is refused while a route or another "
        "connection needs it."))


def shown_to_a_server(above: str, *, scope: str) -> tuple[Field, ...]:
    """What the node shows of itself to a service on the web, at most one of three."""
    return (
        asked(f"{above}token_file", N_("Token of this node (file)"), SECRET),
        asked(f"{above}user", N_("User"), N_("With a password, by HTTP Basic.")),
        asked(f"{above}password_file", N_("Password (file)"), SECRET),
        asked(f"{above}oauth2.token_url", N_("Where a token is fetched (OAuth 2.0)"), N_(
            "For client credentials: the token endpoint of the hospital's login.")),
        asked(f"{above}oauth2.client_id", N_("Client ID")),
        asked(f"{above}oauth2.secret_file", N_("Client secret (file)"), SECRET),
        asked(f"{above}oauth2.scope", N_("Scope"), scope),
    )


def towards(title: str, hint: str) -> Group:
    """TLS to another side."""
    return Group(title=title, hint=hint, fields=CLIENT_TLS, seldom=True)


DAY_WORDS: Mapping[str, str] = dict(zip(DAYS, (
    N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"), N_("Saturday"), N_("Sunday"),
), strict=True))
SECRET = N_("The name of a file on the machine of the node, one line, read at each request.")
IN_FILES = N_("Files lie on the machine of the node. A secret is never written here, only the name of the file that "
              "holds "
              "it.")
CLIENT_TLS = (
    asked("tls.ca", N_("Authority of the peer (file)"), N_(
        "PEM. It has signed the peer's certificate. Filled in: what this node sends to it goes by TLS.")),
    asked("tls.certificate", N_("Certificate of this node (file)"), N_("Shown where the peer asks for one.")),
    asked("tls.key", N_("Private key of this node (file)"), N_("Belongs to that certificate.")),
    asked("tls.name", N_("Name in the peer's certificate"), N_("Empty: the host above.")),
)
_RETAINED = dict(zip(get_args(Retained), (
    N_("the device that made the images"), N_("age, sex, size, weight"),
    N_("dates, moved by a number of days of the patient"), N_("private values that are known to be numbers"),
    N_("the UIDs"),
), strict=True))
_CLEANED = dict(zip(get_args(Cleaned), (
    N_("descriptions: known words stay"), N_("reports: they go without their texts"),
    N_("pixels: painted over by the masks below"),
), strict=True))

_FOR = (
    asked("sends", N_("It sends images to this node")),
    asked("receives", N_("It receives results from this node")),
    in_use(N_("Not ticked: it stays written, and is as unknown as if it were not: nothing is taken from it, and what "
              "waits "
              "for it is given up. That is refused while a route or another connection needs it.")),
)
_ADDRESS = Group(title=N_("Address"), hint="", fields=(
    asked("ae_title", N_("AE title"), N_("The peer's own: 1 to 16 characters, upper and lower case differ.")),
    asked("host", N_("Host"), N_("Name or address, for results and queries. A peer that only sends is never "
                                 "called there.")),
    asked("port", N_("Port"), N_("104 and 11112 are usual.")),
    asked("hosts", N_("May call from"), N_("Addresses or networks, commas between them, for example 10.1.2.0/24. "
                                           "Empty: from anywhere. An AE title alone proves nothing.")),
))
_SHOWS = Group(title=N_("What it can show"), hint=N_("A form that the destination refuses is replaced by the next "
                                                     "best one, "
                                                    "and an alarm says so."), fields=(
    asked("profile", N_("Profile"), N_("A known kind of destination, instead of single result forms."), PROFILES,
          nothing=N_("none: single result forms")),
    asked("result_forms", N_("Result forms"), N_("Without a profile: SEG and TID1500 if nothing is chosen."),
          {each: FORMS[each] for each in get_args(ResultForm)}),
    asked("largest_result", N_("Largest result"), N_("A larger one is not sent; the next best form of it is.")),
))
_ASKED = Group(title=N_("What it is asked"), hint="", fields=(
    asked("answers_find", N_("It answers C-FIND (or QIDO-RS)"), N_(
        "It is asked how many images a series has, which is the best proof that a series is whole, and whether a "
        "result has arrived.")),
    asked("commitment", N_("Storage commitment"), N_(
        "As a destination it is asked to commit to each result. As a source it may ask this node the same; its "
        "images are kept here for the days of retention, no longer.")),
    asked("check_patient", N_("Compare the patient before sending"), N_(
        "It is asked by C-FIND under which patient it has the study now. With another, the result is held back "
        "until somebody sends it by hand.")),
))
_EXPECTED = Group(title=N_("When something is expected of it"), hint=N_(
    "For a source: an alarm says when nothing came for so long. Other hours and days do not count."), fields=(
    asked("expect.every", N_("At least every"), N_("Written like 2 h or 30 min. Empty: nothing is expected.")),
    asked("expect.between", N_("Between"), N_("Written like 07:00-19:00. Empty: all day.")),
    asked("expect.days", N_("On these days"), N_("None chosen: every day."), DAY_WORDS),
), seldom=True)
_PROOF = Group(title=N_("Encryption and proof of identity"), hint=IN_FILES, fields=(
    *CLIENT_TLS,
    asked("client_certificate", N_("Certificate that it shows"), N_(
        "A name in it, or sha256: and its fingerprint. It may then come with this certificate only, and nobody "
        "else may come with it.")),
    asked("token_file", N_("Token that it shows at STOW-RS (file)"), N_("One line, read at each request.")),
), seldom=True)
_WEB = Group(title="DICOMweb", hint=N_(
    "Results then go there by STOW-RS and questions by QIDO-RS. Of a peer that only receives, AE title, host and "
    "port may be left empty. Show a token, or a user with password, or client credentials; only one of them."), fields=(
    asked("dicomweb.url", N_("Address of its service"), N_("For example https://pacs.hospital.example/dicom-web")),
    *shown_to_a_server("dicomweb.", scope=N_("What the login is asked for, if it wants one named.")),
), seldom=True)
_OUTSIDE = Group(title=N_("Outside the hospital"), hint=N_(
    "What goes there is of nobody (PS3.15 Annex E); what comes back is made of whom it is again."), fields=(
    asked("deidentify.secret_file", N_("Secret of the pseudonyms (file)"), N_(
        "One line of at least 32 characters, outside the data folder. Filled in: names are taken off.")),
    asked("deidentify.retain", N_("What stays"), "", _RETAINED),
    asked("deidentify.clean", N_("What is cleaned"), "", _CLEANED),
    asked("deidentify.words", N_("Words that a description may keep"), N_("Commas between them.")),
    asked("deidentify.masks", N_("Masks"), N_(
        "A line each: - {manufacturer: ACME, model: Sono 1, rows: 768, columns: 1024, boxes: [[0, 0, 1024, 60]]}")),
    asked("deidentify.returns_to", N_("Who gets what comes back"), N_("Names of peers, commas between them.")),
), seldom=True)

PEER: tuple[Group, ...] = (
    Group(title=N_("What for"), hint="", fields=_FOR), _ADDRESS, _SHOWS, _ASKED, _EXPECTED, _PROOF, _WEB, _OUTSIDE,
)
BY_WEB: tuple[Group, ...] = (
    Group(title=N_("What for"), hint="", fields=_FOR), replace(_WEB, seldom=False), replace(_PROOF, seldom=False),
    _SHOWS, _ASKED, replace(_ADDRESS, seldom=True), _EXPECTED, _OUTSIDE,
)
"""The same keys for who is reached by its address on the web, what it needs first."""
