"""The tutorial's commands, run in their order in one shell, as a reader types them."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from support import dcmtk
from support.sources import REPOSITORY

pytestmark = [pytest.mark.peer, pytest.mark.slow]

PAGE = REPOSITORY / "docs" / "tutorial-own-model.md"


def script() -> str:
    """What a reader does: the commands, and the files where the page shows them."""
    lines = ["set -eu", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for language, body in blocks:
        if language == "yaml":
            name = body.partition("\n")[0].removeprefix("# ")
            lines.append(f"printf %s {shlex.quote(body)} > {shlex.quote(name)}")
        else:
            assert language == "sh", f"a block of {language} is neither run nor written"
            lines.append(body)
    return "\n".join(lines)


def test_the_tutorial_leads_from_a_folder_to_a_finding(tmp_path: Path) -> None:
    (tmp_path / "pipelines").symlink_to(REPOSITORY / "pipelines")
    folders = (Path(sys.executable).parent, Path(dcmtk.program("storescp")).parent)
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    with subprocess.Popen(
        ["bash", "-c", script()], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **dcmtk.ENVIRONMENT, "PATH": path, "COLUMNS": "200"}, start_new_session=True,
    ) as reader:
        try:
            said, _ = reader.communicate(timeout=300)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(reader.pid, signal.SIGKILL)
    assert reader.returncode == 0, said
    assert "useless on patients" in said
    received = {str(each.Modality): each for each in map(pydicom.dcmread, (tmp_path / "received").iterdir())}
    assert set(received) == {"SEG", "SR"}
    segmentation = received["SEG"]
    assert segmentation.ContentQualification == "RESEARCH"
    assert {str(each.SegmentLabel) for each in segmentation.SegmentSequence} == {"right lung", "left lung"}
    assert (tmp_path / "tried" / "SEG-1.png").is_file()
