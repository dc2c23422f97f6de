"""Probabilities of classes, as answers in codes: one out of several, or each finding for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Classification, Findings
from radnode.pipelines.models import description
from radnode.pipelines.models.terms import ABSENT, PRESENT, UNDETERMINED, finding, question, term

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

_DECIDED = 0.5
PRESENT_FROM, ABSENT_TO = 0.6, 0.4
"""Of a probability for each finding: between them it is undecided. What the reader is told with every answer."""
_WHOLE = 0.02
"""By how much the probabilities of one decision may miss 1: what half precision leaves of many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a model answered of one image or series.

    answers: one, or one for each finding. held: the channel of each class that is said to be there -> the key of its
    answer. remarks: what a reader must know of them.
    """

    answers: tuple[Classification, ...]
    held: Mapping[int, str]
    remarks: tuple[str, ...] = ()


def classification(
    answer: Any, said: Mapping[str, Any], about: str, volume: Volume, *, apart: bool = False
) -> Findings:
    """What :func:`answered` says about a volume."""
    found = answered(answer, said, about, apart=apart)
    return Findings(volume=volume, classifications=found.answers, remarks=found.remarks)


def each_apart(said: Mapping[str, Any], transforms: Sequence[Any]) -> bool:
    """Whether each class is a question of its own: the bundle's postprocessing has a sigmoid, or its metadata says
    "multi-label" for the format of the output.
    """
    if str(said.get("format", "")).lower().replace("-", "").replace("_", "") == "multilabel":
        return True
    asked = [getattr(each, "sigmoid", False) for each in transforms]
    return any(any(each) if isinstance(each, tuple) else bool(each) for each in asked)


def answered(answer: Any, said: Mapping[str, Any], about: str, *, apart: bool = False) -> Answered:
    """The most probable class, with its probability where the model gives one; or each finding for itself.

    answer: one number for each class (probabilities, one 1 among zeros, or undecided scores), or the number of the
    class. One probability alone says whether what its class is called is present. about: what the bundle's authors say
    that it does, in words. apart: each class is a question of its own, see :func:`each_apart`. Raises RunFailed for
    numbers that are none, for classes that were not announced, and where it is not clear what the numbers are.
    """
    names = description.names(said)
    values = _values(answer)
    if apart and len(names) > 1:
        return _findings(values, names, about)
    if len(names) == 1:
        found = _presence(values, next(iter(names.values())), about)
        return Answered(answers=(found,), held={0: found.key} if found.value == PRESENT else {})
    remarks: tuple[str, ...] = ()
    if len(values) == 1 and values[0] == round(values[0]):
        best, certainty = int(values[0]), None
    elif len(values) == len(names):
        best = sorted(names)[int(np.argmax(values))]
        certainty = _certainty(values)
        if values.min() < 0 or values.max() > 1:
            remarks = ("The model gives scores, not probabilities; the class with the highest was taken.",)
        elif abs(values.sum() - 1) > _WHOLE:
            raise RunFailed(
                f"the model gives {len(values)} numbers from 0 to 1 that do not add up to 1: whether they are one "
                "decision or a finding each is not said; a sigmoid in its postprocessing or the format multi-label "
                "in its metadata says it")
    else:
        raise RunFailed(f"the model answers with {len(values)} classes, the bundle announces {len(names)}")
    if best not in names:
        raise RunFailed(f"the model answers with class {best}, which the bundle does not announce")
    asked, meant = question(list(names.values()), about), term(names[best])
    chosen = Classification(
        key="answer", name=asked.name, value=asked.answers.get(names[best], meant.type), laterality=meant.laterality,
        certainty=certainty,
    )
    return Answered(answers=(chosen,), held={sorted(names).index(best): chosen.key}, remarks=remarks)


def _findings(values: NDArray[np.float64], names: Mapping[int, str], about: str) -> Answered:
    """Each class present, absent or undecided, by its probability."""
    if len(values) != len(names) or values.min() < 0 or values.max() > 1:
        raise RunFailed(f"the model answers with {len(values)} numbers from {values.min():.3g} to {values.max():.3g}; "
                        f"{len(names)} probabilities were announced")
    decided = _is_decided(values)
    answers, held = [], {}
    for channel, (number, share) in enumerate(zip(sorted(names), values.tolist(), strict=True)):
        name = names[number]
        value = PRESENT if share >= PRESENT_FROM else ABSENT if share <= ABSENT_TO else UNDETERMINED
        sure = {PRESENT: share, ABSENT: 1 - share}.get(value)
        answers.append(Classification(
            key=f"{term(name).key or 'class'}-{channel}", name=finding(name, about), value=value,
            laterality=term(name).laterality, certainty=None if decided else sure,
        ))
        if value == PRESENT:
            held[channel] = answers[-1].key
    shares = ", ".join(f"{' '.join(names[number].replace('_', ' ').split())} {share:.0%}"
                       for number, share in zip(sorted(names), values.tolist(), strict=True))
    remark = (f"Each finding was judged for itself: present from {PRESENT_FROM:.0%}, absent up to {ABSENT_TO:.0%}, "
              f"undecided between. The model's probabilities, which nobody calibrated here: {shares}.")
    return Answered(answers=tuple(answers), held=held, remarks=() if decided else (remark,))


def _presence(values: NDArray[np.float64], name: str, about: str) -> Classification:
    if len(values) != 1 or not 0 <= values[0] <= 1:
        raise RunFailed(f"the model answers with {len(values)} numbers about {name!a}; one probability was announced")
    share = float(values[0])
    there = share >= _DECIDED
    return Classification(key="answer", name=finding(name, about), value=PRESENT if there else ABSENT,
                          certainty=share if there else 1 - share)


def _is_decided(values: NDArray[np.float64]) -> bool:
    return set(np.unique(values).tolist()) <= {0.0, 1.0}


def _certainty(values: NDArray[np.float64]) -> float | None:
    """None for what is decided already (one 1 among zeros), and for scores of no scale."""
    return None if _is_decided(values) or values.min() < 0 or values.max() > 1 else float(values.max())


def _values(answer: Any) -> NDArray[np.float64]:
    values = np.asarray(answer.detach().cpu().float().numpy() if hasattr(answer, "detach") else answer,
                        dtype=np.float64).reshape(-1)
    if not values.size or not np.isfinite(values).all():
        raise RunFailed("the model's answer holds values that are no numbers (NaN or infinite): its weights or the "
                        "images are not what it was made for")
    return values
