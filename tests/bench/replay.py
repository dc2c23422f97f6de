"""A day's studies, sent again by their source, and again after a restart: no job is made and nothing is sent.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/replay.py

Chest CTs of ten slices, each read by ct-lung and answered with a SEG and a report; then all of them once more, and once
more after the node was stopped and started. Each time the results, too, come back from the PACS as it forwards them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from support.chest import write_chest  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.mortal import MortalNode, send  # noqa: E402
from support.network import enter_private_network  # noqa: E402
from support.node import archive, modality  # noqa: E402
from support.pacs import StandInPacs  # noqa: E402
from support.waiting import eventually  # noqa: E402

from radnode.config.peers import Peer  # noqa: E402
from radnode.node.sending import forward  # noqa: E402
from radnode.storage.tables import DeliveryRow, JobRow  # noqa: E402

if TYPE_CHECKING:
    from support.chest import Series

TIMES = 2
SLICES = 10
QUIET_S = 15
"""Longer than a series waits for its end and a result for its confirmation (support.node.QUICK)."""


def measure(folder: Path, studies: int) -> dict[str, Any]:
    """The figures."""
    day = [write_chest(folder / "day" / str(each), name=f"study {each}", slices=SLICES) for each in range(studies)]
    with StandInPacs() as pacs:
        peers = [archive(pacs.port, answers_find=True), modality()]
        with MortalNode(folder / "node", peers=peers) as node:
            _send(node, day)
            node.wait_for_states(PROCESSED=studies * SLICES, within=120 + 20 * studies)
            eventually(lambda: _confirmed(node) == 2 * studies, within=120 + 5 * studies, every=1, why=node.log)
            results = _results(pacs, folder / "results")
            jobs, sends = node.count(JobRow), len(pacs.attempts)
            assert (jobs, sends) == (studies, 2 * studies)
            for turn in range(TIMES):
                if turn:
                    node.stop()
                    node.start()
                _send(node, day)
                _forward(node, results)
                _settled(node, studies * SLICES * (turn + 2) + len(results) * (turn + 1))
            assert node.states() == {"PROCESSED": studies * SLICES, "OWN_RESULT": len(results)}
            return {
                "studies": studies, "images": studies * SLICES, "results": len(results), "times": TIMES,
                "new_jobs": node.count(JobRow) - jobs, "new_sends": len(pacs.attempts) - sends,
            }  # fmt: skip


def _send(node: MortalNode, day: list[Series]) -> None:
    for series in day:
        send(node, series.files)


def _forward(node: MortalNode, results: list[Path]) -> None:
    to = Peer(name="node", ae_title=node.ae_title, host="127.0.0.1", port=node.port)
    assert all(status == 0 for _, status in forward(results, to, "PACS"))


def _results(pacs: StandInPacs, folder: Path) -> list[Path]:
    """What the PACS holds, as files."""
    folder.mkdir()
    found = []
    for number, result in enumerate(pacs.stored()):
        result.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        found.append(folder / f"{number}.dcm")
    return found


def _confirmed(node: MortalNode) -> int:
    return node.count(DeliveryRow, DeliveryRow.state == "CONFIRMED")


def _settled(node: MortalNode, receptions: int) -> None:
    """Everything was received, and time has passed in which something could be made of it."""
    eventually(lambda: node.ledger()["receptions"] == receptions, within=120, every=1,
               why=lambda: f"{receptions} receptions, there are {node.ledger()}")  # fmt: skip
    time.sleep(QUIET_S)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    studies = parser.parse_args().studies
    enter_private_network()
    with tempfile.TemporaryDirectory(prefix="radnode-replay-", dir="/var/tmp") as folder:
        figures = measure(Path(folder), studies)
    write_down("replay", **figures)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
