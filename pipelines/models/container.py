"""A model in a container image: the images as NIfTI in, a label map as NIfTI out, nothing else.

    /input/image.nii.gz    float32, modality units, with its place (RAS millimetres)
    /output/labels.nii.gz  label numbers on any grid that says where it lies, named in model.yaml

No header of a patient enters the container, and nothing that it writes is sent: radnode writes the DICOM objects of its
labels, and they pass the gate as any other. Finished DICOM objects of someone else are not taken, since no check could
say that they mean what their labels say.

The image is named by its digest, must be there already (`podman pull`), and runs without network, capabilities,
privileges or a writable file system besides /output and a small /tmp, as a user who is nobody, with limits of memory,
processes and time of the processor (a killed worker does not take its container with it). The worker has no network
either, so the engine must be one that is reached by a Unix socket (docker, or `podman --remote`) or that needs no
privileged helper (podman of root).
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.models import answers, grids, model_file
from radnode.pipelines.models.naming import naming
from radnode.pipelines.models.store import StoreError

if TYPE_CHECKING:
    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

ENGINES = ("podman", "docker")
MEMORY, PROCESSES, SCRATCH, PROCESSOR_S = "16g", 512, "1g", 3600
_NOBODY = 65534
_LARGEST_ANSWER = 2 * 1024**3
_NOT_ON_THIS_MACHINE = 125
"""Exit status of podman-run(1) and docker-run(1) when the engine itself failed."""


class ContainerPipeline:
    """One image. Nothing is kept warm: each run is a container of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            said = model_file.read(folder)
        except StoreError as error:
            raise RunFailed(str(error)) from error
        self._image = said.image or ""
        self._labels = said.output.labels if said.output else {}

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Read the images. Raises RunFailed, naming the model and what is wrong with it."""
        with naming(self._folder), tempfile.TemporaryDirectory(prefix="radnode-container-") as name:
            given, answered = Path(name) / "input", Path(name) / "output"
            given.mkdir()
            answered.mkdir()
            answered.chmod(0o777)  # for a user who is nobody, inside a folder that is this account's alone
            _write(images.volume, given / "image.nii.gz")
            context.stage("running the container")
            _start(command(_engine(), self._image, given, answered, device=context.device))
            labels = _read(answered / "labels.nii.gz")
            named = {str(value): label for value, label in self._labels.items()}
            return answers.segments(labels, {"channel_def": named}, images.volume)


def command(engine: str, image: str, given: Path, answered: Path, *, device: str) -> list[str]:
    """The engine's command line; podman and docker understand the same."""
    user = os.getuid() or _NOBODY
    number = device.partition(":")[2] or "0"
    accelerator = [] if device == "cpu" else ["--device", f"nvidia.com/gpu={number}"]
    return [
        engine, "run", "--rm", "--pull", "never", "--network", "none", "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--user", f"{user}:{user}", "--memory", MEMORY,
        "--pids-limit", str(PROCESSES), "--ulimit", f"cpu={PROCESSOR_S}", "--tmpfs", f"/tmp:rw,size={SCRATCH}",  # noqa: S108 - the container's own
        "--volume", f"{given}:/input:ro", "--volume", f"{answered}:/output:rw", *accelerator, image,
    ]


def _engine() -> str:
    for name in ENGINES:
        if found := shutil.which(name):
            return found
    raise RunFailed(f"no container engine is installed; install {' or '.join(ENGINES)} where the worker runs")


def _start(line: list[str]) -> None:
    """Run it to its end."""
    done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,  # noqa: S603 - no shell
                          stderr=subprocess.PIPE, check=False)
    if done.returncode == _NOT_ON_THIS_MACHINE:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RunFailed(f"the container engine could not start {line[-1]}: {said[-1][:200] if said else 'no reason'}; "
                        "pull the image where the worker runs")
    if done.returncode:
        raise RunFailed(f"its container ended with status {done.returncode}; run it by hand on a test image")


def _write(volume: Volume, path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(volume.voxels.transpose(2, 1, 0), grids.ras_affine(volume)), path)  # type: ignore[no-untyped-call]


def _read(path: Path) -> MetaTensor:
    """The label map, (1, *grid). Raises RunFailed for anything else under its name."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        raise RunFailed("its container wrote no /output/labels.nii.gz; DICOM objects that it writes are not taken, "
                        "let it write a label map") from None
    if not stat.S_ISREG(status.st_mode):
        raise RunFailed("its container made /output/labels.nii.gz something else than a file")
    try:
        image = nibabel.Nifti1Image.from_filename(path)
        if len(image.shape) != 3 or np.prod(image.shape, dtype=np.int64) * 4 > _LARGEST_ANSWER:
            raise RunFailed(f"its label map has the shape {image.shape}; right would be one volume")
        values = np.asarray(image.dataobj)
    except (OSError, ValueError, EOFError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise RunFailed(f"its /output/labels.nii.gz is no NIfTI file ({type(error).__name__})") from error
    if not np.isfinite(values).all() or (values != np.rint(values)).any():
        raise RunFailed("its label map holds values that are no label numbers")
    return MetaTensor(torch.from_numpy(values.astype(np.float32))[None], affine=torch.from_numpy(image.affine))
