"""The lock for machines without a GPU: the same packages and hashes, but torch for processors and nothing of CUDA.

    python deploy/lock_cpu.py deploy/requirements.lock torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl

The wheel's version must be the locked one; its hash is taken from the file that is given. Prints the lock.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

OF_CUDA = re.compile(r"^(nvidia-|cuda-|triton==)")


def entries(text: str) -> list[str]:
    """Each requirement of a lock with its hashes and remarks, as written."""
    return re.findall(r"^[a-z0-9][^\n]*(?:\n[ ]+[^\n]*)*\n", text, flags=re.MULTILINE)


def for_processors(lock: str, wheel: str, digest: str) -> str:
    """The lock without CUDA. wheel: its file name; digest: SHA-256 of it. Raises ValueError for another version."""
    version = wheel.split("-")[1]
    kept = [entry for entry in entries(lock) if not OF_CUDA.match(entry)]
    [torch] = [entry for entry in kept if entry.startswith("torch==")]
    if not version.startswith(locked := torch.split("==")[1].split()[0]):
        raise ValueError(f"{wheel}: the lock has torch {locked}")
    head = "# This file was made by deploy/lock_cpu.py from deploy/requirements.lock.\n"
    with_wheel = f"torch=={version} \\\n    --hash=sha256:{digest}\n"
    return head + "".join(with_wheel if entry is torch else entry for entry in kept)


def main() -> None:
    """Print the lock."""
    lock, wheel = map(Path, sys.argv[1:])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    sys.stdout.write(for_processors(lock.read_text(encoding="utf-8"), wheel.name, digest))


if __name__ == "__main__":
    main()
