"""Decoded images from one process to another: arrays in memory without a name, what surrounds them as JSON.

Nothing that crosses can become code: what is made on the other side are the dataclasses of
:mod:`radnode.pipelines.contract` and :mod:`radnode.pipelines.geometry`, arrays of numbers, texts.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from radnode.pipelines import contract, geometry

_ALIGNED = 64
_KINDS = {
    name: each for module in (contract, geometry) for name, each in vars(module).items()
    if isinstance(each, type) and is_dataclass(each)
}


def store(value: Any) -> tuple[int, Any]:
    """The descriptor of a memory that holds all arrays of the value (memfd_create(2)), and the rest for JSON."""
    descriptor = os.memfd_create("radnode-images")
    try:
        return descriptor, _said(value, descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def load(descriptor: int, said: Any) -> Any:
    """The inverse of :func:`store`; lists come as tuples, arrays stay where they are. The descriptor may be closed."""
    size = os.fstat(descriptor).st_size
    return _made(said, memoryview(mmap.mmap(descriptor, size)) if size else memoryview(b""))


def _said(value: Any, descriptor: int) -> Any:
    if is_dataclass(value):
        return {"kind": type(value).__name__,
                "with": {each.name: _said(getattr(value, each.name), descriptor) for each in fields(value)}}
    if isinstance(value, np.ndarray):
        at = os.lseek(descriptor, 0, os.SEEK_END)
        _write(descriptor, np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        _write(descriptor, memoryview(bytes(-value.nbytes % _ALIGNED)))
        return {"array": at, "type": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, Mapping):
        return {"map": [[_said(key, descriptor), _said(each, descriptor)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        return [_said(each, descriptor) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _made(said: Any, memory: memoryview) -> Any:
    if isinstance(said, list):
        return tuple(_made(each, memory) for each in said)
    if not isinstance(said, dict):
        return said
    if "map" in said:
        return {_made(key, memory): _made(each, memory) for key, each in said["map"]}
    if "array" in said:
        shape, kind = said["shape"], np.dtype(said["type"])
        return np.frombuffer(memory, kind, int(np.prod(shape)), said["array"]).reshape(shape)
    return _KINDS[said["kind"]](**{name: _made(each, memory) for name, each in said["with"].items()})


def _write(descriptor: int, part: memoryview) -> None:
    while part.nbytes:
        part = part[os.write(descriptor, part):]
