"""What the forms of HL7 and FHIR say beside each field."""

from __future__ import annotations

from radnode.node.pages.connections.entry_words import IN_FILES, Group, asked, in_use, shown_to_a_server, towards
from radnode.node.pages.words import N_

_RESTART = N_("A change takes effect after a restart of the node.")
_CERTIFICATE = asked("client_certificate", N_("Certificate that it shows"), N_(
    "A name in it, or sha256: and its fingerprint. It may then come with this certificate only, and nobody else may "
    "come "
    "with it."))
_RESULTS = Group(title=N_("What it gets"), hint="", fields=(
    asked("not_processed", N_("It is told why a study was not read"), N_(
        "Not ticked: it hears of findings only, and of a study without result nothing.")),
    asked("largest_result", N_("Largest result"), N_("A larger message is not sent.")),
))
_SCOPE = N_("What the login is asked for, for example system/*.write.")
_SHOWN = N_("A token, or a user with password, or client credentials; only one of them. A secret is never written "
            "here, only "
            "the name of the file that holds it.")

LISTENER: tuple[Group, ...] = (
    Group(title=N_("Address"), hint=_RESTART, fields=(
        asked("host", N_("Address it listens on"), N_("0.0.0.0 is every interface; 127.0.0.1 is this machine alone.")),
        asked("port", N_("Port"), N_("2575 is usual for HL7.")),
        asked("tls", N_("Encrypted"), N_("With the certificate of the node's own `tls`, which must be there.")),
    )),
    Group(title=N_("Limits"), hint="", fields=(
        asked("max_message", N_("Largest message"), N_("A larger one ends the connection.")),
        asked("idle_s", N_("Silence (seconds)"), N_("A connection on which nothing came for so long is ended.")),
        asked("max_connections", N_("Connections at a time")),
    ), seldom=True),
)
SENDER: tuple[Group, ...] = (
    Group(title=N_("Who it is"), hint=N_("One of the two is needed: anybody could send in its name without."), fields=(
        asked("hosts", N_("May call from"), N_("Addresses or networks, commas between them, for example 10.1.2.0/24.")),
        _CERTIFICATE,
        in_use(),
    )),
    Group(title=N_("How it writes"), hint="", fields=(
        asked("character_set", N_("Character set"), N_("Of messages that name none in MSH-18.")),
        asked("accession", N_("Where the Accession Number stands"), N_(
            "Of IPC-1, OBR-2, OBR-3, OBR-18, OBR-19, ORC-2 and ORC-3, commas between them; the first that is filled "
            "counts.")),
    )),
)
HL7: tuple[Group, ...] = (
    Group(title=N_("Address"), hint="", fields=(
        asked("host", N_("Host"), N_("Name or address of the system that takes results (ORU^R01 by MLLP).")),
        asked("port", N_("Port"), N_("2575 is usual for HL7.")),
        asked("application", N_("Receiving application (MSH-5)"), N_("As that system wants to be called.")),
        asked("facility", N_("Receiving facility (MSH-6)")),
        in_use(),
    )),
    _RESULTS,
    towards(N_("Encryption and proof of identity"), IN_FILES),
)
FHIR: tuple[Group, ...] = (
    Group(title=N_("Address"), hint="", fields=(
        asked("url", N_("Base of the FHIR R4 server"), N_("For example https://fhir.hospital.example/r4")),
        in_use(),
    )),
    Group(title=N_("What the node shows of itself"), hint=_SHOWN, fields=shown_to_a_server("", scope=_SCOPE)),
    _RESULTS,
    towards(N_("Encryption and proof of identity"), IN_FILES),
)
ORDERS: tuple[Group, ...] = (
    Group(title=N_("Address"), hint=_RESTART, fields=(
        asked("url", N_("Base of the FHIR R4 server"), N_(
            "It is asked for the order of each study: ServiceRequest by Accession Number.")),
    )),
    Group(title=N_("What the node shows of itself"), hint=_SHOWN, fields=shown_to_a_server("", scope=_SCOPE)),
    towards(N_("Encryption and proof of identity"), IN_FILES),
)
