"""The node dies at a chosen place and starts again: what was kept is whole, once, and nothing half is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.mortal import MortalNode, answer_to
from support.node import modality
from support.receiver import data_set

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SUCCESS = 0x0000


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[MortalNode]:
    """A node that runs nothing on what it gets."""
    with MortalNode(tmp_path / "node", peers=[modality()], routes=[]) as node:
        yield node


def _image(number: int) -> tuple[str, bytes]:
    uid = f"1.2.3.{number}"
    return uid, data_set(instance=uid.encode() + b"\0" * (len(uid) % 2), pixels=1000 + number)


def test_K1_K2_K3_K4_K5_a_reception_that_is_cut_leaves_all_or_nothing_and_its_resend_one_copy(
    receiving: MortalNode,
) -> None:
    node, sent = receiving, {}
    before_the_name = (
        ("after", "node.intake.spooling:Spooled.write"),
        ("before", "storage.files:SystemOps.fsync"),
        ("before", "storage.files:SystemOps.link"),
    )
    before_the_commit = (("after", "storage.files:FileStore.keep"), ("after", "storage.receptions:record"))
    for number, place in enumerate((*before_the_name, *before_the_commit)):
        uid, data = _image(number)
        node.arm(*place)
        assert answer_to(node, data, uid) is None, place
        node.dies()
        assert len(node.spooled()) == 1, place
        assert len(_kept(node)) == len(sent) + (place in before_the_commit), place
        node.start()
        node.assert_kept_once(sent)
        assert answer_to(node, data, uid) == SUCCESS
        sent[uid] = data
        node.assert_kept_once(sent)
    assert node.ledger()["receptions"] == len(sent), "what was not acknowledged is no duplicate"

    uid, data = _image(len(sent))
    sent[uid] = data
    node.arm("after", "node.intake.committer:Committer.commit")
    assert answer_to(node, data, uid) is None
    node.dies()
    node.start()
    node.assert_kept_once(sent)
    assert answer_to(node, data, uid) == SUCCESS
    node.assert_kept_once(sent)
    assert node.ledger()["receptions"] == len(sent) + 1


def _kept(node: MortalNode) -> list[Path]:
    return list((node.data / "instances").rglob("*.dcm"))
