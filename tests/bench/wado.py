"""How fast a series of 300 slices of 512 x 512 comes over WADO-RS: from the node and from Orthanc, taking turns.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/wado.py

Both hold the same files and answer the same requests of one client on the same machine: the whole series, its metadata
(the first time, and again), and each frame by itself over six connections as a viewer asks for them. Every byte of
pixels that comes is compared. The whole series is read by a client that does next to nothing itself: one that makes
objects of what comes takes as long as either server. Writes wado.json.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import httpx  # noqa: E402
import numpy as np  # noqa: E402
import pydicom  # noqa: E402
from support import dcmtk  # noqa: E402
from support.chest import write_chest  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.network import enter_private_network  # noqa: E402
from support.node import NodeProcess, modality  # noqa: E402
from support.orthanc import Orthanc  # noqa: E402
from support.waiting import eventually  # noqa: E402

if TYPE_CHECKING:
    from support.chest import Series

SLICES, SIZE = 300, 512
CONNECTIONS = 6
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


def images(folder: Path) -> Series:
    """Noise, which nothing on the way can make smaller."""
    series = write_chest(folder, slices=SLICES, size=16)
    numbers = np.random.default_rng(1)
    for path in series.files:
        dataset = pydicom.dcmread(path)
        dataset.Rows = dataset.Columns = SIZE
        dataset.PixelData = numbers.integers(0, 4096, (SIZE, SIZE), dtype=np.int16).tobytes()
        dataset.save_as(path)
    return series


class Server:
    """One of the two, and what it takes to answer."""

    def __init__(self, name: str, port: int, series: Series, authorization: str) -> None:
        self.name = name
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/dicom-web", headers={"Authorization": authorization}, timeout=120,
            trust_env=False, limits=httpx.Limits(max_connections=CONNECTIONS),
        )
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._authorization = authorization
        self._address = f"/studies/{series.study_instance_uid}/series/{series.series_instance_uid}"
        sent = [pydicom.dcmread(path) for path in series.files]
        self._pixels = {each.SOPInstanceUID: each.PixelData for each in sent}

    def whole(self) -> float:
        """Seconds for the series."""
        room = memoryview(bytearray(SLICES * (SIZE * SIZE * 2 + (1 << 16))))
        began, size = time.perf_counter(), 0
        self._connection.request("GET", f"/dicom-web{self._address}", headers={
            "Accept": DICOM, "Authorization": self._authorization})
        answer = self._connection.getresponse()
        while came := answer.readinto(room[size : size + (1 << 20)]):
            size += came
        took = time.perf_counter() - began
        self._connection.close()  # it is not left to a server to close it before the next round
        body = bytes(room[:size])
        assert answer.status == 200, body[:500]
        assert all(pixels in body for pixels in list(self._pixels.values())[:: SLICES // 10]), "pixels are missing"
        return took

    def metadata(self) -> float:
        """Seconds for the headers."""
        began = time.perf_counter()
        found = json.loads(self._get(f"{self._address}/metadata", "application/dicom+json"))
        took = time.perf_counter() - began
        assert len(found) == SLICES
        return took

    def frames(self) -> float:
        """Seconds for all frames, one by one."""
        began = time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            same = list(pool.map(self._frame, self._pixels))
        assert all(same)
        return time.perf_counter() - began

    def _frame(self, uid: str) -> bool:
        return self._pixels[uid] in self._get(f"{self._address}/instances/{uid}/frames/1", OCTETS)

    def _get(self, address: str, accept: str) -> bytes:
        answer = self._client.get(address, headers={"Accept": accept})
        assert answer.status_code == 200, answer.text[:500]
        return answer.content

    def close(self) -> None:
        """End the connections."""
        self._client.close()
        self._connection.close()


def measure(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds by server and question, the median of the rounds."""
    series = images(folder / "images")
    with NodeProcess(folder / "node", peers=[modality()], routes=[]) as node, Orthanc(folder / "orthanc") as orthanc:
        for port, name in ((node.port, "RADNODE"), (orthanc.port, orthanc.ae_title)):
            dcmtk.dcmsend(port, series.files, called=name)
        eventually(lambda: node.states().get("NOT_ROUTED") == SLICES, within=120, why=node.log)
        login = base64.b64encode(b"test:test").decode()
        servers = [Server("radnode", node.http_port, series, f"Bearer {node.token()}"),
                   Server("orthanc", orthanc.http_port, series, f"Basic {login}")]
        taken: dict[str, dict[str, list[float]]] = {each.name: {} for each in servers}
        for number in range(rounds):
            for server in servers if number % 2 == 0 else reversed(servers):
                for question, ask in (("series", server.whole), ("metadata", server.metadata),
                                      ("frames", server.frames)):  # fmt: skip
                    name = "metadata, first" if (question, number) == ("metadata", 0) else question
                    taken[server.name].setdefault(name, []).append(ask())
        for server in servers:
            server.close()
    return {server: {name: round(median(times), 3) for name, times in of.items()} for server, of in taken.items()}


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    enter_private_network()
    with tempfile.TemporaryDirectory(prefix="radnode-wado-", dir="/var/tmp") as folder:
        figures = measure(Path(folder), rounds)
    write_down("wado", slices=SLICES, size=SIZE, seconds=figures)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
