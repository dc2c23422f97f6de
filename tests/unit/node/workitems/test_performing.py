"""What an order that names several series has read: each by itself, or all by a pipeline that reads several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import mr_study, phantoms
from support.mr_study import BRATS, FLAIR_SERIES, LOCALISER, T1_SERIES, T1C_SERIES, T2_SERIES

from radnode.config.loading import parse
from radnode.node.workitems.performing import NotPerformed, plan
from radnode.pipelines.inputs import Content, Input
from radnode.storage.catalog import InstanceHeader
from radnode.storage.ledger import InstanceState
from radnode.storage.workitems import HeldSeries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.mr_study import Sweep

(ROUTE,) = parse(
    "peers: {PACS: {ae_title: PACS, host: 127.0.0.1, port: 104, receives: true}}\n"
    "routes: [{name: head, when: {modality: MR}, run: [brats, ct-lung], send: [PACS], enabled: false}]\n", "test",
).routes
MANIFESTS = {
    "brats": phantoms.manifest(name="brats", modality="MR", inputs=tuple(
        Input(name=each.value.lower(), modality="MR", content=each)
        for each in (Content.T1C, Content.T1, Content.T2, Content.FLAIR))),
    "ct-lung": phantoms.manifest(name="ct-lung"),
}


def planned(*sweeps: Sweep) -> list[tuple[str, list[str]]]:
    """Pipeline and series of each job for an order that names these."""
    series = dict(enumerate(sweeps, 1))
    held = [HeldSeries(series_id=number, study_id=1, series_instance_uid=sweep.uid, source="PACS", state="CLOSED",
                       revision=1, reason="", sop_instance_uids=frozenset()) for number, sweep in series.items()]
    found = plan(ROUTE, MANIFESTS, held, {number: _headers(sweep) for number, sweep in series.items()})
    return [(each.manifest.name, [one.series_instance_uid for one in each.series]) for each in found]


def _headers(sweep: Sweep) -> Sequence[InstanceHeader]:
    return [
        InstanceHeader(instance_id=number, sop_instance_uid=each.SOPInstanceUID, digest="d", reason="",
                       state=InstanceState.RECEIVED,
                       attributes={**mr_study.as_stored(each), "PixelDataPresent": True})
        for number, each in enumerate(mr_study.headers(sweep))
    ]


def test_a_pipeline_of_several_series_reads_those_that_are_named_in_one_job_the_reference_first() -> None:
    found = dict(planned(*BRATS)[:1])
    assert found["brats"][0] == T1C_SERIES.uid
    assert set(found["brats"]) == {each.uid for each in (T1C_SERIES, T1_SERIES, T2_SERIES, FLAIR_SERIES)}


def test_a_pipeline_of_one_series_reads_each_that_is_named() -> None:
    assert planned(*BRATS)[1:] == [("ct-lung", [each.uid]) for each in BRATS]


def test_an_order_without_an_input_that_is_needed_is_not_performed_and_says_which() -> None:
    with pytest.raises(NotPerformed, match=r"^brats: .*flair"):
        planned(T1C_SERIES, T1_SERIES, T2_SERIES, LOCALISER)
