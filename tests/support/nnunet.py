"""Results folders of nnU-Net v2 in the layout that `nnUNetv2_train` writes, with a tiny untrained network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LABELS = {"background": 0, "spleen": 1, "liver": 2}


def plans(**architecture: Any) -> dict[str, Any]:
    """plans.json of nnU-Net 2.8, one configuration, as `nnUNetv2_plan_experiment` writes it."""
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    probabilities = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    return {
        "dataset_name": "Dataset001_Tiny", "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [8.0, 6.5, 6.5], "original_median_shape_after_transp": [20, 40, 40],
        "image_reader_writer": "SimpleITKIO", "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner", "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {
            "max": 400.0, "mean": -300.0, "median": -200.0, "min": -1000.0, "percentile_00_5": -1000.0,
            "percentile_99_5": 400.0, "std": 350.0}},
        "configurations": {"3d_fullres": {
            "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
            "patch_size": [20, 32, 40], "median_image_size_in_voxels": [20, 40, 40], "spacing": [8.0, 7.0, 7.0],
            "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
            "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_seg": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": resampling,
            "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities_kwargs": probabilities,
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": 2, "features_per_stage": [4, 8], "conv_op": "torch.nn.modules.conv.Conv3d",
                    "kernel_sizes": [[3, 3, 3], [3, 3, 3]], "strides": [[1, 1, 1], [2, 2, 2]],
                    "n_conv_per_stage": [1, 1], "n_conv_per_stage_decoder": [1], "conv_bias": True,
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                    "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
                    "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True}},
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"], **architecture},
            "batch_dice": False,
        }},
    }


def checkpoint(weights: Mapping[str, torch.Tensor], said: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    """What nnUNetTrainer.save_checkpoint saves, numpy numbers among the scores included."""
    return {
        "network_weights": dict(weights), "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": {"scale": 65536.0, "_growth_tracker": 0},
        "logging": {"mean_fg_dice": [np.float64(0.5)], "ema_fg_dice": [np.float64(0.5)], "lrs": [0.01],
                    "train_losses": [np.float32(-0.1)]},
        "_best_ema": np.float64(0.5), "current_epoch": 1000,
        "init_args": {"plans": said, "configuration": "3d_fullres", "fold": 0, "dataset_json": dataset,
                      "device": torch.device("cuda")},
        "trainer_name": "nnUNetTrainer", "inference_allowed_mirroring_axes": (2,),
    }


def write_results(folder: Path, *, folds: int = 1, labels: Mapping[str, Any] | None = None,
                  model_yaml: Mapping[str, Any] | None = None, seed: int = 5) -> Path:
    """nnUNetTrainer__nnUNetPlans__3d_fullres. model_yaml: changes to the description; a key with None is left out."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans  # noqa: PLC0415 - an extra
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager  # noqa: PLC0415

    said = plans()
    dataset = {"channel_names": {"0": "CT"}, "labels": dict(labels or LABELS), "numTraining": 1,
               "file_ending": ".nii.gz"}
    if any(isinstance(value, list) for value in dataset["labels"].values()):
        dataset["regions_class_order"] = [1, 2]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(said))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    manager = PlansManager(said)
    configuration = manager.get_configuration("3d_fullres")
    for fold in range(folds):
        torch.manual_seed(seed + fold)
        network = get_network_from_plans(
            configuration.network_arch_class_name, configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import, 1,
            manager.get_label_manager(dataset).num_segmentation_heads, deep_supervision=False)
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(checkpoint(network.state_dict(), said, dataset), folder / f"fold_{fold}" / "checkpoint_final.pth")
    description: dict[str, Any] = {
        "name": "Tiny nnU-Net", "version": "2.0.0", "runtime": "nnunet", "modality": "CT",
        "input": {"orientation": "RAS"}, "licence": "MIT", "intended_use": "Tests alone.", **(model_yaml or {}),
    }
    if model_yaml is None or model_yaml:
        with (folder / "model.yaml").open("w") as file:
            YAML(typ="safe", pure=True).dump({key: value for key, value in description.items() if value}, file)
    return folder
