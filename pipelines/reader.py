"""The process that reads ahead for a worker (:mod:`radnode.pipelines.prefetch`)."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from radnode.pipelines import registry
from radnode.pipelines.prefetch import serve
from radnode.pipelines.progress import Progress
from radnode.pipelines.runner import NICENESS, read_inputs
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.contract import StudyImages, WorkOrder


def main(arguments: Sequence[str]) -> int:
    """Serve until stdin ends. arguments: the model store or "", and the bytes of address space this may take, or 0."""
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS + 1)
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    if limit := int(arguments[1]):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    models = Path(arguments[0]) if arguments[0] else None
    warm = Warm(lambda: registry.installed(models=models))

    def read(order: WorkOrder) -> StudyImages:
        manifest = warm.manifest(order.pipeline, order.model_digest)
        images, _ = read_inputs(order, manifest, Progress(emit=lambda _: None))
        return images

    def emit(line: str) -> None:
        protocol.write(line + "\n")

    serve(sys.stdin, read, emit)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
