"""Of a series in which something is missing, doubled or out of place no result leaves without a word about it."""

from __future__ import annotations

import os
import random
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from support.damaged_series import DAMAGES, WORDS, generate, outcome
from support.figures import write_down

if TYPE_CHECKING:
    from pathlib import Path

SERIES = int(os.environ.get("RADNODE_TEST_SERIES", "36"))
"""Damaged ones; for each three a whole one is generated, too."""


@pytest.mark.goal("damaged_series")
@pytest.mark.catalogue("R18")
def test_no_damaged_series_is_read_in_silence_and_no_whole_one_is_refused(tmp_path: Path) -> None:
    seed = int(os.environ.get("RADNODE_TEST_SEED", "20261122"))
    chance = random.Random(seed)
    found, missed = Counter[str](), []
    kinds = [kind for _ in range(SERIES) for kind in DAMAGES][:SERIES]
    silent = 0
    for kind in kinds:
        series = generate(chance)
        DAMAGES[kind](series)
        chance.shuffle(series.images)
        became = outcome(series, tmp_path)
        silent += became.silent
        words = " ".join((became.held, became.refused, *became.said))
        found[kind] += WORDS[kind] in words
        if WORDS[kind] not in words:
            missed.append((kind, became))
    whole = [outcome(generate(chance), tmp_path) for _ in islice(kinds, 0, None, 3)]
    refused = [each for each in whole if not each.silent]
    write_down(
        "damaged_series", seed=seed, series=SERIES, silent=silent, whole=len(whole), whole_refused=len(refused),
        kinds={kind: {"series": kinds.count(kind), "found": found[kind]} for kind in DAMAGES},
    )  # fmt: skip
    assert missed == []
    assert silent == 0
    assert refused == []
