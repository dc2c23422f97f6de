"""A network compiled by torch.compile for the one shape in which its windows come; or why it runs as it is.

It is compiled when it is loaded, on windows of noise, and compared with itself as it was: what answers otherwise is not
used. Afterwards nothing is compiled again: any other batch (the last, smaller one; one of a lower rung of the ladder)
runs as it is.

What is compiled is machine code, and torch keeps it where others can be first (/tmp/torchinductor_NAME) and runs what
it finds there. Here each process has a folder of its own inside the model store, in a folder that only the node's
account may open; it reads nothing that another process left, no pickled graphs either. The folder is deleted when the
process ends or, if it was killed, by the next one.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from radnode.pipelines.models.finite import tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = ".compiled"
"""In the model store."""
_SWITCHED_OFF = "TORCHDYNAMO_DISABLE"
_SAME, _SAME_IN_HALF = 1e-3, 1e-2
"""Of the largest value of an answer; sums are made in another order."""


class NotCompiled(Exception):
    """A network stays as it is; the message says why."""


class Compiled(torch.nn.Module):
    """Stands in the place of a network. took_s: how long it was compiled. Raises NotCompiled.

    shape: of a full batch of windows (windows, channels, *sizes). half: autocast's options, None in single precision.
    """

    def __init__(
        self, network: torch.nn.Module, shape: Sequence[int], *, device: str, store: Path, half: dict[str, Any] | None
    ) -> None:
        super().__init__()
        self.network = network.eval()
        began = time.perf_counter()
        generator = torch.Generator().manual_seed(0)
        kind = torch.device(device).type
        try:
            with ExitStack() as around:
                around.enter_context(torch.inference_mode())
                noise = _alike(torch.randn(tuple(shape), generator=generator).to(device))
                if half is not None:
                    around.enter_context(torch.autocast(kind, **half))
                wanted = tensors(network.forward(noise))  # past its hooks: noise is no image
                with _compiler(own_folder(store)):
                    self._run = torch.compile(network.forward, dynamic=False)
                    found = tensors(self._run(noise))
                _compare(list(wanted), list(found), _SAME if half is None else _SAME_IN_HALF)
        except NotCompiled:
            raise
        except Exception as error:  # noqa: BLE001 - the compiler's, of which there are many kinds, or the network's on noise
            raise NotCompiled(_line(error)) from None  # its frames hold memory of the device
        self.took_s = time.perf_counter() - began
        self.eval()

    def forward(self, batch: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """What the network says; compiled for a full batch of its windows, as it is for any other."""
        with torch.compiler.set_stance("eager_on_recompile"):
            return self._run(_alike(batch), *args, **kwargs)


def _alike(batch: torch.Tensor) -> torch.Tensor:
    """In the one kind, order and state in which compiled code takes it; any other would be compiled anew."""
    plain = batch.as_subclass(torch.Tensor)
    if plain.is_inference() and plain.is_contiguous():
        return plain
    return plain.clone(memory_format=torch.contiguous_format)


def switch_off() -> None:
    """From now on torch.compile gives back what it was given, whoever calls it but for this module."""
    os.environ[_SWITCHED_OFF] = "1"


@cache
def own_folder(store: Path) -> Path:
    """The folder of this process, which nobody else may open; what ended processes left is deleted. Raises NotCompiled.
    """
    parent = store / FOLDER
    try:
        parent.mkdir(mode=0o700, exist_ok=True)
        seen = parent.lstat()
        if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o077:
            raise NotCompiled(f"{parent} is not a folder that only this account may open; delete it")
        with _locked(parent):
            for each in parent.iterdir():
                with _locked(each, wait=False) as ended:
                    if ended:
                        shutil.rmtree(each, ignore_errors=True)
            found = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent)).absolute()
            fcntl.flock(os.open(found, os.O_RDONLY), fcntl.LOCK_EX)  # as long as this process lives
    except OSError as error:
        raise NotCompiled(f"{parent}: {error.strerror or type(error).__name__}") from error
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    return found


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Within, no other process has it; False where one has and is not waited for."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


@contextmanager
def _compiler(folder: Path) -> Iterator[None]:
    """Within, torch compiles, in this process and into that folder alone, and reads no caches."""
    said = {"TORCHINDUCTOR_CACHE_DIR": str(folder), "TRITON_CACHE_DIR": str(folder / "triton"), "TMPDIR": str(folder)}
    before = {name: os.environ.get(name) for name in (_SWITCHED_OFF, *said)}, tempfile.tempdir
    inductor: Any = import_module("torch._inductor.config")
    functorch: Any = import_module("torch._functorch.config")
    # Precompiled headers lie in the folder for temporary files, whatever the first of these says.
    alone = {"fx_graph_cache": False, "fx_graph_remote_cache": False, "compile_threads": 1,
             "cpp_cache_precompile_headers": False}
    try:
        os.environ.pop(_SWITCHED_OFF, None)
        os.environ.update(said)
        tempfile.tempdir = str(folder)
        with inductor.patch(alone), functorch.patch(enable_autograd_cache=False):
            yield
    finally:
        variables, tempfile.tempdir = before
        for name, value in variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _compare(wanted: list[torch.Tensor], found: list[torch.Tensor], tolerance: float) -> None:
    """Raises NotCompiled for an answer that is not the network's own."""
    if [each.shape for each in wanted] != [each.shape for each in found]:
        raise NotCompiled("compiled, it answers with other shapes")
    for ours, theirs in zip(wanted, found, strict=True):
        apart, largest = float((ours.float() - theirs.float()).abs().max()), float(ours.float().abs().max())
        if not apart <= tolerance * largest:  # nor is NaN
            raise NotCompiled(f"compiled, it answers otherwise: {apart:.2g} apart where its largest value is "
                              f"{largest:.2g}")


def _line(error: BaseException) -> str:
    """The first cause in one line; compilers say more below, of files and of switches."""
    while (cause := getattr(error, "inner_exception", None) or error.__cause__) is not None:
        error = cause
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {' '.join(lines[0].split())[:200]}"
