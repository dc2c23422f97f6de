"""Inputs that are read ahead are the inputs that would have been read, or none at all."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.chest import write_chest
from support.orders import order_over
from support.waiting import eventually

from radnode.pipelines import registry
from radnode.pipelines.prefetch import Prefetcher
from radnode.pipelines.progress import Progress
from radnode.pipelines.runner import read_inputs, run
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.pipelines.contract import RunReport, WorkOrder


@pytest.fixture
def prefetcher() -> Iterator[Prefetcher]:
    made = Prefetcher(None, 4 * 2**30)
    yield made
    made.stop()


@pytest.fixture
def order(tmp_path: Path) -> WorkOrder:
    return order_over(write_chest(tmp_path / "ct", slices=12).files, tmp_path / "out")


def test_what_is_read_ahead_is_what_the_job_would_have_read(prefetcher: Prefetcher, order: WorkOrder) -> None:
    warm = Warm(registry.installed)
    wanted, _ = read_inputs(order, warm.manifest("ct-lung"), Progress(emit=lambda _: None))
    prefetcher.begin(order)
    found = prefetcher.take(replace(order, output_folder="elsewhere", forms=("SEG",)))
    assert found is not None
    np.testing.assert_array_equal(found.volume.voxels, wanted.volume.voxels)
    np.testing.assert_array_equal(found.volume.valid, wanted.volume.valid)
    np.testing.assert_array_equal(found.volume.affine, wanted.volume.affine)
    assert found.volume.voxels.flags.writeable
    assert found.volume.frames == wanted.volume.frames
    assert found.volume.series_instance_uid == wanted.volume.series_instance_uid
    assert (found.modality, dict(found.excluded), found.notes) == (wanted.modality, wanted.excluded, wanted.notes)
    assert dict(found.acquisition) == dict(wanted.acquisition)
    assert prefetcher.take(order) is None, "it is taken once"


def test_only_the_order_it_was_read_for_takes_it_over_and_all_others_read_by_themselves(
    prefetcher: Prefetcher, order: WorkOrder
) -> None:
    def run_it(one: WorkOrder) -> tuple[RunReport, list[str]]:
        stages: list[str] = []
        report = run(one, warm, lambda said: stages.append(str(said["stage"])), prefetcher)
        return report, stages

    warm, other = Warm(registry.installed), replace(order, job_key="1" * 64)
    prefetcher.begin(order)
    assert prefetcher.take(replace(order, instances=order.instances[1:])) is None
    report, stages = run_it(other)
    assert (report.reason, stages[:2]) == ("", ["select", "decode"])
    report, stages = run_it(order)
    assert (report.reason, stages[0]) == ("", "take over")
    assert not {"select", "decode"} & set(stages)

    broken = replace(order, instances=(replace(order.instances[0], digest="0" * 64), *order.instances[1:]))
    prefetcher.begin(broken)
    report, _ = run_it(broken)
    assert f"instance {order.instances[0].sop_instance_uid} is not the bytes that were received" in report.reason


def test_a_hint_that_comes_while_a_job_waits_for_its_images_does_not_change_what_it_gets(
    prefetcher: Prefetcher, order: WorkOrder, tmp_path: Path
) -> None:
    after = order_over(write_chest(tmp_path / "other", name="Other", slices=12).files, tmp_path / "out")
    for one, hint in ((order, after), (after, order)):
        prefetcher.begin(one)
        hints = threading.Thread(target=_begin_while_waited_for, args=(prefetcher, hint))
        hints.start()
        found = prefetcher.take(one)
        hints.join()
        assert found is not None
        wanted = {instance.sop_instance_uid for instance in one.instances}
        assert {frame.sop_instance_uid for frame in found.volume.frames} == wanted
        assert prefetcher.has(hint), "the hint is followed afterwards"


def _begin_while_waited_for(prefetcher: Prefetcher, hint: WorkOrder) -> None:
    eventually(lambda: prefetcher._taking, within=20, every=0.001, why=lambda: "nobody waits")
    prefetcher.begin(hint)


@pytest.mark.catalogue("X7")
def test_a_reader_that_dies_of_a_file_is_replaced_and_nothing_waits_for_it(
    prefetcher: Prefetcher, order: WorkOrder
) -> None:
    prefetcher.begin(order)
    process = prefetcher._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not prefetcher.has(order), within=20, why=lambda: "its death is seen")
    assert prefetcher.take(order) is None
    prefetcher.begin(order)
    assert prefetcher.take(order) is not None
