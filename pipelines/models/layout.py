"""In which order a convolution network's numbers lie in memory: as stored, or channels last. The numbers stay.

Channels last (torch.channels_last, torch.channels_last_3d) is how the kernels work inside: oneDNN's on a CPU, cuDNN's
for tensor cores in half precision. Weights that lie so spare them turning every image round. In single precision
cuDNN's other kernels are the faster ones. Sums are made in another order: the same within rounding.
"""

from __future__ import annotations

import torch

AS_STORED, CHANNELS_LAST = "as stored", "channels last"
_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
_CONVOLUTIONS = (torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)


def pays(device: str, *, half: bool) -> bool:
    """Whether channels last is the faster order. half: the network computes in half precision."""
    if device == "cpu":
        return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return device.startswith("cuda") and half


def arrange(network: torch.nn.Module, device: str, *, half: bool) -> str:
    """Lay the convolutions of a network out as is fastest on its device. Returns what they are now.

    Only weights move: what a convolution answers takes their order, and so the next one finds it.
    """
    found = [each for each in network.modules() if isinstance(each, _CONVOLUTIONS)]
    if not found or not pays(device, half=half):
        return AS_STORED
    for each in found:
        each.weight.data = each.weight.data.to(memory_format=_FORMATS[each.weight.dim()])
    return CHANNELS_LAST
