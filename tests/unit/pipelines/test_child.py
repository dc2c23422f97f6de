"""What a node starts ends with it, however early the node is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from support.processes import alive
from support.waiting import eventually

from radnode.pipelines import child

if TYPE_CHECKING:
    from pathlib import Path

STARTS_IT = "import subprocess; from radnode.pipelines import child; subprocess.Popen(child.command('loading')).wait()"


def test_a_process_that_still_loads_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    (tmp_path / "loading.py").write_text(
        f"import os, signal\nopen({str(said) + '.part'!r}, 'w').write(str(os.getpid()))\n"
        f"os.rename({str(said) + '.part'!r}, {str(said)!r})\nsignal.pause()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", STARTS_IT], env={**os.environ, "PYTHONPATH": str(tmp_path)})
    eventually(said.exists, within=60)
    pid = int(said.read_text())
    assert alive(pid)
    parent.kill()
    parent.wait()
    eventually(lambda: not alive(pid), within=60)


def test_a_process_whose_starter_has_ended_before_it_was_bound_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "loading.py").write_text("print('loaded')\n")
    _, *arguments = child.command("loading")
    arguments[2] = "1"
    done = subprocess.run([sys.executable, *arguments], env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True,
                          capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has ended" in done.stderr


def test_the_module_finds_itself_the_main_one_with_its_own_arguments(tmp_path: Path) -> None:
    says = "import sys\nprint(__name__, sys.argv[1:], sys.modules[__name__].__spec__.name)\n"
    (tmp_path / "loading.py").write_text(says)
    done = subprocess.run(child.command("loading", "a", "-b"), env={**os.environ, "PYTHONPATH": str(tmp_path)},
                          text=True, capture_output=True, check=True)
    assert done.stdout == "__main__ ['a', '-b'] loading\n"
