"""No message leaves that says something else than the findings, or of somebody else; and other people can read them."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fhir.resources.R4B.bundle import Bundle
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from pydicom.valuerep import PersonName
from support.result_samples import Sample, nothing, sample, stack, volume_of

from radnode.pipelines.contract import Predecessor
from radnode.pipelines.forms import MESSAGES, Wanted
from radnode.pipelines.messages import gate, hl7, oru, producing
from radnode.pipelines.messages.statements import Report, refusal_of, report_of
from radnode.pipelines.results.gate import GateRefused
from radnode.pipelines.results.writers import write
from radnode.pipelines.results.writing import Making

FORMS = ("SEG", "TID1500", *MESSAGES)


@lru_cache
def made(found: bool = True) -> tuple[Sample, dict[str, bytes], tuple[str, ...]]:
    """A sample, its messages by form, and the SOP Instance UIDs of its objects."""
    with TemporaryDirectory() as folder:
        headers = stack()
        one = sample(headers, None if found else nothing(volume_of(headers)), forms=FORMS, output_folder=folder)
        written = write(one.findings, one.source, one.provenance, ("SEG", "TID1500"))
        making = Making(source=one.source, provenance=one.provenance, wanted=Wanted("NOT-PROCESSED"))
        produced = (*producing.results(one.findings, one.source, one.provenance, written),
                    *producing.refusals(making, "the slices have gaps", (), failed=False))
        return (one, {each.name: Path(each.path).read_bytes() for each in produced},
                tuple(str(each.dataset.SOPInstanceUID) for each in written))


def judged(form: str, content: bytes) -> None:
    """By the gate, as the message of this form that the sample has."""
    one, _, objects = made()
    making = Making(source=one.source, provenance=one.provenance, wanted=Wanted(form))
    gate.check(content, making, report(form, making), objects)


def report(form: str, making: Making) -> Report:
    """What the message is to say."""
    if "NOT-PROCESSED" in form:
        return refusal_of(making, "the slices have gaps", failed=False)
    return report_of(made()[0].findings, making.provenance)


@pytest.mark.parametrize("form", MESSAGES)
def test_a_message_passes_its_gate_and_is_the_same_whenever_it_is_made(form: str) -> None:
    content = made()[1][form]
    judged(form, content)
    made.cache_clear()

    assert made()[1][form] == content


@pytest.mark.parametrize(
    ("fault", "old", "new"),
    [
        ("patient", "PAT-1", "PAT-2"),
        ("patient", "Müller^Änne", "Müller^Anna"),
        ("patient", "19600102", "19600103"),
        ("study", "1.2.826.0.1.3680043.8.498.1.1^ISO", "1.2.826.0.1.3680043.8.498.1.2^ISO"),
        ("study", "|A-77||||", "|A-78||||"),
        ("status", "||||||P||||||", "||||||F||||||"),
        ("qualification", "||RESEARCH|", "||PRODUCT|"),
        ("numbers", "|618.75|", "|618.76|"),
        ("numbers", "mm3^cubic", "cm3^cubic"),
        ("numbers", "112031^Att", "112032^Att"),
        ("codes", "24028007^Right", "7771000^Left"),
        ("sentences", "touches the edge", "is whole"),
        ("reference", "2.25.25192402731165609474324599028328719843", "2.25.99999"),
        ("structure", "OBR|1", "OBQ|1"),
    ],
)
def test_an_oru_that_says_something_else_is_refused(fault: str, old: str, new: str) -> None:
    content = made()[1]["ORU"].decode()
    assert old in content

    with pytest.raises(GateRefused, match=fault):
        judged("ORU", content.replace(old, new, 1).encode())


@pytest.mark.parametrize(
    ("fault", "old", "new"),
    [
        ("patient", '"PAT-1"', '"PAT-2"'),
        ("study", '"A-77"', '"A-78"'),
        ("study", "oid:1.2.826.0.1.3680043.8.498.1.1\"", "oid:1.2.826.0.1.3680043.8.498.1.2\""),
        ("status", '"preliminary"', '"final"'),
        ("qualification", '"code":"RESEARCH"', '"code":"PRODUCT"'),
        ("numbers", "618.75", "618.76"),
        ("numbers", '"code":"mm3"', '"code":"cm3"'),
        ("codes", '"24028007"', '"7771000"'),
        ("sentences", "touches the edge", "is whole"),
        ("reference", '"uid":"2.25.251924027311656094743245990283287198439"', '"uid":"2.25.9"'),
        ("structure", '"ifNoneExist"', '"ifNoneMatch"'),
        ("reference", '"reference":"urn:uuid:', '"reference":"urn:uuid:0'),
    ],
)
def test_a_bundle_that_says_something_else_is_refused(fault: str, old: str, new: str) -> None:
    content = made()[1]["FHIR"].decode()
    assert old in content

    with pytest.raises(GateRefused, match=fault):
        judged("FHIR", content.replace(old, new, 1).encode())


@pytest.mark.parametrize("form", ["ORU", "ORU-NOT-PROCESSED"])
def test_another_library_reads_the_message_and_finds_it_valid(form: str) -> None:
    message = parse_message(made()[1][form].decode(), validation_level=VALIDATION_LEVEL.STRICT)

    assert message.validate()
    assert message.name == "ORU_R01"


@pytest.mark.parametrize("form", ["FHIR", "FHIR-NOT-PROCESSED"])
def test_the_models_of_fhir_resources_take_the_bundle(form: str) -> None:
    bundle = Bundle.model_validate_json(made()[1][form])

    kinds = [entry.resource.get_resource_type() for entry in bundle.entry or []]
    assert kinds[0] == "Device"
    assert kinds[-1] == "DiagnosticReport"


def test_nothing_found_and_not_processed_are_different_answers() -> None:
    found_nothing, refused = made(found=False)[1], made()[1]

    assert b"111241^All algorithms succeeded; without findings" in found_nothing["ORU"]
    assert b"111245^No algorithms succeeded; without findings" in refused["ORU-NOT-PROCESSED"]
    assert set(re.findall(rb"\|\|\|\|\|\|([PX])\|", refused["ORU-NOT-PROCESSED"])) == {b"X"}
    assert b"the slices have gaps" in refused["ORU-NOT-PROCESSED"]
    absent = [entry["resource"].get("dataAbsentReason") for entry in json.loads(refused["FHIR-NOT-PROCESSED"])["entry"]]
    assert [each["coding"][0]["code"] for each in absent if each] == ["not-performed"]


def test_a_later_revision_says_which_message_it_takes_the_place_of(tmp_path: Path) -> None:
    before = tuple(Predecessor(name=name, sop_class_uid="", sop_instance_uid=f"1.2.{place}", series_instance_uid="",
                               study_instance_uid="") for place, name in enumerate(("ORU", "FHIR")))
    one = sample(forms=("ORU", "FHIR"), output_folder=str(tmp_path), predecessors=before)
    said = {each.name: Path(each.path).read_text(encoding="utf-8")
            for each in producing.results(one.findings, one.source, one.provenance, ())}

    assert f"Takes the place of {oru.control_id('1.2.0')}, which" in said["ORU"]
    assert "Takes the place of urn:oid:1.2.1, which" in said["FHIR"]


def test_prefix_and_suffix_of_a_name_change_their_places_and_each_script_is_a_repetition() -> None:
    name = PersonName("Wang^XiaoDong^M^Dr^Jr=王^小東=わん^しょうとう")

    assert oru.names(name) == "Wang^XiaoDong^M^Jr^Dr^^^A~王^小東^^^^^^I~わん^しょうとう^^^^^^P"


def test_the_receiver_is_written_into_bytes_that_stay_the_same_otherwise() -> None:
    content = made()[1]["ORU"]
    sent = hl7.addressed(content, "RIS", "A|B")

    assert sent.split(b"\r")[0].startswith(b"MSH|^~\\&|RADNODE||RIS|A\\F\\B|")
    assert sent.split(b"\r")[1:] == content.split(b"\r")[1:]
