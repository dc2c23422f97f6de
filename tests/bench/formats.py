"""Networks as stored, channels last and compiled: seconds of a batch on this machine's processor, and of compiling.

    python tests/bench/formats.py

One thread; the ways take turns, the fastest of six batches counts. Answers that differ stop it. The figures in
docs/models.md are its table.
"""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from monai.networks.nets import SegResNet, UNet

from radnode.pipelines.models import layout
from radnode.pipelines.models.compiling import Compiled

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS = 6
NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[int, ...]]] = {
    "U-Net 3D": (lambda: UNet(3, 1, 2, (16, 32, 64, 128), (2, 2, 2), num_res_units=2, norm="batch"),
                 (1, 1, 48, 48, 48)),
    "SegResNet 3D": (lambda: SegResNet(3, init_filters=8, blocks_down=(1, 2, 2), blocks_up=(1, 1)), (1, 1, 48, 48, 48)),
    "U-Net 2D": (lambda: UNet(2, 1, 2, (16, 32, 64, 128), (2, 2, 2), num_res_units=2, norm="batch"), (4, 1, 192, 192)),
}


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| network | as stored | channels last | compiled | compiling |\n|---|---|---|---|---|")
    for name, (make, shape) in NETWORKS.items():
        torch.manual_seed(0)
        network, batch = make().eval(), torch.randn(shape)
        arranged = copy.deepcopy(network)
        layout.arrange(arranged, "cpu", half=False)
        with tempfile.TemporaryDirectory() as store:
            compiled = Compiled(copy.deepcopy(network), shape, device="cpu", store=Path(store), half=None)
            ways = {"as stored": network, "channels last": arranged, "compiled": compiled}
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            with torch.inference_mode():
                wanted = network(batch)
                for _ in range(REPEATS):
                    for way, each in ways.items():
                        began = time.perf_counter()
                        found = each(batch)
                        seconds[way].append(time.perf_counter() - began)
                        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
        size = " x ".join(str(each) for each in (shape[0], *shape[2:]))
        fastest = " | ".join(f"{min(found):.3f}" for found in seconds.values())
        print(f"| {name}, {size} | {fastest} | {compiled.took_s:.0f} |", flush=True)


if __name__ == "__main__":
    main()
