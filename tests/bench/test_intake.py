"""How fast images are taken in and kept for good, beside Orthanc on the same disk in the same run.

No absolute limits: disks differ. `make bench` prints the table and writes bench-results/intake.json.
"""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support import dcmtk
from support.chest import write_chest
from support.node import archive, modality
from support.sources import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.orthanc import Orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]

IMAGES = 200  # of 512 x 512, 0.5 MB each
ROUNDS = 3
_NO_ROUTE = {"name": "none", "when": {"modality": "MG"}, "run": ["ct-lung"], "send": ["PACS"]}


@pytest.mark.parametrize("associations", [1, 4], ids=["one association", "four associations"])
def test_durable_intake_beside_orthanc(
    start_node: Callable[..., NodeProcess],
    start_orthanc: Callable[..., Orthanc],
    tmp_path: Path,
    associations: int,
) -> None:
    node = start_node(peers=[archive(104), modality()], routes=[_NO_ROUTE], settings={"quiet_time_s": 60})
    orthanc = start_orthanc()
    rates: dict[str, list[float]] = {"radnode": [], "Orthanc": []}
    for turn in range(ROUNDS):
        parts = [tmp_path / f"{turn}-{part}" / "ct" for part in range(associations)]
        for part, folder in enumerate(parts):
            write_chest(folder, name=f"{associations}-{turn}-{part}", slices=IMAGES // associations, size=512)
        for name, port, called in (
            ("radnode", node.port, node.ae_title),
            ("Orthanc", orthanc.port, orthanc.ae_title),
        ):
            rates[name].append(IMAGES / _seconds(port, called, parts))
    result = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    _report(f"intake, {associations} association(s), images/s", result)
    assert node.ledger()["acknowledged"] == ROUNDS * IMAGES


def _seconds(port: int, called: str, folders: list[Path]) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(len(folders)) as senders:
        for sent in [
            senders.submit(dcmtk.dcmsend, port, folder, called=called, options=["-pdu", "131072"])
            for folder in folders
        ]:
            sent.result()
    return time.perf_counter() - began


def _report(title: str, result: dict[str, float]) -> None:
    print(f"\n{title}: {result}")
    target = REPOSITORY / "bench-results" / "intake.json"
    target.parent.mkdir(exist_ok=True)
    known = json.loads(target.read_text()) if target.exists() else {}
    target.write_text(json.dumps({**known, title: result}, indent=2) + "\n")
