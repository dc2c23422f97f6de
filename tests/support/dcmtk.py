"""DCMTK's programs, an independent DICOM implementation.

Always by absolute path: pynetdicom installs programs of the same names in the virtual environment.
Always with TCP_NODELAY=1, without which every answer waits 40 ms for Nagle's algorithm.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from support.processes import Program, required

if TYPE_CHECKING:
    from collections.abc import Sequence

ENVIRONMENT = {"TCP_NODELAY": "1"}


def program(name: str) -> str:
    """Path of a DCMTK program; skips or fails the test when it is not installed."""
    return required(f"/usr/bin/{name}")


def run(
    name: str, *arguments: str | Path, within: float = 120, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a DCMTK program to its end; AssertionError with its output when it fails and `check` is on."""
    done = subprocess.run(
        [program(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=within,
        env={**os.environ, **ENVIRONMENT},
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{name} returned {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def echoscu(port: int, *, called: str, calling: str = "TESTSCU") -> subprocess.CompletedProcess[str]:
    """C-ECHO; the exit status tells the answer."""
    return run("echoscu", "-aet", calling, "-aec", called, "127.0.0.1", str(port), check=False)


def dcmsend(
    port: int,
    what: Path | Sequence[Path],
    *,
    called: str,
    calling: str = "TESTSCU",
    options: Sequence[str] = (),
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Send files or a folder as they are encoded (never decompressed), one association after the other."""
    paths = [what] if isinstance(what, Path) else list(what)
    folder = ["--scan-directories", "--recurse"] if isinstance(what, Path) and what.is_dir() else []
    return run(
        "dcmsend", "-v", "-aet", calling, "-aec", called, "--decompress-never", *folder, *options,
        "127.0.0.1", str(port), *paths, check=check,
    )  # fmt: skip


def storescu(
    port: int,
    what: Path | Sequence[Path],
    *,
    called: str,
    calling: str = "TESTSCU",
    options: Sequence[str] = (),
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Send files or a folder with the older sender, which proposes contexts in another way than dcmsend."""
    paths = [what] if isinstance(what, Path) else list(what)
    folder = ["--scan-directories", "--recurse"] if isinstance(what, Path) and what.is_dir() else []
    return run(
        "storescu",
        "-v",
        "-aet",
        calling,
        "-aec",
        called,
        *folder,
        *options,
        "127.0.0.1",
        str(port),
        *paths,
        check=check,
    )


def findscu(port: int, *, called: str, level: str, keys: Sequence[str], calling: str = "TESTSCU") -> str:
    """C-FIND in the study root model; the answers as findscu prints them."""
    options = [part for key in (f"QueryRetrieveLevel={level}", *keys) for part in ("-k", key)]
    done = run("findscu", "-v", "-S", "-aet", calling, "-aec", called, *options, "127.0.0.1", str(port))
    return done.stdout + done.stderr


def storescp(port: int, folder: Path, *, ae_title: str = "STORESCP", options: Sequence[str] = ()) -> Program:
    """A small archive that keeps every received object as a file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [program("storescp"), "-v", "-aet", ae_title, "-od", folder, *options, str(port)]
    return Program(command, folder.parent / f"{folder.name}.log", ENVIRONMENT)


def dcmodify(files: Path | Sequence[Path], *, insert: Sequence[str] = (), erase: Sequence[str] = ()) -> None:
    """Change attributes in place: `insert` as "(0010,0010)=X", `erase` as "(0010,0010)"."""
    paths = [files] if isinstance(files, Path) else list(files)
    changes = [part for text in insert for part in ("-i", text)] + [
        part for text in erase for part in ("-e", text)
    ]
    run("dcmodify", "--no-backup", *changes, *paths)


def dump2dcm(text: str, target: Path) -> Path:
    """Write a hand-made data set, also one that no library would write."""
    source = target.with_suffix(".dump")
    source.write_text(text, encoding="utf-8")
    run("dump2dcm", source, target)
    return target
