"""A minute of each fuzzer, all at once; `make fuzz` runs for long."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from fuzz import api
from support.fuzzing import TookTooLong, within
from support.web import whole_site

from radnode.node.web import gate

RUN = Path(__file__).with_name("run.py")
TARGETS = ("headers", "routes", "intake", "dicomweb")


@pytest.mark.slow
def test_any_bytes_are_read_or_refused_with_a_declared_exception(tmp_path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, RUN, "--target", target, "--seconds", "60", "--findings", tmp_path / target],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for target in TARGETS
    ]  # fmt: skip

    said = [each.communicate() for each in running]

    assert [each.returncode for each in running] == [0] * len(TARGETS), said
    for printed, _ in said:
        assert json.loads(printed)["executions"] > 100


def test_an_input_that_computes_without_an_end_is_found_whatever_takes_exceptions_for_answers() -> None:
    def never_ends(_data: bytes) -> None:
        while True:
            with suppress(Exception):
                sum(range(1000))

    with pytest.raises(TookTooLong):
        within(0.1, never_ends)(b"")


def test_random_calls_of_the_interface_end_in_no_5xx_and_read_nothing_without_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("BURST", "EACH_SECOND", "STRANGERS_BURST", "STRANGERS_EACH_SECOND"):
        monkeypatch.setattr(gate, limit, 1e9)
    with whole_site(tmp_path / 'site') as running:
        answered = api.fuzz(running, 250, seed=7)
    assert answered.total() >= 250
    assert {status for _, status in answered} >= {200, 401, 403, 404}
