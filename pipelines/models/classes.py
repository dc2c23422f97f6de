"""Probabilities of classes, as an answer about the study in codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Classification, Findings
from radnode.pipelines.models import description
from radnode.pipelines.models.terms import ABSENT, PRESENT, question, term

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

_DECIDED = 0.5


def classification(answer: Any, said: Mapping[str, Any], about: str, volume: Volume) -> Findings:
    """The most probable class, with its probability where the model gives one.

    answer: one number for each class (probabilities, one 1 among zeros, or undecided scores), or the number of the
    class. One probability alone says whether what its class is called is present. about: what the bundle's authors say
    that it does, in words. Raises RunFailed for numbers that are none and for classes that were not announced.
    """
    found, remarks = answered(answer, said, about)
    return Findings(volume=volume, classifications=(found,), remarks=remarks)


def answered(answer: Any, said: Mapping[str, Any], about: str) -> tuple[Classification, tuple[str, ...]]:
    """The answer of :func:`classification` alone, with what a reader must know of it."""
    names = description.names(said)
    values = _values(answer)
    if len(names) == 1:
        return _presence(values, next(iter(names.values()))), ()
    remarks: tuple[str, ...] = ()
    if len(values) == 1 and values[0] == round(values[0]):
        best, certainty = int(values[0]), None
    elif len(values) == len(names):
        best = sorted(names)[int(np.argmax(values))]
        certainty = _certainty(values)
        if values.min() < 0 or values.max() > 1:
            remarks = ("The model gives scores, not probabilities; the class with the highest was taken.",)
    else:
        raise RunFailed(f"the model answers with {len(values)} classes, the bundle announces {len(names)}")
    if best not in names:
        raise RunFailed(f"the model answers with class {best}, which the bundle does not announce")
    asked, meant = question(list(names.values()), about), term(names[best])
    found = Classification(
        key="answer", name=asked.name, value=asked.answers.get(names[best], meant.type), laterality=meant.laterality,
        certainty=certainty,
    )
    return found, remarks


def _presence(values: NDArray[np.float64], name: str) -> Classification:
    if len(values) != 1 or not 0 <= values[0] <= 1:
        raise RunFailed(f"the model answers with {len(values)} numbers about {name!a}; one probability was announced")
    share = float(values[0])
    there = share >= _DECIDED
    return Classification(key="answer", name=term(name).type, value=PRESENT if there else ABSENT,
                          certainty=share if there else 1 - share)


def _certainty(values: NDArray[np.float64]) -> float | None:
    """None for what is decided already (one 1 among zeros), and for scores of no scale."""
    decided = set(np.unique(values).tolist()) <= {0.0, 1.0}
    return None if decided or values.min() < 0 or values.max() > 1 else float(values.max())


def _values(answer: Any) -> NDArray[np.float64]:
    values = np.asarray(answer.detach().cpu().float().numpy() if hasattr(answer, "detach") else answer,
                        dtype=np.float64).reshape(-1)
    if not values.size or not np.isfinite(values).all():
        raise RunFailed("the model's answer holds values that are no numbers (NaN or infinite): its weights or the "
                        "images are not what it was made for")
    return values
