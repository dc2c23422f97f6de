"""The archive for somebody elsewhere names no patient, opens no door, and says what is needed."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from support import canaries, dcmtk
from support.chest import write_chest
from support.node import archive, modality

from radnode.node.diagnostics import Concealing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

MEMBERS = {"README.txt", "versions.json", "doctor.json", "configuration.yaml", "metrics.txt", "alarms.json",
           "queue.json", "events.jsonl", "schema.json"}


def read(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {each.partition("/")[2]: file.read(each).decode() for each in file.namelist()}


@pytest.mark.peer
def test_neither_the_page_nor_the_command_gives_a_patient_a_uid_or_a_secret_away(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    chest = write_chest(tmp_path / "chest", name="canary", slices=12)
    dcmtk.dcmsend(node.port, tmp_path / "chest", called=node.ae_title)
    node.wait_for_job(chest.series_instance_uid, "PRODUCED")
    taken = node._client.get("/administration/diagnosis/archive.zip", timeout=120)
    assert taken.status_code == 200, taken.text
    node.command("diagnostics", tmp_path / "beside.zip", "--config", node.config)
    link = node.log().partition("/link/")[2].split()[0].strip("'\"")
    for said in (read(taken.content), read((tmp_path / "beside.zip").read_bytes())):
        assert said.keys() == MEMBERS
        whole = "\n".join(said.values())
        assert not canaries.named_in(whole)
        for secret in (chest.study_instance_uid, chest.series_instance_uid, link):
            assert secret not in whole
        assert json.loads(said["schema.json"])["state"] == "current"
        assert json.loads(said["queue.json"])["ledger"]["holds"]
        assert {each["question"] for each in json.loads(said["doctor.json"])} >= {"configuration", "database"}
    assert '"job.ended"' in read(taken.content)["events.jsonl"]
    assert "radnode_instances_stored_total" in read(taken.content)["metrics.txt"]


def test_what_identifies_is_the_same_pseudonym_within_an_archive_and_another_in_the_next() -> None:
    uid, digest = "1.2.826.0.1.3680043.8.498.123", "ab" * 32
    one, other = Concealing(), Concealing()
    assert one.text(uid) == one.text(f"see {uid}")[4:]
    assert one.text(uid) != other.text(uid)
    for told in (uid, digest, f"2.25.{'9' * 30}", "1.2.840.113619.2.55.3"):
        assert told not in one.text(f"a={told}, b")
    assert one.text("1.2.840.10008.5.1.4.1.1.2") == "1.2.840.10008.5.1.4.1.1.2"
    assert one.text("pydicom 3.0.1 on 10.1.2.3:104, Python 3.11.2") == "pydicom 3.0.1 on 10.1.2.3:104, Python 3.11.2"
    for secret in ("/link/abcDEF-123_x", "Bearer abc.def-ghi", "radnode_" + "AbCdEfGh123" * 4):
        assert secret[-6:] not in one.text(secret)
    assert "hunter2" not in one.text("postgresql+psycopg://radnode:hunter2@db/radnode")
