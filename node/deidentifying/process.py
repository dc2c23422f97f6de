"""The process that takes objects apart: `python -m radnode.node.deidentifying.process`, a JSON line in, one out.

Like that of the headers it has little memory and time and may be killed at any time: whatever is in a file ends one
answer, not the node. The secret comes with the order, by a pipe.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pydicom

from radnode.node.deidentifying.holding import Held
from radnode.node.deidentifying.inward import WayBack, inward, named_in
from radnode.node.deidentifying.outward import outward
from radnode.node.deidentifying.profile import Profile
from radnode.node.deidentifying.pseudonyms import Pseudonyms

MOST_MEMORY_BYTES = 8 << 30


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """What is asked: `out` and `back` write the file `target`, `look` says what a file names."""
    path = Path(order["path"])
    if order["do"] == "look":
        return {key: sorted(value) if isinstance(value, frozenset) else value
                for key, value in asdict(named_in(path)).items()}
    said: dict[str, Any] = {}
    if order["do"] == "out":
        profile = Profile(**{key: frozenset(order[key]) for key in ("retain", "clean", "words")})
        content, record = outward(path, profile, Pseudonyms(order["secret"], order["domain"]), order["masks"])
        said["record"] = asdict(record)
    else:
        content = inward(path, WayBack(**order["way"]))
    target = Path(order["target"])
    target.write_bytes(content)
    meta = pydicom.filereader.read_file_meta_info(target)
    return {
        **said, "digest": hashlib.sha256(content).hexdigest(), "sop_class_uid": str(meta.MediaStorageSOPClassUID),
        "sop_instance_uid": str(meta.MediaStorageSOPInstanceUID), "transfer_syntax_uid": str(meta.TransferSyntaxUID),
    }


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE


def main() -> None:
    """Answer until standard input ends."""
    _confine()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            said = answer(order)
        except Held as held:
            said = {"held": str(held)}
        except Exception as error:  # noqa: BLE001 - whatever a broken file does to the parser is its answer
            said = {"held": f"it cannot be cleaned: {type(error).__name__}"}
        sys.stdout.write(json.dumps({"id": order["id"], **said}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
