"""Each thing is broken for real, and the doctor's sentence is read. He changes nothing."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from support import sample_pipelines
from support.databases import databases_of
from support.network import free_port
from support.node import archive, modality
from support.pacs import StandInPacs
from support.rows import NOW, job_over, must_lease, must_lease_delivery, produce, receive, reception, result
from support.small_disk import on_small_disk

from radnode.config.loading import Configuration, load, parse
from radnode.node.doctor import checks_machine, checks_records, examination, facts_peers
from radnode.node.doctor.checks_machine import Pipelines
from radnode.pipelines import forms
from radnode.storage import outbox
from radnode.storage.database import Database
from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from support.node import NodeProcess

    from radnode.node.doctor.finding import Finding

BASE = """\
node:
  data: {data}
  disk_reserve: 1 MB
  host: 127.0.0.1
  dicom_port: {dicom_port}
  http_port: {http_port}
"""


def _configuration(data: Path, more: str = "", **node: Any) -> Configuration:
    text = BASE.format(data=data, dicom_port=free_port(), http_port=free_port())
    for key, value in node.items():
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"  {key}:"))
        text += f"  {key}: {value}\n"
    return parse(text + more, "radnode.yaml")


def _said(findings: Iterable[Finding], question: str) -> str:
    """State, answer and remedy of one finding as one text."""
    found = {each.question: each for each in findings}
    assert question in found, found.keys()
    each = found[question]
    assert bool(each.remedy) == (each.state in ("warning", "wrong")), each
    return f"{each.state}: {each.answer} -> {each.remedy}"


def _peer(port: int, **more: Any) -> str:
    keys = {"ae_title": "PACS", "host": "127.0.0.1", "port": port, "receives": True, **more}
    return f"peers: {json.dumps({'PACS': keys})}\n"


def test_a_file_with_a_mistake_is_quoted_and_the_rest_is_said_to_be_unchecked(tmp_path: Path) -> None:
    path = tmp_path / "radnode.yaml"
    path.write_text("node:\n  ae_tilte: X\n")
    findings = list(examination.examine(path))
    assert "radnode.yaml:2" in _said(findings, "configuration")
    assert _said(findings, "everything else").startswith("not checked: because")


@pytest.mark.parametrize("name", ["dicom_port", "http_port"])
def test_a_port_that_another_program_has_is_named_with_the_way_to_find_that_program(tmp_path: Path, name: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        findings = list(examination.machine(_configuration(tmp_path, **{name: port})))
    said = _said(findings, f"{'DICOM' if name == 'dicom_port' else 'HTTP'} port {port}")
    assert said.startswith("wrong: another program listens here")
    assert f"ss -ltnp 'sport = :{port}'" in said


def test_an_address_that_is_not_of_this_machine_is_said_to_be_so(tmp_path: Path) -> None:
    configuration = _configuration(tmp_path, host="192.0.2.1")
    said = _said(examination.machine(configuration), f"DICOM port {configuration.settings.dicom_port}")
    assert said.startswith("wrong: 192.0.2.1")
    assert "an address of this machine" in said


def test_a_disk_below_its_reserve_is_said_to_refuse_images(tmp_path: Path) -> None:
    said = _said(examination.machine(_configuration(tmp_path, disk_reserve="900000 TB")), "free space")
    assert said.startswith("wrong:")
    assert "A700" in said


def test_a_data_folder_in_memory_is_said_to_lose_everything_with_the_power(tmp_path: Path) -> None:
    disk = tmp_path / "disk"

    def look() -> None:
        said = _said(examination.machine(_configuration(disk)), "data folder")
        assert "tmpfs, in memory" in said

    on_small_disk(disk, 4 * 1024 * 1024, look)


@pytest.mark.parametrize("kind", ["nfs4", "cifs"])
def test_X10_a_data_folder_on_the_network_is_said_to_prove_nothing(kind: str) -> None:
    finding = checks_machine.volume(Path("/data"), kind, "")
    assert finding.state == "wrong"
    assert kind in finding.answer
    assert "local disk" in finding.remedy


def test_a_data_folder_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    finding = checks_machine.volume(tmp_path, "ext4", "Read-only file system")
    assert finding.state == "wrong"
    assert "Read-only file system" in finding.answer


def test_images_that_others_may_read_are_a_warning_with_the_command_that_mends_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    question = f"permissions of {tmp_path.name}"
    said = _said(examination.machine(_configuration(tmp_path)), question)
    assert said.endswith(f"chmod 700 {tmp_path}")
    tmp_path.chmod(0o700)
    assert _said(examination.machine(_configuration(tmp_path)), question).startswith("ok")


def test_the_token_of_a_webhook_that_is_missing_or_that_others_may_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "radnode.yaml"
    path.write_text("alarms: {webhook: {url: 'https://alerts.h.example', token_file: token}}\n")
    assert f"{path}:1: alarms.webhook.token_file: {tmp_path}/token cannot be read" in _said(
        examination.examine(path), "configuration"
    )
    (tmp_path / "token").write_text("hidden-word")
    (tmp_path / "token").chmod(0o644)
    said = _said(examination.machine(load(path)), "permissions of token")
    assert said.endswith(f"chmod 600 {tmp_path / 'token'}")


def test_a_password_in_a_file_that_others_may_read_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RADNODE_DATABASE_URL", raising=False)
    path = tmp_path / "radnode.yaml"
    path.write_text("node:\n  database_url: postgresql+psycopg://u:hidden-word@127.0.0.1:1/x\n")
    path.chmod(0o644)
    findings = list(examination.examine(path))
    assert f"chmod 600 {path}" in _said(findings, "permissions of radnode.yaml")
    assert _said(findings, "database").startswith("wrong:")
    assert "hidden-word" not in str(findings)


def test_a_clock_that_differs_is_said_with_its_direction() -> None:
    assert "90 s behind" in checks_machine.clock("the database", -90.0).answer
    assert "90 s ahead" in checks_machine.clock("the database", 90.0).answer
    assert checks_machine.clock("the database", 1.0).state == "ok"


def test_whether_a_time_service_runs_is_not_guessed() -> None:
    assert checks_machine.time_service(None).state == "not checked"
    assert checks_machine.time_service(False).state == "warning"


@pytest.mark.slow
def test_a_pipeline_that_does_not_load_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = sample_pipelines.install(tmp_path / "packages")
    (packages / "sample_pipeline" / "code.py").write_text("raise ImportError('no such wheel')\n")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    routes = "routes:\n  - {name: a, when: {modality: CT}, run: [sample, ct-lung], send: [PACS]}\n"
    findings = list(examination.workers(_configuration(tmp_path / "data", routes)))
    assert _said(findings, "pipeline sample").startswith("wrong:")
    assert _said(findings, "pipeline ct-lung") == "ok: loads -> "


def test_a_gpu_that_is_configured_and_not_there_is_wrong_and_one_that_idles_is_a_warning() -> None:
    none = Pipelines(refused={}, pinned=(), cuda=())
    one = Pipelines(refused={}, pinned=(), cuda=("A card",))
    assert "nvidia-smi" in checks_machine.gpu(none, ("cuda",)).remedy
    assert checks_machine.gpu(one, ("cuda:1",)).state == "wrong"
    assert checks_machine.gpu(one, ("cuda:0",)).state == "ok"
    assert checks_machine.gpu(one, ("cpu",)).state == "warning"
    assert checks_machine.gpu(None, ("cuda",)).state == "not checked"


def _migrated(data: Path) -> Database:
    data.mkdir(exist_ok=True)
    database = Database(f"sqlite:///{data / 'radnode.db'}")
    database.upgrade()
    return database


def _records(data: Path) -> list[Finding]:
    return list(examination.records(_configuration(data)))


def test_without_a_database_nothing_is_made_and_images_without_one_are_an_alarm(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert _said(_records(data), "database").startswith("ok:")
    assert not data.exists()
    file = data / "instances" / "ab" / ("abcd" + "0" * 60 + ".dcm")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    said = _said(_records(data), "database")
    assert said.startswith("wrong:")
    assert "1 images" in said
    assert "radnode reindex" in said


@pytest.mark.parametrize(("revision", "state", "word"), [("0001", "warning", "older"), ("9999", "wrong", "newer")])
def test_a_schema_of_another_version_is_told_from_ones_own(
    tmp_path: Path, revision: str, state: str, word: str
) -> None:
    database = _migrated(tmp_path)
    with database.begin() as session:
        held = session.connection().exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        assert revision != held
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = ?", (revision,))
        session.connection().exec_driver_sql("UPDATE schema_floor SET revision = ?", (revision,))
    database.close()
    said = _said(_records(tmp_path), "schema of the database")
    assert said.startswith(f"{state}:")
    assert word in said


def test_a_file_that_is_no_database_is_wrong_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "radnode.db"
    path.write_bytes(b"not a database at all" * 500)
    assert _said(_records(tmp_path), "database").startswith("wrong:")
    assert path.read_bytes() == b"not a database at all" * 500


@pytest.mark.catalogue("K19")
def test_a_database_that_forgot_what_was_acknowledged_is_wrong(tmp_path: Path) -> None:
    database, store = _migrated(tmp_path), FileStore(tmp_path, 0)
    question = "what was acknowledged"
    assert _said(_records(tmp_path), question) == "ok: nothing yet -> "
    store.note([reception(1)])
    assert "radnode reindex" in _said(_records(tmp_path), question)
    receive(database, reception(1))
    database.close()
    assert _said(_records(tmp_path), question).startswith("ok: the database knows it up to the last")


def test_a_ledger_that_does_not_balance_is_wrong(tmp_path: Path) -> None:
    database = _migrated(tmp_path)
    receive(database, reception(1), reception(2))
    with database.begin() as session:
        session.connection().exec_driver_sql("DELETE FROM ledger_events WHERE instance_id = 1")
    database.close()
    assert _said(_records(tmp_path), "ledger").startswith("wrong: 1 images acknowledged, but 2")


def test_rows_without_files_and_files_without_rows_are_counted(tmp_path: Path) -> None:
    database = _migrated(tmp_path)
    receive(database, reception(1), reception(2))
    database.close()
    stray = tmp_path / "instances" / "ff" / ("ff00" + "0" * 60 + ".dcm")
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    findings = _records(tmp_path)
    assert _said(findings, "files of the catalog").startswith("wrong: 2 acknowledged images have no file")
    assert _said(findings, "orphaned files").startswith("warning: 1 files")


def test_quarantine_and_dead_letters_are_counted_with_the_command_that_sends_them_again(tmp_path: Path) -> None:
    database = _migrated(tmp_path)
    receive(database, reception(1))
    job_over(database, 1)
    produce(database, must_lease(database), result("1.2.9"))
    delivery = must_lease_delivery(database)
    with database.begin() as session:
        outbox.dead(session, delivery, "refused", NOW)
    database.close()
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "x.dcm").write_bytes(b"x")
    findings = _records(tmp_path)
    assert f"radnode resend {delivery.delivery_id}" in _said(findings, "deliveries")
    assert _said(findings, "quarantine").startswith("warning: 1")


@pytest.mark.peer
def test_the_clock_of_a_database_server_is_compared(tmp_path: Path) -> None:
    with databases_of("postgresql", tmp_path) as databases, databases.migrated() as url:
        findings = list(examination.records(_configuration(tmp_path, database_url=f"'{url}'")))
    assert _said(findings, "clock against the database").startswith("ok:")
    assert _said(findings, "ledger").startswith("ok: 0 images")


@pytest.mark.catalogue("C6")
def test_a_destination_that_is_away_rejects_or_takes_less_is_told_apart(tmp_path: Path) -> None:
    with StandInPacs() as pacs:
        all_forms = {"result_forms": list(forms.FORMS)}
        good = list(examination.peers(_configuration(tmp_path, _peer(pacs.port, **all_forms, answers_find=True))))
        assert _said(good, "destination PACS").startswith("ok: answers C-ECHO and knows RADNODE")
        assert _said(good, "C-FIND at PACS") == "ok: answers -> "
        assert pacs.attempts == []
    away = list(examination.peers(_configuration(tmp_path, _peer(pacs.port, answers_find=True))))
    assert _said(away, "destination PACS").startswith("wrong:")
    assert _said(away, "C-FIND at PACS").startswith("wrong:")

    strict = AE(ae_title="PACS")
    strict.add_supported_context(Verification)
    strict.require_calling_aet = ["SOMEBODY"]
    server = strict.start_server(("127.0.0.1", 0), block=False)
    port = server.socket.getsockname()[1]
    try:
        rejected = _said(examination.peers(_configuration(tmp_path, _peer(port))), "destination PACS")
        assert "whether it knows RADNODE" in rejected
        strict.require_calling_aet = []
        server.ae.require_calling_aet = []
        few = list(examination.peers(_configuration(tmp_path, _peer(port, answers_find=True))))
        assert _said(few, "result forms for PACS").startswith("wrong: accepts none of SEG, TID1500")
        assert "accepts none of the presentation contexts" in _said(few, "C-FIND at PACS")
    finally:
        server.shutdown()


def test_every_result_form_has_its_presentation_context() -> None:
    assert set(facts_peers.FORMS) == set(forms.FORMS)


def test_a_source_that_is_not_configured_to_answer_is_not_asked(tmp_path: Path) -> None:
    configuration = _configuration(tmp_path, _peer(1, sends=True, receives=False))
    assert _said(examination.peers(configuration), "C-FIND at PACS").startswith("not checked: because")


@pytest.mark.peer
@pytest.mark.slow
def test_beside_a_running_node_its_ports_are_its_own_and_nothing_is_wrong(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    node.data.chmod(0o700)
    told = node.command("doctor", "--config", node.config, "--json", check=False)
    findings = {each["question"]: each for each in json.loads(told.stdout)}
    assert findings[f"DICOM port {node.port}"]["answer"] == "this node listens here"
    assert findings[f"HTTP port {node.http_port}"]["answer"] == "this node listens here"
    assert [each for each in findings.values() if each["state"] == "wrong"] == []
    assert told.returncode == 0
    pacs.stop()
    told = node.command("doctor", "--config", node.config, check=False)
    assert told.returncode == 1
    assert "destination PACS: PACS (127.0.0.1:" in told.stdout


def test_schemas_are_told_apart_by_the_migrations_that_are_known() -> None:
    assert {state: checks_records.schema(state).state for state in ("none", "older", "current", "newer")} == {
        "none": "ok", "older": "warning", "current": "ok", "newer": "wrong",
    }  # fmt: skip
