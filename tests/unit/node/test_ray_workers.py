"""Which actor gets an order, and which machine may work for a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.orders import order_over
from support.rows import NOW

import radnode
from radnode.config.settings import RayCluster, Worker
from radnode.node.alarms import Alarms
from radnode.node.execution.base import WorkerGone
from radnode.node.execution.ray import RayExecutor
from radnode.node.execution.ray_actor import unfit
from radnode.node.starting import IDENTITY

if TYPE_CHECKING:
    from pathlib import Path

driver = pytest.importorskip("radnode.node.execution.ray_driver", reason="Ray is not installed")


def _member(*loaded: str, hinted: str = "") -> object:
    return driver.Member(kind=0, setup={}, loaded=list(loaded), hinted=hinted)


def test_an_order_goes_to_who_has_read_it_ahead_else_to_who_has_its_model_warm() -> None:
    fresh, other = _member(), _member("mg-cad")
    once, last, ahead = _member("ct-lung", "mg-cad"), _member("mg-cad", "ct-lung"), _member(hinted="job 7")

    assert driver.choose([fresh, once, last, ahead], "ct-lung", "job 7") is ahead
    assert driver.choose([fresh, once, last, ahead], "ct-lung", "job 8") is last
    assert driver.choose([fresh, other, once], "ct-lung", "job 8") is once
    assert driver.choose([other], "ct-lung", "job 8") is other
    assert driver.choose([], "ct-lung", "job 8") is None


def test_a_machine_without_the_nodes_folder_or_with_another_version_does_not_work_for_it(tmp_path: Path) -> None:
    (tmp_path / IDENTITY).write_text("this node", encoding="ascii")

    assert unfit(tmp_path, "this node", radnode.__version__) == ""
    assert "install the same on both" in unfit(tmp_path, "this node", "0.0.0")
    assert "belongs to another node" in unfit(tmp_path, "that node", radnode.__version__)
    assert "at the same path" in unfit(tmp_path / "elsewhere", "this node", radnode.__version__)


def test_what_a_worker_said_of_itself_is_told_rather_than_the_advice_of_ray() -> None:
    said = "The actor died because of an error\n  File \"ray_actor.py\"\nRuntimeError: gpu-2 does not see it"
    assert driver._first_line(RuntimeError(said)) == "gpu-2 does not see it"
    assert driver._first_line(RuntimeError("The actor died.\nadvice")) == "The actor died."


def test_an_order_that_meets_a_connection_that_has_just_ended_is_given_back_at_once(tmp_path: Path) -> None:
    """And not when its time is over: the process that was to hear it is gone, the next one does not know of it."""
    executor = RayExecutor(
        [Worker(device="cpu", memory_limit=10**9, time_limit_s=1)], RayCluster(address="127.0.0.1:1"), models=tmp_path,
        data=tmp_path, identity="this node", alarms=Alarms(lambda: NOW),
    )  # fmt: skip
    with pytest.raises(WorkerGone, match="connection to Ray ended"):
        executor.execute(0, order_over([], tmp_path / "out"), lambda _stage: None, lambda: None)
