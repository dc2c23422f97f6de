"""Whether a bundle reads images one by one, radiographs or colour images, or a volume. Runs no code of the bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_RADIOGRAPHS = {
    "mammogram": "MG", "mammography": "MG", "mg": "MG",
    "xray": "DX", "x-ray": "DX", "dx": "DX", "cr": "DX", "cxr": "DX",
}
# Bundles call what a camera took "regular" or nothing at all; what it shows, their own words say.
_SHOWN = {"endoscop": "ES", "colonoscop": "ES", "retina": "OP", "fundus": "OP", "ophthalm": "OP", "dermatolog": "XC",
          "skin": "XC", "patholog": "GM", "histolog": "GM", "microscop": "GM", "cell image": "GM"}
_CAMERAS = {"ES", "OP", "XC", "GM"}


def read_as(said: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    """(modality, what is read, as in a manifest) of a bundle that reads images one by one; None for volumes.

    said: the first image of `network_data_format` / inputs. Raises ValueError for colours of nothing known.
    """
    modality = str(said.get("modality", "")).lower()
    if modality in _RADIOGRAPHS:
        return _RADIOGRAPHS[modality], "projection"
    if modality.upper() in _CAMERAS:
        return modality.upper(), "colour"
    words = " ".join(str(metadata.get(key, "")) for key in ("name", "task", "description")).lower()
    found = sorted({each for word, each in _SHOWN.items() if word in f"{modality} {words}"})
    if not _are_colours(said, shown=len(found) == 1):
        return None
    if said.get("num_channels") != 3:
        beside = [str(each) for each in (said.get("channel_def") or {}).values()][3:]
        raise ValueError(f"it reads {said.get('num_channels')} channels: more than the colours of an image"
                         + (f"; {' and '.join(map(repr, beside))} would have to be marked by a person or by another "
                            "model, and no study holds that" if beside else ""))
    if len(found) != 1:
        raise ValueError("it reads colour images and does not say clearly of what; understood are endoscopy, retina, "
                         "skin and microscopy in its name, task or description")
    return found[0], "colour"


def _are_colours(said: Mapping[str, Any], *, shown: bool) -> bool:
    """Whether an input is a colour image. shown: its bundle says what the camera shows; then three flat channels that
    have one name and no modality are colours.
    """
    named = said.get("channel_def")
    channels = [str(each).lower() for each in named.values()] if isinstance(named, dict) else []
    if str(said.get("format", "")).lower() == "rgb" or [each[:1] for each in channels] == ["r", "g", "b"]:
        return True
    flat = len(said.get("spatial_shape") or []) == 2 and said.get("num_channels") == 3 and len(channels) == 1
    return shown and flat and not said.get("modality")
