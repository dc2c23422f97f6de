"""Which images a bundle reads, by its metadata and the keys that its preprocessing loads. Runs no code of the bundle.

Several image inputs, or one whose channels have names, are inputs of one study: T1, T1c, T2 and FLAIR; three phases.
The first is the reference. A name that says nothing clear is refused: which series would it be?
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from radnode.pipelines.inputs import Content, Input
from radnode.pipelines.sources.content import content_of

if TYPE_CHECKING:
    from collections.abc import Mapping

MODALITIES = {"ct": "CT", "mr": "MR", "mri": "MR", "pt": "PT", "pet": "PT"}
LABELS = frozenset({"label", "labels", "seg", "mask"})
"""Keys under which training data have their truth; some bundles load it even where they only infer."""
_LOADERS = ("LoadImaged", "LoadImageD", "LoadImageDict")
_PET_UNITS = {Content.SUV: r"\bsuv(_?bw)?\b", Content.ACTIVITY: r"\bbq_?/?ml\b"}
_COLOURS = {"r", "g", "b", "red", "green", "blue"}


class UnclearInput(ValueError):
    """An input of a bundle that cannot be found in a study; the message says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What a bundle reads. inputs: empty for one series. keys: of its data -> the inputs that are its channels, in
    their order; one key without an input gets the one series. moving: of a registration, the input that is moved; the
    fixed one comes first."""

    inputs: tuple[Input, ...]
    keys: Mapping[str, tuple[str, ...]]
    moving: str = ""


def reads(images: Mapping[str, Any], config: Mapping[str, Any]) -> Reads:
    """Of `network_data_format` / inputs that are images, and the inference configuration. Raises UnclearInput."""
    return _fixed_first(_read(images, config))


def _fixed_first(found: Reads) -> Reads:
    """Of inputs named as fixed and moving, results lie on the fixed one. Raises UnclearInput for two modalities."""
    roles = {role: [each for each in found.inputs if role in each.name.split("-")] for role in ("fixed", "moving")}
    if len(found.inputs) != 2 or [len(each) for each in roles.values()] != [1, 1]:
        return found
    (fixed,), (moving,) = roles.values()
    if fixed.modality != moving.modality:
        raise UnclearInput(f"it moves {moving.modality} images onto {fixed.modality} images; such an image would lie "
                           f"among those that a {fixed.modality} scanner made, so it is not written")
    return Reads(inputs=(fixed, moving), keys=found.keys, moving=moving.name)


def _read(images: Mapping[str, Any], config: Mapping[str, Any]) -> Reads:
    if len(images) > 1:
        found = {key: _input(key, said, _only_name(said)) for key, said in images.items()}
        return Reads(inputs=tuple(found.values()), keys={key: (each.name,) for key, each in found.items()})
    key = next(iter(images), "image")
    said: Mapping[str, Any] = images.get(key, {})
    channels = _channels(said)
    if len(channels) > 1 and not {name.lower() for name in channels} <= _COLOURS:
        several = [_input(name, said) for name in channels]
        if len(several) != said.get("num_channels"):
            raise UnclearInput(f"it announces {said.get('num_channels')} channels and names {len(several)}")
        return Reads(inputs=tuple(several), keys={key: tuple(each.name for each in several)})
    loaded = [each for each in _loaded(config) if each not in LABELS]
    if len(loaded) > 1 and len(loaded) == said.get("num_channels"):
        found = {each: _input(each, said) for each in loaded}
        return Reads(inputs=tuple(found.values()), keys={each: (one.name,) for each, one in found.items()})
    if MODALITIES.get(str(said.get("modality", "")).lower()) == "PT":
        pet = _input(_only_name(said) or "pet", said)
        return Reads(inputs=(pet,), keys={key: (pet.name,)})
    return Reads(inputs=(), keys={key: ()})


def _input(name: str, said: Mapping[str, Any], otherwise: str = "") -> Input:
    modality = _modality(name) or _modality(otherwise) or MODALITIES.get(str(said.get("modality", "")).lower(), "")
    if modality == "PT":
        return Input(name=re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "pet", modality="PT",
                     content=_unit_of_pet(name, said))
    content = content_of(name, modality) or content_of(otherwise, modality)
    if content is None and modality == "CT" and (_modality(name) or _modality(otherwise)):
        content = Content.ANY
    if content is None:
        known = ", ".join(each.value for each in Content if each)
        raise UnclearInput(f"its input {name!a} names no image of {modality or 'a known modality'}; understood are "
                           f"words for {known}: name it so in channel_def")
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return Input(name=short or content.value.lower(), modality=modality, content=content)


def _unit_of_pet(name: str, said: Mapping[str, Any]) -> Content:
    words = [name, *_channels(said), *(str(said.get(key, "")) for key in ("format", "unit", "units"))]
    found = {unit for word in words for unit, pattern in _PET_UNITS.items() if re.search(pattern, word.lower())}
    if len(found) != 1:
        raise UnclearInput(f"its input {name!a} is PET and says not clearly in which unit it is wanted; write "
                           '"unit": "SUVbw" or "unit": "BQML" into its entry of network_data_format')
    return found.pop()


def _only_name(said: Mapping[str, Any]) -> str:
    names = _channels(said)
    return names[0] if len(names) == 1 else ""


def _modality(word: str) -> str:
    found = {MODALITIES[part] for part in re.split(r"[^a-z]+", word.lower()) if part in MODALITIES}
    return found.pop() if len(found) == 1 else ""


def _channels(said: Mapping[str, Any]) -> list[str]:
    """Names of the channels in their order."""
    defined = said.get("channel_def")
    if not isinstance(defined, dict) or not all(re.fullmatch(r"\d+", str(key)) for key in defined):
        return []
    return [str(name) for _, name in sorted(defined.items(), key=lambda item: int(item[0]))]


def _loaded(config: Mapping[str, Any]) -> list[str]:
    """The keys that the preprocessing loads, where they are written out."""
    preprocessing = config.get("preprocessing")
    transforms = preprocessing.get("transforms") if isinstance(preprocessing, dict) else None
    for each in transforms if isinstance(transforms, list) else []:
        if isinstance(each, dict) and str(each.get("_target_", "")).rpartition(".")[2] in _LOADERS:
            keys = each.get("keys")
            return [str(key) for key in keys] if isinstance(keys, list) else []
    return []
