"""The conformance statement says what DCMTK sees: what is accepted, what is refused, what is proposed."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import sop_class
from support import dcmtk
from support.network import free_port, listening
from support.receiver import Receiver, data_set
from support.waiting import eventually

from radnode.config.loading import parse
from radnode.config.peers import Peer
from radnode.node.conformance import statement as module
from radnode.node.conformance.document import as_html, markdown
from radnode.node.conformance.statement import RECEIVED, RECEIVED_SYNTAXES, RESOURCES, SENT, statement
from radnode.node.delivery import dimse
from radnode.node.doctor.facts_peers import FORMS
from radnode.node.intake import p10

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.node.conformance.document import Table

pytestmark = pytest.mark.peer

CONFIGURATION = """
peers:
  PACS:
    {ae_title: PACS, host: 127.0.0.1, port: 104, sends: true, receives: true, commitment: true, answers_find: true,
     result_forms: [LABELMAP, SEG, TID1500, COMPREHENSIVE, SC, NOT-PROCESSED]}
"""
OTHERS = {
    "1.2.840.10008.5.1.4.31": "Modality Worklist", "1.2.840.10008.3.1.2.3.3": "MPPS",
    "1.2.840.10008.5.1.4.1.2.2.2": "Study Root MOVE", "1.2.840.10008.5.1.4.1.2.2.3": "Study Root GET",
    "1.2.840.10008.5.1.1.9": "Print", "1.2.840.10008.5.1.4.34.6.1": "UPS Push",
}
SYNTAXES = [
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
    *(f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93, 94, 95, 100, 101, 102, 103,
                                                 104, 105, 106, 107, 108, 110, 111, 112, 201, 202, 203)),
    "1.2.840.10008.1.2.5",
]
CT = "1.2.840.10008.5.1.4.1.1.2"
WATCH, EVENT = "1.2.840.10008.5.1.4.34.6.2", "1.2.840.10008.5.1.4.34.6.4"


def table(title: str) -> Table:
    """Of the statement of this configuration."""
    (found,) = [each for each in statement(parse(CONFIGURATION, "test")).tables() if each.title == title]
    return found


def test_what_the_statement_lists_is_what_dcmtk_can_agree_on_and_nothing_else(tmp_path: Path) -> None:
    said = {row[1] for row in table(RECEIVED).rows} | {row[1] for row in table("Other services accepted").rows}
    with Receiver(tmp_path) as receiver:
        proposed = sorted(said | OTHERS.keys())
        accepted: set[str] = set()
        for at in range(0, len(proposed), 120):
            contexts = [(each, ExplicitVRLittleEndian) for each in proposed[at : at + 120]]
            accepted |= {each for each, _ in _agreed(receiver, contexts, tmp_path)[0]}
        syntaxes, answer = _agreed(receiver, [(CT, syntax) for syntax in SYNTAXES], tmp_path)
    assert accepted == said
    assert {syntax for _, syntax in syntaxes} == {row[1] for row in table(RECEIVED_SYNTAXES).rows}
    entity, limits = table("Application entity").rows[0], dict(table("Limits").rows)
    assert re.findall(r"Their Implementation Class UID: +(\S+)", answer)[-1] == entity[1]
    assert re.findall(r"Their Implementation Version Name: +(\S+)", answer)[-1] == entity[2]
    assert f"{re.findall(r'Their Max PDU Receive Size: +([0-9]+)', answer)[-1]} bytes" == limits[
        "maximum PDU length received"]


def test_what_is_proposed_to_dcmtk_is_what_the_statement_says_is_sent(tmp_path: Path) -> None:
    port = free_port()
    listener = dcmtk.storescp(port, tmp_path / "stored", ae_title="PACS", options=["-d"])
    try:
        eventually(lambda: listening(port))
        encodings = {(FORMS[form][0], str(syntax)) for form in parse(CONFIGURATION, "t").peers["PACS"].forms
                     for syntax in FORMS[form][1]}
        peer = Peer(name="PACS", ae_title="PACS", host="127.0.0.1", port=port, receives=True)
        with dimse.open_association(peer, "RADNODE", encodings):
            pass
        eventually(lambda: "Abstract Syntax" in listener.tail(4000))
    finally:
        listener.stop()
    assert _proposed(listener.tail(4000)) == {(row[1], row[3]) for row in table(SENT).rows}


def test_what_is_asked_by_dimse_and_served_by_http_is_listed() -> None:
    document = statement(parse(CONFIGURATION + "archives: {PACS: {retrieve: c-get}}\n", "test"))
    (services,) = [each for each in document.tables() if each.title == "DIMSE services"]
    said = {row[0]: row[1:] for row in services.rows}
    assert said["Query/Retrieve, Study Root GET"] == ("Y", "N")
    assert said["Query/Retrieve, Study Root MOVE"] == ("N", "N")
    (requested,) = [each for each in document.tables() if each.title == "Other services requested"]
    assert "1.2.840.10008.5.1.4.1.2.2.3" in {row[1] for row in requested.rows}
    resources = set(table(RESOURCES).rows)
    assert {("GET", "/dicom-web/studies"), ("GET", "/dicom-web/studies/{study}/metadata"),
            ("POST", "/dicom-web/workitems"), ("POST", "/dicom-web/workitems/{uid}/subscribers/{ae_title}"),
            ("GET (WebSocket)", "/dicom-web/subscribers/{ae_title}")} <= resources


def test_what_is_asked_of_worklist_managers_is_listed_where_one_is_followed_over_dimse() -> None:
    names = {f"Unified Procedure Step - {which} SOP Class": served
             for which, served in (("Pull", "N"), ("Watch", "Y"), ("Event", "Y"))}
    for managers, is_asked in (("[]", "N"), ("[PACS]", "Y")):
        document = statement(parse(f"{CONFIGURATION}workitems: {{managers: {managers}}}\n", "test"))
        tables = {each.title: each.rows for each in document.tables()}
        said = {row[0]: row[1:] for row in tables["DIMSE services"]}
        assert {name: said[name] for name in names} == {name: (is_asked, served) for name, served in names.items()}
        requested = {row[1]: row[2] for row in tables["Other services requested"]}
        assert (WATCH in requested, requested[EVENT]) == (is_asked == "Y", "SCP, by role selection")


def test_a_class_that_is_no_longer_taken_is_no_longer_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    without = {name: syntaxes for name, syntaxes in module.negotiation.taken().items() if name != CT}
    monkeypatch.setattr(module.negotiation, "taken", lambda: without)
    assert CT not in {row[1] for row in table(RECEIVED).rows}


def test_both_forms_say_the_same_and_a_name_cannot_become_markup() -> None:
    configuration = parse(CONFIGURATION.replace("PACS:", '"<b>A|B</b>":', 1), "test")
    document = statement(configuration)
    text, page = markdown(document), as_html(document)
    assert "&lt;b>A\\|B&lt;/b>" in text
    assert "&lt;b&gt;A|B&lt;/b&gt;" in page
    cells = [cell for each in document.tables() for row in each.rows for cell in row]
    reader = _Cells()
    reader.feed(page)
    assert reader.cells == cells
    assert [row for each in document.tables() for row in each.rows if len(row) != len(each.columns)] == []


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, _: object) -> None:
        self._inside = tag == "td"
        if self._inside:
            self.cells.append("")

    def handle_endtag(self, _: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.cells[-1] += data


def _agreed(receiver: Receiver, contexts: list[tuple[str, str]], folder: Path) -> tuple[set[tuple[str, str]], str]:
    """What storescu and the receiver agree on, each syntax in a context of its own; and what storescu printed."""
    names = {syntax: f"T{number}" for number, syntax in enumerate(dict.fromkeys(each for _, each in contexts))}
    lines = ["[[TransferSyntaxes]]"]
    for syntax, name in names.items():
        lines += [f"[{name}]", f"TransferSyntax1 = {syntax}"]
    lines += ["[[PresentationContexts]]", "[All]"]
    lines += [f"PresentationContext{number} = {uid}\\{names[syntax]}"
              for number, (uid, syntax) in enumerate(contexts, start=1)]
    lines += ["[[Profiles]]", "[Default]", "PresentationContexts = All"]
    (folder / "contexts.cfg").write_text("\n".join(lines) + "\n")
    image = folder / "image.dcm"
    image.write_bytes(p10.header(sop_class_uid=CT.encode(), sop_instance_uid=b"1.2.3",
                                 transfer_syntax_uid=ExplicitVRLittleEndian.encode()) + data_set())
    done = dcmtk.run("storescu", "-d", "-aec", "RADNODE", "-xf", folder / "contexts.cfg", "Default", "127.0.0.1",
                     str(receiver.port), image, check=False)
    said = done.stdout + done.stderr
    answer = said[said.rindex("BEGIN A-ASSOCIATE-AC"):]
    accepted = [int(number) for number in re.findall(r"Context ID: +([0-9]+) \(Accepted\)", answer)]
    assert len(re.findall("Context ID:", answer)) == len(contexts)
    return {contexts[(number - 1) // 2] for number in accepted}, answer


def _proposed(said: str) -> set[tuple[str, str]]:
    """(abstract syntax, transfer syntax) of each context that storescp was proposed."""
    syntaxes = {"LittleEndianExplicit": "1.2.840.10008.1.2.1", "LittleEndianImplicit": "1.2.840.10008.1.2",
                "RLELossless": "1.2.840.10008.1.2.5"}
    syntax = r"(?:.*\n){1,2}?.*Proposed Transfer Syntax\(es\):\n.*? +=?(\S+)\n"
    pairs = re.findall(r"Abstract Syntax: (\S+)\n" + syntax, said)
    return {(str(getattr(sop_class, name[1:])) if name.startswith("=") else name, syntaxes[each])
            for name, each in pairs}
