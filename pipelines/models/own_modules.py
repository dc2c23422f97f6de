"""A bundle's own modules (`scripts`), apart from those of other bundles in the same process.

Nearly every bundle calls its package `scripts`. Python knows one module of a name; so while a bundle works, its own are
the ones, and afterwards they are put aside. So are names that NumPy has withdrawn (2.0) and older bundles write.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType


# NumPy 2.0 migration guide: what each is called since.
_WITHDRAWN_OF_NUMPY: dict[str, Any] = {
    "product": np.prod, "cumproduct": np.cumprod, "sometrue": np.any, "alltrue": np.all, "float_": np.float64,
    "Inf": np.inf, "infty": np.inf, "NaN": np.nan,
}


class OwnModules:
    """The modules that lie in the folder of one bundle."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = {entry.stem for entry in folder.iterdir()
                       if entry.suffix == ".py" or (entry.is_dir() and any(entry.glob("*.py")))}
        self._modules: dict[str, ModuleType] = {}

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within, `import scripts` means this bundle's."""
        others = self._take()
        lent = [name for name in _WITHDRAWN_OF_NUMPY if name not in vars(np)]
        for name in lent:
            setattr(np, name, _WITHDRAWN_OF_NUMPY[name])
        sys.modules.update(self._modules)
        sys.path.insert(0, str(self._folder))
        try:
            yield
        finally:
            sys.path.remove(str(self._folder))
            self._modules = self._take()
            sys.modules.update(others)
            for name in lent:
                delattr(np, name)

    def has(self, thing: type) -> bool:
        """Whether a class is one of the bundle's own."""
        return thing.__module__.partition(".")[0] in self._names

    def _take(self) -> dict[str, ModuleType]:
        found = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in self._names}
        for name in found:
            del sys.modules[name]
        return found
