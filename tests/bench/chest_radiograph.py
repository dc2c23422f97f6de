"""How often the checks of `cr-chest` are right on projected phantoms: the table of its README.

    python tests/bench/chest_radiograph.py
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.cr_chest.phantom import radiograph
from radnode.pipelines.cr_chest.quality import Quality, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint16]

SEEDS, TURNED, TILTED = range(10, 14), (-20.0, -10.0, 0.0, 10.0, 20.0), (-8.0, 0.0, 8.0)
SAID_OF_TURNED = (-20.0, -15.0, -10.0, -7.0, -5.0, -3.0, 0.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0)
_HOW: dict[str, tuple[Callable[[Pixels], Pixels], Callable[[Quality], bool | None]]] = {
    "upright": (lambda pixels: pixels, lambda quality: quality.upright),
    "upside down": (lambda pixels: pixels[::-1, ::-1], lambda quality: _not(quality.upright)),
    "on its side": (lambda pixels: np.rot90(pixels), lambda quality: quality.lying or None),
    "grey exchanged": (lambda pixels: 4095 - pixels, lambda quality: quality.inverted or None),
    "heart on the right of the picture": (lambda pixels: pixels, lambda quality: _is(quality.heart, "right")),
    "heart on the left (mirrored)": (lambda pixels: pixels[:, ::-1], lambda quality: _is(quality.heart, "left")),
    "whole: no edge reached": (lambda pixels: pixels, lambda quality: not quality.cut if quality.fields else None),
    "12 mm of the bases cut off": (lambda pixels: _cut(pixels, 40), lambda quality: "bottom" in quality.cut or None),
    "12 mm of a side cut off": (lambda pixels: _side(pixels, 66), lambda quality: "right" in quality.cut or None),
}


def main() -> None:
    """Print the table."""
    counted: dict[str, list[bool | None]] = defaultdict(list)
    for pixels in _pictures():
        for name, (change, judged) in _HOW.items():
            counted[name].append(judged(check((np.ascontiguousarray(change(pixels)) >> 4).astype(np.uint8))))
    print("| truth | right | wrong | not told |\n|---|---|---|---|")
    for name, answers in counted.items():
        print(f"| {name} | {answers.count(True)} | {answers.count(False)} | {answers.count(None)} |")
    print("\n| turned by | spine off, on its side | off, on the other side | nothing said |\n|---|---|---|---|")
    for turned in SAID_OF_TURNED:
        answers = [_turned(check((radiograph(seed=seed, turned=turned).pixels >> 4).astype(np.uint8)), turned)
                   for seed in SEEDS]
        print(f"| {turned:g} degrees | {answers.count(True)} | {answers.count(False)} | {answers.count(None)} |")


def _turned(quality: Quality, turned: float) -> bool | None:
    """With the left side forwards (a positive angle) the spine moves to the left of the picture."""
    return None if quality.spine_off is None else turned * quality.spine_off < 0


def _pictures() -> Iterator[Pixels]:
    """Each seed turned about the long axis, and each tilted."""
    for seed in SEEDS:
        for turned in TURNED:
            yield radiograph(seed=seed, turned=turned).pixels
        for tilted in TILTED:
            yield radiograph(seed=seed, tilted=tilted).pixels


def _cut(pixels: Pixels, below_mm: int) -> Pixels:
    """Without the lowest rows; the lungs of the phantom end 28 mm above the lower edge."""
    return pixels[: -(below_mm // 4)]


def _side(pixels: Pixels, at_mm: int) -> Pixels:
    """Without the last columns; the lungs of the phantom end 52 mm before the right edge."""
    return pixels[:, : -(at_mm // 4)]


def _is(said: str | None, truth: str) -> bool | None:
    return None if said is None else said == truth


def _not(said: bool | None) -> bool | None:
    return None if said is None else not said


if __name__ == "__main__":
    main()
