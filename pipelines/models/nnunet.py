"""A results folder of nnU-Net v2 as a pipeline: nnU-Net's own preprocessing, network and resampling, kept warm.

nnU-Net unpickles its checkpoints and takes any class that its plans name. Here weights are read with `weights_only`,
and plans name classes of its own network library and of torch.nn alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.models import answers, nnunet_folder
from radnode.pipelines.models.finite import finite
from radnode.pipelines.models.model_file import Input
from radnode.pipelines.models.naming import naming
from radnode.pipelines.models.preparing import prepare
from radnode.pipelines.models.store import StoreError
from radnode.pipelines.models.weights import tensors_and_arrays_only

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.findings import Findings

_NETWORKS, _PARTS = "dynamic_network_architectures.architectures.", "torch.nn."


@dataclass(frozen=True, slots=True)
class _Opened:
    predictor: Any
    plans: Any
    configuration: Any
    dataset: dict[str, Any]
    device: str


class NnunetPipeline:
    """One results folder. Construction reads its description; the weights are loaded on the device of the first run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._said = nnunet_folder.read(folder)
        except StoreError as error:
            raise RunFailed(str(error)) from error
        self._opened: _Opened | None = None

    def load(self, device: str) -> None:
        """Load its networks on that device, as the first run would. Raises RunFailed."""
        with naming(self._folder):
            self._opened = _open(self._folder, device)

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Read the images. Raises RunFailed, naming the model and what is wrong with it."""
        if self._opened is None or self._opened.device != context.device:
            context.stage("loading")
            self.load(context.device)
        context.stage("running nnU-Net")
        with naming(self._folder):
            return _run(self._opened, images, self._said.input or Input())


def _run(opened: _Opened | None, images: StudyImages, said: Input) -> Findings:
    from nnunetv2.inference.export_prediction import (  # noqa: PLC0415 - an extra
        convert_predicted_logits_to_segmentation_with_correct_shape as back_to_the_image,
    )
    if opened is None:
        raise RunFailed("its networks are not loaded")
    image, _ = prepare(images.volume, Input(orientation=said.orientation))
    affine = image.affine
    # nnU-Net's axes are (z, y, x).
    voxels = image[0].cpu().numpy().transpose(2, 1, 0)
    spacing = [float(each) for each in np.linalg.norm(affine.cpu().numpy()[:3, :3], axis=0)[::-1]]
    preprocessor = opened.configuration.preprocessor_class(verbose=False)
    data, _, properties = preprocessor.run_case_npy(
        voxels[None], None, {"spacing": spacing}, opened.plans, opened.configuration, opened.dataset)
    logits = finite(opened.predictor.predict_logits_from_preprocessed_data(torch.as_tensor(data)).cpu())
    labels = opened.predictor.label_manager
    answer = back_to_the_image(logits, opened.plans, opened.configuration, labels, properties,
                               return_probabilities=labels.has_regions, num_threads_torch=torch.get_num_threads())
    found = answer[1] >= 0.5 if labels.has_regions else answer[None]
    names = _names(opened.dataset, regions=labels.has_regions)
    placed = MetaTensor(torch.from_numpy(np.asarray(found).astype(np.float32).transpose(0, 3, 2, 1).copy()),
                        affine=affine)
    return answers.segments(placed, {"channel_def": names}, images.volume)


def _names(dataset: dict[str, Any], *, regions: bool) -> dict[str, str]:
    """Label value, or number of the region, -> name."""
    named = dataset["labels"]
    if regions:
        kept = [name for name, value in named.items() if name != "ignore" and value != 0]
        return {str(number): name for number, name in enumerate(kept)}
    return {str(int(value)): name for name, value in named.items() if name != "ignore"}


def _open(folder: Path, device: str) -> _Opened:
    try:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: PLC0415 - an extra
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans  # noqa: PLC0415
        from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels  # noqa: PLC0415
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager  # noqa: PLC0415
    except ImportError as error:
        raise RunFailed("nnU-Net is not installed: pip install 'radnode[nnunet]'") from error
    dataset = nnunet_folder.content(folder, nnunet_folder.DATASET)
    read = [_read(path) for path in nnunet_folder.checkpoints(folder)]
    try:
        plans = PlansManager(nnunet_folder.content(folder, nnunet_folder.PLANS))
        configuration = plans.get_configuration(read[0]["init_args"]["configuration"])
        channels = determine_num_input_channels(plans, configuration, dataset)
        if configuration.previous_stage_name is not None or channels != 1:
            raise RunFailed(f"it reads {channels} images at once or the answer of another model (a cascade); that is "
                            "not supported")
        network = get_network_from_plans(
            *_architecture(configuration), channels, plans.get_label_manager(dataset).num_segmentation_heads,
            allow_init=False, deep_supervision=False)
        weights = [each["network_weights"] for each in read]
        network.load_state_dict(weights[0])
        predictor = nnUNetPredictor(device=torch.device(device), allow_tqdm=False)
        predictor.manual_initialization(network.to(device).eval(), plans, configuration, weights, dataset,
                                        str(read[0]["trainer_name"]), read[0].get("inference_allowed_mirroring_axes"))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ImportError) as error:
        raise RunFailed(f"plans.json and the weights are not those of one training: {type(error).__name__}: "
                        f"{' '.join(str(error).split())[:200]}") from error
    return _Opened(predictor, plans, configuration, dataset, device)


def _architecture(configuration: Any) -> tuple[str, dict[str, Any], list[str]]:
    name, options = configuration.network_arch_class_name, configuration.network_arch_init_kwargs
    classes = configuration.network_arch_init_kwargs_req_import
    foreign = [str(options[key]) for key in classes
               if options.get(key) and not str(options[key]).startswith(_PARTS)]
    if not name.startswith(_NETWORKS) or foreign:
        raise RunFailed(f"plans.json names {', '.join([name, *foreign])!a}; only networks of "
                        "dynamic_network_architectures with parts of torch.nn are built")
    return name, options, classes


def _read(path: Path) -> dict[str, Any]:
    """A checkpoint: tensors, numbers and texts, nothing that would run."""
    try:
        with tensors_and_arrays_only():
            found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle.UnpicklingError and much else for what it will not read
        raise RunFailed(f"{path.parent.name}/{path.name} holds more than weights, or is damaged "
                        f"({type(error).__name__}); bring it anew from its authors") from error
    return found
