"""How long the lung pipeline takes on a full chest, how much memory it needs and how well it agrees.

`make bench` prints the numbers and writes bench-results/ct-lung.json. The limits are generous: machines
differ.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.sources import REPOSITORY

pytestmark = pytest.mark.slow

_PROGRAM = """
import json, resource, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, "tests")
from support.phantoms import dice, manifest
from radnode.pipelines.contract import RunContext
from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series
from radnode.pipelines.ct_lung.pipeline import CtLung
from radnode.pipelines.sources.select import read_instances, select_stack
from radnode.pipelines.sources.volume import read_images

seconds = {}
def timed(name, work):
    began = time.perf_counter()
    result = work()
    seconds[name] = round(time.perf_counter() - began, 2)
    return result

with tempfile.TemporaryDirectory() as folder:
    phantom = timed("phantom", lambda: chest_phantom(slices=300, size=512))
    files = timed("write", lambda: write_series(phantom, Path(folder), transfer_syntax=sys.argv[1]))
    truth = phantom.left_mask, phantom.right_mask
    del phantom
    selection = timed("select", lambda: select_stack(read_instances(files), manifest()))
    images = timed("decode", lambda: read_images(selection, "CT"))
context = RunContext(device="cpu", stage=lambda _stage: None)
findings = timed("infer", lambda: CtLung().run(images, context))
masks = {each.key: each.mask for each in findings.segments}
print(json.dumps({
    "seconds": seconds,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "dice": {"left": round(dice(masks["left-lung"], truth[0]), 4),
             "right": round(dice(masks["right-lung"], truth[1]), 4)},
}))
"""


@pytest.mark.parametrize(
    ("name", "syntax"), [("uncompressed", "1.2.840.10008.1.2.1"), ("JPEG 2000", "1.2.840.10008.1.2.4.90")]
)
def test_300_slices_of_512_by_512(name: str, syntax: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, syntax],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    measured = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{name}: {json.dumps(measured)}")
    results = REPOSITORY / "bench-results"
    results.mkdir(exist_ok=True)
    path = results / "ct-lung.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**kept, name: measured}, indent=1))
    assert measured["seconds"]["infer"] < 60
    assert measured["peak_mib"] < 4096
    assert min(measured["dice"].values()) > 0.97
