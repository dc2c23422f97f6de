"""Every key of a peer, explained: what the form says beside each field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from radnode.config.deidentification import Cleaned, Retained
from radnode.config.destinations import ResultForm
from radnode.config.durations import DAYS
from radnode.node.connections.entry import KEYS
from radnode.node.pages.connections.words import FORMS
from radnode.node.pages.words import N_

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.node.connections.entry import FieldKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key. choices: value -> what it is in words, empty where its name says it."""

    key: str
    label: str
    hint: str
    choices: Mapping[str, str]

    @property
    def kind(self) -> FieldKind:
        """How it is asked for."""
        return KEYS[self.key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Fields that belong together. seldom: most peers need none of them, so they are folded away."""

    title: str
    hint: str
    fields: tuple[Field, ...]
    seldom: bool = False

    def is_filled(self, fields: Mapping[str, str]) -> bool:
        """Whether there is something to see in it."""
        return any(key == each.key or key.startswith(f"{each.key}.") for each in self.fields for key in fields)


def _field(key: str, label: str, hint: str = "", choices: Mapping[str, str] | None = None) -> Field:
    return Field(key=key, label=label, hint=hint, choices=choices or {})


_DAYS: Mapping[str, str] = dict(zip(DAYS, (
    N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"), N_("Saturday"), N_("Sunday"),
), strict=True))
_RETAINED = dict(zip(get_args(Retained), (
    N_("the device that made the images"), N_("age, sex, size, weight"),
    N_("dates, moved by a number of days of the patient"), N_("private values that are known to be numbers"),
    N_("the UIDs"),
), strict=True))
_CLEANED = dict(zip(get_args(Cleaned), (
    N_("descriptions: known words stay"), N_("reports: they go without their texts"),
    N_("pixels: painted over by the masks below"),
), strict=True))

GROUPS: tuple[Group, ...] = (
    Group(title=N_("What for"), hint="", fields=(
        _field("sends", N_("It sends images to this node")),
        _field("receives", N_("It receives results from this node")),
    )),
    Group(title=N_("Address"), hint="", fields=(
        _field("ae_title", N_("AE title"), N_("The peer's own: 1 to 16 characters, upper and lower case differ.")),
        _field("host", N_("Host"), N_("Name or address, for results and queries. A peer that only sends is never "
                                      "called there.")),
        _field("port", N_("Port"), N_("104 and 11112 are usual.")),
        _field("hosts", N_("May call from"), N_("Addresses or networks, commas between them, for example 10.1.2.0/24. "
                                                "Empty: from anywhere. An AE title alone proves nothing.")),
    )),
    Group(title=N_("What it can show"), hint=N_("A form that the destination refuses is replaced by the next best one, "
                                                "and an alarm says so."), fields=(
        _field("profile", N_("Profile"), N_("A known kind of destination, instead of single result forms.")),
        _field("result_forms", N_("Result forms"), N_("Without a profile: SEG and TID1500 if nothing is chosen."),
               {each: FORMS[each] for each in get_args(ResultForm)}),
        _field("largest_result", N_("Largest result"), N_("A larger one is not sent; the next best form of it is. "
                                                          "Empty: 1 GB.")),
    )),
    Group(title=N_("What it is asked"), hint="", fields=(
        _field("answers_find", N_("It answers C-FIND (or QIDO-RS)"), N_(
            "It is asked how many images a series has, which is the best proof that a series is whole, and whether a "
            "result has arrived.")),
        _field("commitment", N_("Storage commitment"), N_(
            "As a destination it is asked to commit to each result. As a source it may ask this node the same; its "
            "images are kept here for the days of retention, no longer.")),
        _field("check_patient", N_("Compare the patient before sending"), N_(
            "It is asked by C-FIND under which patient it has the study now. With another, the result is held back "
            "until somebody sends it by hand.")),
    )),
    Group(title=N_("When something is expected of it"), hint=N_("For a source: an alarm says when nothing came for so "
                                                               "long. Other hours and days do not count."), fields=(
        _field("expect.every", N_("At least every"), N_("Written like 2 h or 30 min. Empty: nothing is expected.")),
        _field("expect.between", N_("Between"), N_("Written like 07:00-19:00. Empty: all day.")),
        _field("expect.days", N_("On these days"), N_("None chosen: every day."), _DAYS),
    ), seldom=True),
    Group(title=N_("Encryption and proof of identity"), hint=N_(
        "Files lie on the machine of the node. A secret is never written here, only the name of the file that holds "
        "it."), fields=(
        _field("tls.ca", N_("Authority of the peer (file)"), N_(
            "PEM. It has signed the peer's certificate. Filled in: what this node sends to it goes by TLS.")),
        _field("tls.certificate", N_("Certificate of this node (file)"), N_("Shown where the peer asks for one.")),
        _field("tls.key", N_("Private key of this node (file)"), N_("Belongs to that certificate.")),
        _field("tls.name", N_("Name in the peer's certificate"), N_("Empty: the host above.")),
        _field("client_certificate", N_("Certificate that it shows"), N_(
            "A name in it, or sha256: and its fingerprint. It may then come with this certificate only, and nobody "
            "else may come with it.")),
        _field("token_file", N_("Token that it shows at STOW-RS (file)"), N_("One line, read at each request.")),
    ), seldom=True),
    Group(title="DICOMweb", hint=N_(
        "Results then go there by STOW-RS and questions by QIDO-RS. Of a peer that only receives, AE title, host and "
        "port may be left empty. Show a token, or a user with password, or client credentials; only one of them."),
          fields=(
        _field("dicomweb.url", N_("Address of its service"), N_("For example https://pacs.hospital.example/dicom-web")),
        _field("dicomweb.token_file", N_("Token of this node (file)")),
        _field("dicomweb.user", N_("User")),
        _field("dicomweb.password_file", N_("Password (file)")),
        _field("dicomweb.oauth2.token_url", N_("Where a token is fetched (OAuth 2.0)")),
        _field("dicomweb.oauth2.client_id", N_("Client ID")),
        _field("dicomweb.oauth2.secret_file", N_("Client secret (file)")),
        _field("dicomweb.oauth2.scope", N_("Scope")),
    ), seldom=True),
    Group(title=N_("Outside the hospital"), hint=N_(
        "What goes there is of nobody (PS3.15 Annex E); what comes back is made of whom it is again."), fields=(
        _field("deidentify.secret_file", N_("Secret of the pseudonyms (file)"), N_(
            "One line of at least 32 characters, outside the data folder. Filled in: names are taken off.")),
        _field("deidentify.retain", N_("What stays"), "", _RETAINED),
        _field("deidentify.clean", N_("What is cleaned"), "", _CLEANED),
        _field("deidentify.words", N_("Words that a description may keep"), N_("Commas between them.")),
        _field("deidentify.masks", N_("Masks"), N_(
            "A line each: - {manufacturer: ACME, model: Sono 1, rows: 768, columns: 1024, boxes: [[0, 0, 1024, 60]]}")),
        _field("deidentify.returns_to", N_("Who gets what comes back"), N_("Names of peers, commas between them.")),
    ), seldom=True),
)
