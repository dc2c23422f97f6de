"""The main job, shown: a PACS forwards a chest CT, the node answers with SEG and Structured Report."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from rich.live import Live

from radnode.config.loading import load
from radnode.config.peers import Peer
from radnode.node.demo import report
from radnode.node.demo.stand_in_pacs import StandInPacs
from radnode.node.observability import configure_logging
from radnode.node.security import roster
from radnode.node.sending import dicom_files, forward
from radnode.node.service import Node
from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series

if TYPE_CHECKING:
    from rich.console import Console

    from radnode.pipelines.ct_lung.phantom import Phantom

PACS_AE = "DEMOPACS"
LONGEST_WAIT_S = 600.0

CONFIGURATION = """
node:
  ae_title: RADNODE
  host: 127.0.0.1
  dicom_port: 0
  http_port: 0
  data: {data}
  disk_reserve: 200 MB
  quiet_time_s: 5
peers:
  {ae}:
    ae_title: {ae}
    host: 127.0.0.1
    port: {port}
    sends: true
    receives: true
    answers_find: true
routes:
  - name: chest-ct
    when:
      modality: CT
      slice_thickness: {{at_most: 5.0}}
      image_type: {{contains: ORIGINAL}}
    run: [ct-lung]
    send: [{ae}]
"""


@dataclass(slots=True)
class Shown:
    """What the demonstration has seen so far. Seconds are since the first image was sent."""

    study_instance_uid: str
    sent: int = 0
    refused: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    study: dict[str, Any] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)


def run_demo(
    *, dicom: Path | None, output: Path, json_file: Path | None, stay: bool, console: Console
) -> bool:
    """Run the demonstration; True when every result object was delivered and confirmed.

    dicom: a folder with a study to use instead of the phantom. stay: keep the node up at the end.
    """
    configure_logging(as_json=False, level="WARNING")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="radnode-demo-") as name:
        folder = Path(name)
        phantom, files = _study(dicom, folder / "images", console)
        if not files:
            console.print(f"no DICOM file below {dicom}", style="red")
            return False
        results = output / "results"
        shutil.rmtree(results, ignore_errors=True)
        pacs = StandInPacs(ae_title=PACS_AE, folder=results)
        written = folder / "radnode.yaml"
        written.write_text(CONFIGURATION.format(data=folder / "node", ae=PACS_AE, port=pacs.port), encoding="utf-8")
        node = Node(load(written))
        node.start()
        try:
            shown = _drive(node, pacs, files, console)
            summary = report.summarise(shown, pacs.files(), files, phantom, output)
            console.print(report.table(shown, summary))
            _tell_where(console, output, json_file, summary)
            if stay:
                _stay(node, console)
            else:
                console.print("\nThe same with its page in a browser: `make page`, or `radnode demo` without --exit.",
                              highlight=False, soft_wrap=True)
        finally:
            node.stop()
            pacs.stop()
    return bool(summary["good"])


def _study(dicom: Path | None, folder: Path, console: Console) -> tuple[Phantom | None, list[Path]]:
    if dicom is not None:
        return None, dicom_files(dicom)[0]
    with console.status("making a chest CT phantom"):
        phantom = chest_phantom(slices=120, size=256, seed=7)
        return phantom, write_series(phantom, folder)


def _drive(node: Node, pacs: StandInPacs, files: list[Path], console: Console) -> Shown:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    pacs.knows(headers)
    shown = Shown(study_instance_uid=str(headers[0].StudyInstanceUID))
    target = Peer(name="node", ae_title="RADNODE", host="127.0.0.1", port=node.dicom_port, receives=True)
    begin = time.monotonic()
    with Live(report.progress(shown, len(files)), console=console, refresh_per_second=8) as live:
        for _path, status in forward(files, target, PACS_AE):
            shown.sent += status == 0
            shown.refused += status != 0
            live.update(report.progress(shown, len(files)))
        shown.seconds["sent and acknowledged"] = time.monotonic() - begin
        while time.monotonic() - begin < LONGEST_WAIT_S:
            shown.study = node.answers.study(shown.study_instance_uid) or {}
            shown.stages = node.answers.status()["running"]
            live.update(report.progress(shown, len(files)))
            if report.is_finished(shown.study):
                break
            time.sleep(0.1)
    shown.seconds["results confirmed"] = time.monotonic() - begin
    return shown


def _tell_where(console: Console, output: Path, json_file: Path | None, summary: dict[str, Any]) -> None:
    if json_file is not None:
        json_file.write_text(json.dumps(summary, indent=2, ensure_ascii=False), encoding="utf-8")
    console.print(f"\nresult objects  {(output / 'results').resolve()}", highlight=False, soft_wrap=True)
    for picture in summary["pictures"]:
        console.print(f"picture         {picture}", highlight=False, soft_wrap=True)


def _stay(node: Node, console: Console) -> None:
    base, now = f"http://127.0.0.1:{node.http_port}", datetime.now(UTC)
    with node.database.begin() as session:
        link = roster.link(session, roster.FIRST, now)
        token = roster.add_token(session, "demo", "operator", now, days=1)
    console.print(
        f"\nThe node stays up. Its page; set a password for {roster.FIRST} there (good for an hour):\n"
        f"  {base}/link/{link}\n"
        f"Send to it: AE title RADNODE, 127.0.0.1:{node.dicom_port}, calling AE {PACS_AE}, e.g.\n"
        f"  TCP_NODELAY=1 dcmsend -aet {PACS_AE} -aec RADNODE --scan-directories 127.0.0.1 {node.dicom_port} FOLDER\n"
        f"Status: curl -H 'Authorization: Bearer {token}' {base}/api/status\n"
        "End it with Ctrl-C.",
        highlight=False, soft_wrap=True, markup=False,
    )
    try:
        while True:
            time.sleep(1.0)
    except KeyboardInterrupt:
        console.print("stopping")
