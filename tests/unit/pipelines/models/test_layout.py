"""Channels last: where it is used, and that it changes no answer."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.networks.nets import UNet

from radnode.pipelines.models import layout


@pytest.mark.parametrize(("device", "half", "wanted"), [
    ("cpu", False, True), ("cuda", True, True), ("cuda:1", True, True), ("cuda", False, False), ("mps", True, False),
])  # fmt: skip
def test_it_is_used_on_the_processor_and_on_cuda_in_half_precision_alone(
    monkeypatch: pytest.MonkeyPatch, device: str, half: bool, wanted: bool
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert layout.pays(device, half=half) == wanted


def test_a_processor_without_onednn_keeps_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not layout.pays("cpu", half=False)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_network_answers_the_same_numbers_within_the_rounding_of_single_precision(
    monkeypatch: pytest.MonkeyPatch, dimensions: int
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    torch.manual_seed(0)
    network = UNet(dimensions, 1, 2, (4, 8, 16), (2, 2), num_res_units=1).eval()
    arranged = copy.deepcopy(network)
    assert layout.arrange(arranged, "cpu", half=False) == layout.CHANNELS_LAST
    image = torch.randn(2, 1, *[16] * dimensions)
    with torch.inference_mode():
        wanted, found = network(image), arranged(image)
        shown: list[torch.Tensor] = []
        for each in arranged.modules():
            if isinstance(each, torch.nn.Conv2d | torch.nn.Conv3d):
                each.register_forward_hook(lambda _, __, answer: shown.append(answer))
        arranged(image)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    order = {2: torch.channels_last, 3: torch.channels_last_3d}[dimensions]
    assert all(each.is_contiguous(memory_format=order) for each in shown)


def test_a_network_without_convolutions_is_left_as_it_is() -> None:
    assert layout.arrange(torch.nn.Sequential(torch.nn.Linear(3, 2)), "cpu", half=False) == layout.AS_STORED
