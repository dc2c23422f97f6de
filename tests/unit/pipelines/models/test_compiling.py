"""A network that is compiled: where its code lies, when it is used, and what is not compiled."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support import bundles
from support.volumes import placed
from torch._inductor.exc import InvalidCxxCompiler

from radnode.pipelines import registry
from radnode.pipelines.contract import StudyImages
from radnode.pipelines.inferring import infer
from radnode.pipelines.models import compiling, description, store
from radnode.pipelines.models.compiling import Compiled, NotCompiled, own_folder
from radnode.pipelines.progress import Progress
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SHAPE = (2, 1, 6, 6, 6)


class Smooth(torch.nn.Module):
    """A convolution and something that is not linear. shown: the batches that Python saw."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 2, 3, padding=1)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.dropout(self.conv(batch)))


@pytest.fixture(autouse=True)
def switched_off_as_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("TORCHDYNAMO_DISABLE", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "")
    compiling.switch_off()
    own_folder.cache_clear()
    yield
    torch.compiler.reset()
    own_folder.cache_clear()


def by(monkeypatch: pytest.MonkeyPatch, backend: Callable[..., Any]) -> list[tuple[int, ...]]:
    """torch.compile with another backend; returns the batches that compiled code is shown."""
    shown: list[tuple[int, ...]] = []

    def counting(graph: torch.fx.GraphModule, example: list[torch.Tensor]) -> Callable[..., Any]:
        made = backend(graph, example)

        def run(*arguments: torch.Tensor) -> Any:
            shown.extend(tuple(each.shape) for each in arguments if not isinstance(each, torch.nn.Parameter))
            return made(*arguments)
        return run

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda what, **options: compile_(what, backend=counting, **options))
    return shown


def made(store: Path, network: torch.nn.Module | None = None) -> Compiled:
    return Compiled(network or Smooth(), SHAPE, device="cpu", store=store, half=None)


def test_full_batches_are_compiled_and_every_other_runs_as_it_is_without_compiling_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = by(monkeypatch, lambda graph, _example: graph)
    network = made(tmp_path)
    shown.clear()
    with torch.inference_mode():
        batches = [torch.randn(size) for size in (SHAPE, (1, *SHAPE[1:]), (2, 1, 8, 8, 8), SHAPE, (3, *SHAPE[1:]))]
        answers = [network(batch) for batch in batches]
        with torch.autocast("cpu"):
            assert network(batches[0]).shape == (2, 2, 6, 6, 6)
        for batch, answer in zip(batches, answers, strict=True):
            torch.testing.assert_close(answer, network.network(batch), rtol=1e-5, atol=1e-6)
    assert shown == [SHAPE, SHAPE]


@pytest.mark.parametrize(("backend", "says"), [
    (lambda graph, _: lambda *all_: [each * 1.01 for each in graph(*all_)], "it answers otherwise"),
    (lambda graph, _: lambda *all_: [each * torch.nan for each in graph(*all_)], "it answers otherwise: nan"),
])  # fmt: skip
def test_a_compiled_network_that_answers_otherwise_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Any, says: str
) -> None:
    by(monkeypatch, backend)
    with pytest.raises(NotCompiled, match=says):
        made(tmp_path)


def _no_compiler(_graph: object, _example: object) -> Any:
    raise InvalidCxxCompiler


def test_without_a_compiler_the_reason_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by(monkeypatch, _no_compiler)
    with pytest.raises(NotCompiled, match=r"No working C\+\+ compiler found") as said:
        made(tmp_path)
    assert "\n" not in str(said.value)


def test_compiled_code_lies_where_only_the_nodes_account_may_write_and_what_a_dead_process_left_goes(
    tmp_path: Path
) -> None:
    left = tmp_path / compiling.FOLDER / "1-left"
    (left / "ab").mkdir(parents=True)
    (tmp_path / compiling.FOLDER).chmod(0o700)
    own = own_folder(tmp_path)
    assert [each.name for each in own.parent.iterdir()] == [own.name]
    assert {each.stat().st_mode & 0o777 for each in (own, own.parent)} == {0o700}
    own_folder.cache_clear()
    another = own_folder(tmp_path)
    assert {own, another} == set(own.parent.iterdir()), "a process that lives keeps its folder"


def _open_to_others(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _a_link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize("prepare", [_open_to_others, _a_link])
def test_a_folder_that_others_could_have_made_is_not_compiled_into(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    prepare(tmp_path / compiling.FOLDER)
    with pytest.raises(NotCompiled, match="is not a folder that only this account may open; delete it"):
        made(tmp_path)


def test_what_a_bundle_would_compile_itself_is_left_as_it_is() -> None:
    def forward(value: int) -> int:
        return value

    assert torch.compile(forward) is forward


def noisy() -> StudyImages:
    voxels = np.random.default_rng(4).uniform(-1000, 400, (10, 14, 11)).astype(np.float32)
    volume = placed(voxels, np.diag([2.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]])
    return StudyImages(volume=volume, modality="CT", excluded={})


def answer(folder: Path, *, compiled: bool, windows: bool = True) -> tuple[np.ndarray[Any, Any], Mapping[str, Any]]:
    """The mask that a bundle gives on three windows, two at once, and what is said of its network."""
    config = bundles.inference()
    config["inferer"] |= {"roi_size": [11, 14, 8], "sw_batch_size": 2}
    if not windows:
        config["inferer"] = {"_target_": "SimpleInferer"}
    store.add(folder / "store", bundles.write_bundle(folder / "made", config=config), name="one", compiled=compiled)
    warm, progress = Warm(lambda: registry.installed((), models=folder / "store")), Progress(emit=lambda _: None)
    (segment,) = infer("one", "cpu", noisy(), warm, progress).segments
    return segment.mask, progress.memory["network"]


def test_a_compiled_bundle_gives_the_same_mask_and_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = by(monkeypatch, lambda graph, _example: graph)
    plain, as_stored = answer(tmp_path / "plain", compiled=False)
    assert not shown
    mask, said = answer(tmp_path / "compiled", compiled=True)
    assert shown, "a full batch is shown to what was compiled"
    np.testing.assert_array_equal(mask, plain)
    assert "compiled" not in as_stored
    assert re.fullmatch(r"in \d+\.\d s", said["compiled"])


@pytest.mark.parametrize(("windows", "says"), [
    (True, "No working C++ compiler found"), (False, "it has no sliding window of a fixed size"),
])
def test_a_bundle_that_cannot_be_compiled_runs_as_it_is_and_the_reason_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], windows: bool, says: str
) -> None:
    by(monkeypatch, _no_compiler)
    mask, said = answer(tmp_path, compiled=True, windows=windows)
    assert says in said["compiled"]
    assert f"one is not compiled and runs as it is: {said['compiled'].removeprefix('no: ')}" in capsys.readouterr().err
    np.testing.assert_array_equal(mask, noisy().volume.voxels > bundles.THRESHOLD_HU)


def test_only_a_bundle_is_compiled_and_the_key_is_true_or_false(tmp_path: Path) -> None:
    pin = store.Pin(name="one", folder="one", sha256="", series_number=1, compiled=True)
    (tmp_path / "model.yaml").write_text("")
    with pytest.raises(store.StoreError, match="one is no MONAI bundle"):
        description.manifest(tmp_path, pin)
    (tmp_path / store.PINS).write_text(json.dumps([{**asdict(pin), "compiled": "yes"}]))
    with pytest.raises(store.StoreError, match="says `compiled` of one as 'yes', expected true or false"):
        store.pins(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_real_compiler_writes_into_the_folder_of_this_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    network = made(tmp_path)
    assert list((own_folder(tmp_path)).rglob("*.so"))
    assert not list(elsewhere.iterdir())
    with torch.inference_mode():
        batch = torch.randn(SHAPE)
        torch.testing.assert_close(network(batch), network.network(batch), rtol=1e-4, atol=1e-5)
