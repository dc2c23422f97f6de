"""What the statement says, in the order of the template of PS3.2 Annex N.

Every table is made of what the node negotiates, sends and answers by, and of the configuration; there is no second list
that could say something else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from fastapi.routing import APIRoute
from pydicom.uid import UID
from pynetdicom import sop_class
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    UnifiedProcedureStepEvent,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepWatch,
)

import radnode
from radnode.node import association, statuses
from radnode.node.commitment_sets import PUSH_MODEL
from radnode.node.conformance.document import Section, Table
from radnode.node.deidentifying.profile import Profile
from radnode.node.dicomweb import media
from radnode.node.dicomweb_out import rendering, searching
from radnode.node.dicomweb_out import retrieving as dicomweb_out_retrieving
from radnode.node.doctor.facts_peers import FORMS
from radnode.node.intake import negotiation
from radnode.node.intake.p10 import IMPLEMENTATION_CLASS_UID
from radnode.node.intake.pdus import MAX_P_DATA
from radnode.node.retrieving import dimse as retrieving
from radnode.node.security.tls import CIPHERS
from radnode.node.web import workitems
from radnode.node.workitems import channels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.config.loading import Configuration
    from radnode.config.peers import Peer
    from radnode.node.dicomweb_out.holdings import Holdings
    from radnode.node.workitems.desk import Desk
    from radnode.node.workitems.subscribing import SubscriptionDesk

RECEIVED = "SOP classes received"
RECEIVED_SYNTAXES = "Transfer syntaxes received, in the order in which one is chosen"
SENT = "SOP classes sent"
RESOURCES = "Resources served by HTTP"
_OF_MANAGERS = frozenset({negotiation.UPS_WATCH, negotiation.UPS_EVENT})
"""What the node is SCU of where it follows a worklist over DIMSE, besides UPS Pull."""
_KEYWORDS = {str(uid): keyword for keyword, uid in vars(sop_class).items() if keyword.endswith("Storage")}


def statement(configuration: Configuration) -> Section:
    """The whole document."""
    settings = configuration.settings
    parts = (
        _introduction(),
        Section("Implementation model", (
            "One application entity receives and sends. A received object is answered with Success once its file and "
            "its row are durable. Results are sent from a durable outbox, objects before those that refer to them.",
            Table("Application entity", ("AE title", "implementation class UID", "implementation version name"),
                  ((settings.ae_title, IMPLEMENTATION_CLASS_UID, negotiation.IMPLEMENTATION_VERSION_NAME),)),
        )),
        Section("Service and interoperability description", (), (
            _receiving(), _sending(configuration), _dicomweb(configuration))),
        _peers(configuration),
        _communication(configuration),
        _security(configuration),
        _objects(configuration),
    )
    overview = _overview(configuration)
    titles = [overview.title, "Table of contents", *(part.title for part in parts)]
    contents = tuple((str(number), title) for number, title in enumerate(titles, start=1))
    return Section(f"DICOM conformance statement of {settings.ae_title}", (
        f"radnode {radnode.__version__}, made by `radnode conformance` from the configuration with the digest "
        f"{configuration.digest[:16]}.",
    ), (overview, Section("Table of contents", (Table("Sections", ("number", "title"), contents),)), *parts))


def _overview(configuration: Configuration) -> Section:
    peers = configuration.peers.values()
    archives = configuration.retrieving.archives.values()
    ways = {archive.retrieve for archive in archives if archive.dicomweb is None}
    followed = [configuration.peers[name] for name in configuration.workitems.managers]
    asked = _OF_MANAGERS if any(peer.dicomweb is None for peer in followed) else frozenset()
    asked_by_web = any(archive.dicomweb is not None for archive in archives)
    dimse = (
        ("Verification", "Y", "Y"),
        ("Storage", _yes(any(peer.receives for peer in peers)), "Y"),
        ("Storage Commitment Push Model", _yes(any(peer.receives and peer.commitment for peer in peers)),
         _yes(any(peer.sends and peer.commitment for peer in peers))),
        *((_name(uid), _yes(uid in asked), "Y") for uid in negotiation.SERVICES
          if uid not in (negotiation.VERIFICATION, PUSH_MODEL)),
        (_name(UnifiedProcedureStepPull), _yes(bool(asked)), "N"),
        ("Query/Retrieve, Study Root FIND", _yes(bool(ways) or any(peer.answers_find for peer in peers)), "N"),
        ("Query/Retrieve, Study Root MOVE", _yes("c-move" in ways), "N"),
        ("Query/Retrieve, Study Root GET", _yes("c-get" in ways), "N"),
    )
    web = (
        ("Studies service, Store transaction (STOW-RS)", _yes(any(peer.receives and peer.dicomweb for peer in peers)),
         _yes(configuration.settings.dicomweb is not None)),
        ("Studies service, Search transaction (QIDO-RS)", _yes(asked_by_web), "Y"),
        ("Studies service, Retrieve transaction (WADO-RS)", _yes(asked_by_web), "Y"),
        ("Worklist service (UPS-RS)", _yes(bool(configuration.workitems.managers)), "Y"),
    )
    return Section("Overview", (
        "The node receives images, has pipelines read them, and sends what was found as DICOM objects.",
    ), (
        Section("Content and transfer", (
            "All storage classes are received and kept as they are; what the node makes itself is in the last section.",
        )),
        Section("DIMSE services", (Table("DIMSE services", ("service", "SCU", "SCP"), dimse),)),
        Section("DICOM web services", (Table("Web services", ("service", "user agent", "origin server"), web),)),
        Section("Media services", ("None.",)),
        Section("Real-Time Video service", ("None.",)),
        _deidentification(configuration),
        _character_sets(),
    ))


def _introduction() -> Section:
    return Section("Introduction", (
        "For administrators and integrators who connect this node. Its order is that of DICOM PS3.2 Annex N; UIDs are "
        "those of PS3.6. It does not replace trying it, as `radnode doctor` and `radnode peer test` do.",
    ))


def _communication(configuration: Configuration) -> Section:
    settings = configuration.settings
    return Section("Network and media communication details", (
        "A called AE title other than ours is rejected, and so is a calling one that no peer has"
        + (", but that unknown senders are accepted." if settings.accept_unknown_peers else "."),
        Table("Limits", ("what", "value"), (
            ("application context name", "1.2.840.10008.3.1.1.1"),
            ("maximum PDU length received", f"{MAX_P_DATA} bytes"),
            ("associations at a time, as acceptor", str(settings.max_associations)),
            ("of them from one address", str(settings.max_associations_per_host)),
            ("associations at a time, as requestor", "one a destination and activity"),
            ("idle time after which an association is released", f"{settings.association_idle_s:g} s"),
            ("largest object taken", f"{settings.max_object} bytes"),
            ("asynchronous operations", "none"),
            ("wait for a connection", f"{association.CONNECT_TIMEOUT_S:g} s"),
            ("wait for an answer", f"{association.ANSWER_TIMEOUT_S:g} s"),
        )),
        Table(RECEIVED_SYNTAXES, ("transfer syntax", "UID"),
              tuple((_name(uid), uid) for uid in negotiation.TRANSFER_SYNTAXES)),
    ))


def _receiving() -> Section:
    taken = negotiation.taken()
    storage = [(name, syntaxes) for name, syntaxes in taken.items() if name not in negotiation.SERVICES]
    services = [(name, syntaxes) for name, syntaxes in taken.items() if name in negotiation.SERVICES]
    roles = {PUSH_MODEL: "SCP and SCU, by role selection or without",
             negotiation.UPS_EVENT: "SCU, by role selection or without"}
    refused = sorted({f"0x{each.code:04X}: {each.comment}" for each in statuses.C_STORE.values()})
    return Section("Receiving", (
        "No class of images is preferred. Syntaxes with loss are chosen only where nothing else is offered. Storage is "
        "of level 2 (full): all attributes are kept as they are received, none is coerced.",
        Table(RECEIVED, ("SOP class", "UID", "role"),
              tuple((_name(uid), uid, "SCP") for uid, _ in sorted(storage, key=lambda each: _name(each[0])))),
        Table("Other services accepted", ("SOP class", "UID", "role", "transfer syntaxes"),
              tuple((_name(uid), uid, roles.get(uid, "SCP"), ", ".join(map(_name, syntaxes)))
                    for uid, syntaxes in services)),
        Table("Answers to C-STORE besides 0x0000", ("status",), tuple((each,) for each in refused)),
    ))


def _sending(configuration: Configuration) -> Section:
    forms = sorted({form for peer in configuration.peers.values() if peer.receives for form in peer.forms})
    rows: dict[tuple[str, str], list[str]] = {}
    for form in forms:
        for syntax in FORMS[form][1]:
            rows.setdefault((FORMS[form][0], str(syntax)), []).append(form)
    sent = tuple((_name(uid), uid, _name(syntax), syntax, ", ".join(names))
                 for (uid, syntax), names in sorted(rows.items()))
    services = []
    archives = configuration.retrieving.archives.values()
    ways = {archive.retrieve for archive in archives if archive.dicomweb is None}
    if ways or any(peer.answers_find for peer in configuration.peers.values()):
        services.append((_name(StudyRootQueryRetrieveInformationModelFind),
                         str(StudyRootQueryRetrieveInformationModelFind), "SCU",
                         "SERIES and IMAGE to count and to find, STUDY to compare the patient"))
    services += [(_name(uid), uid, "SCU", "to fetch images from archives")
                 for way, uid in (("c-move", retrieving.MOVE), ("c-get", retrieving.GET)) if way in ways]
    if any(peer.commitment and peer.receives for peer in configuration.peers.values()):
        services.append((_name(PUSH_MODEL), PUSH_MODEL, "SCU", "reports are taken for 24 hours"))
    if any(configuration.peers[name].dicomweb is None for name in configuration.workitems.managers):
        services.append((_name(UnifiedProcedureStepPull), str(UnifiedProcedureStepPull), "SCU",
                         "orders of worklist managers: C-FIND, N-GET, N-ACTION (change state), N-SET"))
        services.append((_name(UnifiedProcedureStepWatch), str(UnifiedProcedureStepWatch), "SCU",
                         "to be told by worklist managers: N-ACTION (subscribe)"))
    services.append((_name(UnifiedProcedureStepEvent), str(UnifiedProcedureStepEvent), "SCP, by role selection",
                     "to tell who subscribed to work items here: N-EVENT-REPORT, tried again for an hour"))
    return Section("Sending", (
        "Each SOP class and transfer syntax is proposed in a presentation context of its own. The bytes on disk are "
        "sent. Only IMAGES depends on the source: its classes are those of the images read.",
        Table(SENT, ("SOP class", "UID", "transfer syntax", "UID of it", "result forms"), sent),
        Table("Other services requested", ("SOP class", "UID", "role", "for what"), tuple(services)),
    ))


def _dicomweb(configuration: Configuration) -> Section:
    web = configuration.settings.dicomweb
    resources = Table(RESOURCES, ("method", "path"), served())
    if web is None:
        return Section("DICOMweb", ("Nothing is taken by STOW-RS (`node.dicomweb`).", resources))
    return Section("DICOMweb", (
        resources,
        "STOW-RS (PS3.18 10.5) with POST to /dicom-web/studies and /dicom-web/studies/{study}.",
        Table("Store transaction", ("what", "value"), (
            ("port", str(web.port)), ("TLS", _yes(web.tls)),
            ("media type of parts", media.DICOM), ("media types of answers", f"{media.JSON}, {media.XML}"),
            ("transfer syntaxes", "as in Receiving"), ("authentication", "a token of the peer, or its certificate"),
        )),
    ))


def served() -> tuple[tuple[str, str], ...]:
    """Method and path of each resource of PS3.18, from the routers that serve them."""
    made = [route for each in (searching, dicomweb_out_retrieving, rendering)
            for route in each.routes(cast("Holdings", None)).routes]
    made += workitems.router(cast("Desk", None), cast("SubscriptionDesk", None)).routes
    return tuple(sorted((
        ("GET (WebSocket)", f"{channels.PATH}{{ae_title}}"),
        *((method, route.path) for route in made if isinstance(route, APIRoute) for method in route.methods or ()),
    )))


def _peers(configuration: Configuration) -> Section:
    rows = tuple(
        (name, peer.ae_title, _roles(peer), ", ".join(peer.forms) if peer.receives else "", _yes(peer.tls is not None),
         _yes(peer.commitment))
        for name, peer in configuration.peers.items()
    )
    settings = configuration.settings
    ports = [("DICOM", str(settings.dicom_port))]
    if settings.tls:
        ports.append(("DICOM in TLS", str(settings.tls.port)))
    return Section("Configuration", (
        Table("Ports", ("service", "port"), tuple(ports)),
        Table("Remote application entities",
              ("name", "AE title", "roles", "result forms", "TLS towards it", "storage commitment"), rows),
    ))


def _character_sets() -> Section:
    return Section("Specific character sets", (
        "Received texts are decoded as their Specific Character Set (0008,0005) says, with and without code extensions "
        "(ISO 2022); GB18030 and ISO_IR 192 as well. Results are written in ISO_IR 192.",
    ))


def _deidentification(configuration: Configuration) -> Section:
    lanes = [(peer.name, code, meaning) for peer in configuration.peers.values() if peer.deidentify
             for code, meaning in Profile(retain=frozenset(peer.deidentify.retain),
                                          clean=frozenset(peer.deidentify.clean)).method_codes]
    return Section("De-identification profiles", (
        "PS3.15 Annex E, for destinations outside the hospital; CID 7050.",
        Table("De-identification", ("destination", "code", "meaning"), tuple(lanes)),
    ))


def _security(configuration: Configuration) -> Section:
    settings = configuration.settings
    return Section("Security", (
        Table("Security profiles", ("what", "value"), (
            ("TLS on a port of its own", _yes(settings.tls is not None)),
            ("versions", "1.2 and 1.3 (PS3.15 B.12)"), ("ciphers of TLS 1.2", CIPHERS),
            ("peers show a certificate", _yes(bool(settings.tls and settings.tls.ca))),
            ("user identity negotiation", "not answered"),
        )),
    ))


def _objects(configuration: Configuration) -> Section:
    return Section("Annex: objects made", (
        "All say Manufacturer radnode, name the pipeline, its version and the digest of its model, and refer to the "
        f"images that were read. Content Qualification (0018,9004) is {configuration.settings.content_qualification}.",
        Table("Result forms", ("form", "SOP class", "UID"),
              tuple((form, _name(uid), uid) for form, (uid, _) in FORMS.items())),
    ))


def _name(uid: str) -> str:
    """Of PS3.6; of a class that its dictionary is too old for, that of whoever negotiates it."""
    if (name := UID(uid).name) != uid:
        return name
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _KEYWORDS.get(uid, uid))


def _yes(value: bool) -> str:
    return "Y" if value else "N"


def _roles(peer: Peer) -> str:
    return " and ".join(_role_words(peer)) or "none"


def _role_words(peer: Peer) -> Iterator[str]:
    if peer.sends:
        yield "sends"
    if peer.receives:
        yield "receives"
