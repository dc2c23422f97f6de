"""PixelMed's validators, kept awake in one Java machine: their stylesheets load in seconds, a file takes one."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support.processes import required

if TYPE_CHECKING:
    from collections.abc import Iterator

JAR = Path("/usr/share/java/pixelmed.jar")
REPORT, OBJECT = "SR", "IOD"
"""Which validator: of report templates, or of the few information objects that it knows."""

# The stylesheets exceed the limits of newer JDKs.
_LIMITS = [f"-Djdk.xml.xpath{each}Limit=0" for each in ("TotalOp", "ExprOp", "ExprGrp")]
_awake: list[_Machine] = []


class _Machine:
    def __init__(self, classes: Path) -> None:
        java, compiler = required("java"), required("javac")
        subprocess.run(
            [compiler, "-cp", required(str(JAR)), "-d", classes, Path(__file__).with_name("PixelMed.java")], check=True
        )
        self._process = subprocess.Popen(
            [java, *_LIMITS, "-cp", f"{classes}:{JAR}", "PixelMed"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
        )

    def ask(self, question: str) -> list[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            if line.strip() == f"-- {question}":
                return said
            if line.strip():
                said.append(line.strip())
        raise AssertionError(f"PixelMed ended at {question}: {said}")

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def kept_awake() -> Iterator[None]:
    """One machine for all questions inside; nothing where Java or PixelMed is missing, which each question tells."""
    if not JAR.is_file():
        yield
        return
    with tempfile.TemporaryDirectory() as classes:
        machine = _Machine(Path(classes))
        _awake.append(machine)
        try:
            yield
        finally:
            _awake.remove(machine)
            machine.close()


def said(validator: str, path: Path) -> list[str]:
    """Every line that one of the two validators says about a file."""
    if _awake:
        return _awake[-1].ask(f"{validator} {path.resolve()}")
    required(str(JAR))
    with kept_awake():
        return said(validator, path)
