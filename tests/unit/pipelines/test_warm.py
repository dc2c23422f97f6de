"""What a worker keeps loaded is what is installed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support import bundles
from support.short_memory import PretendedMeter

from radnode.pipelines import registry
from radnode.pipelines.models import store
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Shelf:
    """A model store."""

    folder: Path

    def add(self, name: str, version: str) -> str:
        """Put a version of a model there, in the place of another one; returns its digest."""
        with suppress(store.StoreError):
            store.remove(self.folder / "store", name)
        said = bundles.metadata() | {"version": version}
        store.add(self.folder / "store", bundles.write_bundle(self.folder / f"{name}-{version}", said=said), name=name)
        return self.installed().manifests[name].model_digest

    def installed(self) -> registry.Registry:
        return registry.installed((), models=self.folder / "store")


def test_a_model_that_was_replaced_is_loaded_anew_also_when_another_one_was_asked_for_in_between(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path)
    shelf.add("one", "0.1.0")
    shelf.add("two", "0.1.0")
    warm = Warm(shelf.installed, PretendedMeter())
    first, other = warm.pipeline("one"), warm.pipeline("two")
    one, two = shelf.add("one", "0.2.0"), shelf.add("two", "0.2.0")

    warm.manifest("two", two)  # has the worker look again

    assert warm.manifest("one", one).version == "0.2.0"
    assert warm.pipeline("one") is not first
    assert warm.pipeline("two") is not other


def test_what_is_still_the_same_stays_loaded(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add("one", "0.1.0")
    warm = Warm(shelf.installed, PretendedMeter())
    first = warm.pipeline("one")

    warm.manifest("two", shelf.add("two", "0.1.0"))

    assert warm.pipeline("one") is first
