"""The process that opens images for DICOMweb: `python -m radnode.node.dicomweb_out.image_process`.

One JSON line in; out one JSON line, then as many bytes as its `sizes` say. It has little memory and time and no
network, and may be killed at any time. It ends with its standard input, hence with the node; a signal at the death of
the parent would come when the thread that started it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom

from radnode.node.dicomweb_out import dicom_json, frames
from radnode.node.header_process import read_attributes
from radnode.node.pictures import looking
from radnode.pipelines.contract import IncompleteInput, NotProcessed
from radnode.pipelines.isolation import LARGEST_FILE, close_network, limit_files

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_MEMORY_BYTES = 3 << 30
MOST_TIME_S = 20.0
"""Of computing, for one answer; an ordinary one takes milliseconds."""


class _TooLong(Exception):
    """The answer takes more processor time than one may."""


def answer(order: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """What is asked of one file, and the bytes that go with it. Raises whatever a broken file makes a reader raise."""
    path = Path(order["path"])
    match order["ask"]:
        case "attributes":
            return {"attributes": read_attributes(str(path))}, []
        case "metadata":
            document, layout = dicom_json.header_of(path)
            return {"layout": asdict(layout) if layout else None}, [document.encode("utf-8")]
        case "frames":
            pixels = frames.Pixels(path)
            take = pixels.stored if order["stored"] else pixels.native
            return {}, [take(number) for number in order["numbers"]]
        case "picture":
            return {}, [frames.picture(
                path, order["frame"], window=order["window"], size=order["size"], kind=order["kind"],
                quality=order["quality"],
            )]
        case "value":
            return {}, [dicom_json.value_at(pydicom.dcmread(path), order["at"])]
        case "rewrite":
            frames.rewrite(path, Path(order["target"]))
            return {}, []
    if (seen := looking.answer(path, order)) is not None:
        return seen
    raise ValueError("nothing that can be asked")


def _safely(order: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    try:
        with _limited_time():
            return answer(order)
    except MemoryError:
        return {"error": "the image needs more memory than one may"}, []
    except _TooLong:
        return {"error": f"the image takes more than {MOST_TIME_S:g} s to read"}, []
    except LookupError:
        return {"missing": "the instance has no such value"}, []
    except (frames.NoPicture, IncompleteInput, NotProcessed) as refused:
        return {"refused": str(refused)}, []
    except Exception as error:  # noqa: BLE001 - whatever a broken file does to the parser is its answer
        return {"error": f"the image cannot be read: {type(error).__name__}"}, []


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, MOST_TIME_S, MOST_TIME_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _give_up(_signal: int, _frame: object) -> None:
    raise _TooLong


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_files(LARGEST_FILE)
    close_network()
    signal.signal(signal.SIGPROF, _give_up)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def main() -> None:
    """Answer until standard input ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a codec prints is no answer
    _confine()
    for line in sys.stdin:
        order = json.loads(line)
        said, blobs = _safely(order)
        said |= {"id": order["id"], "sizes": [len(blob) for blob in blobs]}
        out.write(json.dumps(said).encode("ascii") + b"\n")
        for blob in blobs:
            out.write(blob)
        out.flush()


if __name__ == "__main__":
    main()
