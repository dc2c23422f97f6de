"""Whether a network answers with numbers. Of NaN the first class wins, the background: as if nothing were there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


def finite(answer: torch.Tensor) -> torch.Tensor:
    """The answer of a network, before anything is decided. Raises RunFailed for NaN and infinite values."""
    if not bool(torch.isfinite(answer).all()):
        raise RunFailed("its network answers with values that are no numbers (NaN or infinite): its weights are "
                        "damaged, or the images are not scaled as in its training; compare both with its publication")
    return answer


class Watch:
    """The same for networks that others call: looked at in passing, without waiting for the device, told by `check`."""

    def __init__(self) -> None:
        self._sound: list[torch.Tensor] = []

    def over(self, network: torch.nn.Module) -> None:
        """Look at every answer of this network from now on."""
        network.register_forward_hook(lambda _, __, answer: self._sound.extend(map(_numbers, tensors(answer))))

    def check(self) -> None:
        """Raises RunFailed if an answer since the last check held no numbers."""
        sound, self._sound = self._sound, []
        for each in sound:
            finite(torch.where(each, 0.0, torch.nan))


def _numbers(answer: torch.Tensor) -> torch.Tensor:
    if not answer.numel() or not answer.is_floating_point():
        return torch.isfinite(answer.detach()).all()
    smallest, largest = torch.aminmax(answer.detach())  # both are NaN if one value is
    return torch.isfinite(smallest) & torch.isfinite(largest)


def tensors(answer: Any) -> Iterator[torch.Tensor]:
    """Those that a network answers with, however it groups them."""
    if isinstance(answer, torch.Tensor):
        yield answer.as_subclass(torch.Tensor)
    elif isinstance(answer, dict | list | tuple):
        for each in answer.values() if isinstance(answer, dict) else answer:
            yield from tensors(each)
