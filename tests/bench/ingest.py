"""How fast and how large the receiver is, beside three others on the same disk in the same run.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/ingest.py --out bench-results/

radnode            the receiver as it is: file and row durable before each answer
polling            the same storing behind pynetdicom's own association and reactor loops
decode + save_as   the storage handler of pynetdicom's documentation: nothing is flushed
Orthanc            the PACS: file flushed, index committed

Each receiver is a fresh process with an empty folder in every round; dcmsend sends the same 0.5 MB images to each.
None pays for the one before it: the disk is flushed before each begins, and what was received is deleted at the end.
Large objects go to radnode alone: one after the other over one association, and ten at once for its memory.
Writes ingest.json, ingest-large.json and ingest.png. Figures of one run can be compared with each other, not with
those of another day.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import matplotlib as mpl  # noqa: E402
from support import dcmtk  # noqa: E402
from support.chest import write_chest  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.network import enter_private_network, free_port, listening  # noqa: E402
from support.orthanc import Orthanc  # noqa: E402
from support.receiver import AE_TITLE, Peer, Receiver, command, data_set, p_data, pdv  # noqa: E402
from support.waiting import eventually  # noqa: E402

from radnode.node.intake.storing import Origin  # noqa: E402
from radnode.node.observability import configure_logging  # noqa: E402

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pynetdicom import evt

RECEIVERS = ("radnode", "polling", "decode + save_as", "Orthanc")
LARGE = 512 * 1024 * 1024
LARGE_AT_ONCE = 10
# Bytes of an object -> how many one association carries.
VOLUMES = {27_000_000: 16, LARGE: 1}
PIECE = bytes(65_000)
PIECES_AT_ONCE = 16


def main() -> None:
    """Measure and write, or be one of the measured receivers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--images", type=int, default=300, help="images for each association")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", choices=RECEIVERS[:3], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.folder, arguments.port)
        return
    enter_private_network()
    with tempfile.TemporaryDirectory(prefix="radnode-bench-", dir="/var/tmp") as folder:
        result = measure(Path(folder), arguments.images, arguments.rounds)
        large = measure_volumes(Path(folder), arguments.rounds)
    write_down("ingest", **result)
    write_down("ingest-large", **large)
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(result, arguments.out / "ingest.png")
    print(json.dumps({**result, "volumes": large}, indent=2))


def measure(folder: Path, images: int, rounds: int) -> dict[str, Any]:
    """All rates and the memory of the receiver under large objects."""
    sources = [folder / f"source-{number}" for number in range(4)]
    for source in sources:
        write_chest(source, name=source.name, slices=images, size=512)
    rates: dict[str, dict[str, list[float]]] = {"1": {}, "4": {}}
    for turn in range(rounds):
        for name in RECEIVERS:
            for associations in (1, 4):
                received = folder / f"{turn}-{associations}-{RECEIVERS.index(name)}"
                rate = send_images(name, received, sources[:associations], images)
                rates[str(associations)].setdefault(name, []).append(rate)
                print(f"round {turn + 1}, {associations} association(s), {name}: {rate:.0f} images/s", flush=True)
    return {
        "images_per_association": images,
        "image_bytes": next(sources[0].iterdir()).stat().st_size,
        "images_per_second": {
            associations: {name: round(statistics.median(values), 1) for name, values in measured.items()}
            for associations, measured in rates.items()
        },
        "all_rounds": rates,
        "large_objects": send_large(folder / "large"),
    }


def measure_volumes(folder: Path, rounds: int) -> dict[str, Any]:
    """Megabytes per second of large objects, each kind to a fresh receiver in every round."""
    rates: dict[str, list[float]] = {}
    for turn in range(rounds):
        for size, number in VOLUMES.items():
            received = folder / f"volume-{turn}-{size}"
            rate = send_volumes(received, size, number)
            name = f"{size / 1e6:.0f} MB" if size != LARGE else "512 MB"
            rates.setdefault(name, []).append(rate)
            print(f"round {turn + 1}, objects of {name}: {rate:.0f} MB/s", flush=True)
            shutil.rmtree(received)
    return {"mb_per_second": {name: round(statistics.median(each), 1) for name, each in rates.items()},
            "all_rounds": rates}  # fmt: skip


def send_volumes(folder: Path, size: int, number: int) -> float:
    """Megabytes per second over one association."""
    folder.mkdir()
    os.sync()
    with ReceiverProcess("radnode", folder) as receiver, Peer(receiver.port) as peer:
        peer.socket.settimeout(300)
        assert peer.associate() == 2
        began = time.perf_counter()
        for each in range(number):
            assert stream(peer, f"1.2.4.{each + 1}", size) == 0
        return number * size / 1e6 / (time.perf_counter() - began)


def send_images(name: str, folder: Path, sources: Sequence[Path], images: int) -> float:
    """Images per second that a fresh receiver takes from one dcmsend a source."""
    folder.mkdir()
    os.sync()
    with ReceiverProcess(name, folder) as receiver, ThreadPoolExecutor(len(sources)) as senders:
        began = time.perf_counter()
        for sent in [
            senders.submit(dcmtk.dcmsend, receiver.port, source, called=receiver.ae_title, options=["-pdu", "131072"])
            for source in sources
        ]:
            sent.result()
        seconds = time.perf_counter() - began
    return len(sources) * images / seconds


def send_large(folder: Path) -> dict[str, float]:
    """Peak memory of the receiver, and its rate, while ten objects of 512 MB arrive at once."""
    folder.mkdir()
    os.sync()
    with ReceiverProcess("radnode", folder) as receiver:
        idle = receiver.memory_mib("VmRSS")
        began = time.perf_counter()
        with ThreadPoolExecutor(LARGE_AT_ONCE) as senders:
            statuses = list(senders.map(lambda number: send_one_large(receiver.port, number), range(LARGE_AT_ONCE)))
        seconds = time.perf_counter() - began
        assert set(statuses) == {0}, statuses
        peak = receiver.memory_mib("VmHWM")
    return {
        "objects": LARGE_AT_ONCE,
        "object_bytes": LARGE,
        "idle_mib": round(idle, 1),
        "peak_mib": round(peak, 1),
        "mb_per_second": round(LARGE_AT_ONCE * LARGE / 1e6 / seconds, 1),
    }


def send_one_large(port: int, number: int) -> int:
    """Over an association of its own; the status."""
    with Peer(port) as peer:
        peer.socket.settimeout(300)
        assert peer.associate() == 2
        return stream(peer, f"1.2.3.{number}", LARGE)


def stream(peer: Peer, instance: str, size: int) -> int:
    """Send an object with so many bytes of zeros without holding it; the status."""
    start = data_set(instance=instance.encode() + b"\0" * (len(instance) % 2), pixels=0)
    start = start[:-4] + size.to_bytes(4, "little")
    peer.send(p_data(pdv(1, 3, command(1, "1.2.840.10008.5.1.4.1.1.2", instance, has_data_set=True))))
    peer.send(p_data(pdv(1, 0, start)))
    piece = p_data(pdv(1, 0, PIECE))
    many = piece * PIECES_AT_ONCE
    whole, rest = divmod(size, len(PIECE))
    for _ in range(whole // PIECES_AT_ONCE):
        peer.send(many)
    peer.send(piece * (whole % PIECES_AT_ONCE) + p_data(pdv(1, 2, bytes(rest))))
    return peer.status()


class ReceiverProcess:
    """One of the receivers on a free port."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._orthanc: Orthanc | None = None
        self.ae_title = AE_TITLE
        self.port = free_port()

    def __enter__(self) -> ReceiverProcess:
        if self._name == "Orthanc":
            self._orthanc = Orthanc(self._folder / "orthanc")
            self._orthanc.start()
            self.port, self.ae_title = self._orthanc.port, self._orthanc.ae_title
            return self
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--serve", self._name, "--folder", str(self._folder), "--port",
                 str(self.port)], stdout=log, stderr=log,
            )  # fmt: skip
        eventually(lambda: listening(self.port), why=self._name)
        return self

    def __exit__(self, *_: object) -> None:
        if self._orthanc is not None:
            self._orthanc.stop()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def memory_mib(self, field: str) -> float:
        """VmRSS: memory now, VmHWM: the most ever."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0]) / 1024


def serve(name: str, folder: Path, port: int) -> None:
    """Be a receiver until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    configure_logging(as_json=True)
    if name == "decode + save_as":
        _serve_with_pynetdicom(port, _Documented(folder), ended)
        return
    options = {"port": 0 if name == "polling" else port, "largest_object": 4 * 1024**3}
    with Receiver(folder, **options) as receiver:
        if name == "polling":
            _serve_with_pynetdicom(port, _Durable(receiver), ended)
        ended.wait()


class _Documented:
    """https://pydicom.github.io/pynetdicom/stable/examples/storage.html"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        dataset.save_as(self._folder / dataset.SOPInstanceUID, enforce_file_format=True)
        return 0x0000


class _Durable:
    """The product's storing, called from pynetdicom's association thread."""

    def __init__(self, receiver: Receiver) -> None:
        self._storage = receiver.storage

    def __call__(self, event: evt.Event) -> int:
        from radnode.node.intake.commands import Command  # noqa: PLC0415 - the measured receivers do without
        from radnode.node.intake.negotiation import Context  # noqa: PLC0415

        request = event.request
        incoming = self._storage.begin(
            Command(
                field=1, message_id=request.MessageID, has_data_set=True,
                sop_class_uid=request.AffectedSOPClassUID.encode(),
                sop_instance_uid=request.AffectedSOPInstanceUID.encode(),
            ),
            Context(
                context_id=event.context.context_id, abstract_syntax=event.context.abstract_syntax,
                transfer_syntax=event.context.transfer_syntax,
            ),
            Origin(association=str(id(event.assoc)), source="BENCH"),
        )  # fmt: skip
        incoming.write(memoryview(request.DataSet.getvalue()))
        return incoming.finish().code


def _serve_with_pynetdicom(port: int, store: Any, ended: threading.Event) -> None:
    import socket  # noqa: PLC0415

    from pynetdicom import AE, AllStoragePresentationContexts, evt  # noqa: PLC0415

    def answer_at_once(event: evt.Event) -> None:
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    ae = AE(ae_title=AE_TITLE)
    ae.supported_contexts = AllStoragePresentationContexts
    ae.maximum_pdu_size = 131_072
    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_CONN_OPEN, answer_at_once)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    ended.wait()
    server.shutdown()


def draw(result: dict[str, Any], path: Path) -> None:
    """Bars for one and four associations."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    for axis, (associations, rates) in zip(axes, result["images_per_second"].items(), strict=True):
        colours = ["#1b6ca8" if name == "radnode" else "#b8c4ce" for name in rates]
        bars = axis.barh(list(rates), list(rates.values()), color=colours)
        axis.bar_label(bars, fmt="%.0f", padding=3)
        axis.set_title(f"{associations} association{'s' if associations != '1' else ''}", fontsize=10)
        axis.set_xlabel("images of 0.5 MB a second")
        axis.margins(x=0.15)
        axis.invert_yaxis()
    axes[0].invert_yaxis()
    large = result["large_objects"]
    figure.suptitle(
        f"Intake; with {large['objects']} objects of 512 MB at once radnode takes {large['mb_per_second']:.0f} MB/s "
        f"and at most {large['peak_mib']:.0f} MiB of memory", fontsize=10,
    )  # fmt: skip
    figure.tight_layout()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
