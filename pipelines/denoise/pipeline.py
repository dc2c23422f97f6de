"""The pipeline: one series in, the same slices with less noise out, as a derived series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.denoising import denoised, noise_of, tissue_of
from radnode.pipelines.findings import Code, DerivedImage, Findings

if TYPE_CHECKING:
    from radnode.pipelines.contract import RunContext, StudyImages

UNITS = {"CT": Code("[hnsf'U]", "UCUM", "Hounsfield unit"), "MR": Code("1", "UCUM", "no units")}
_SAID = (
    "A series with less noise was computed from these images; no scanner acquired it. Read it beside the acquired "
    "images and measure on those: what is no larger than a few voxels or hardly above the noise may be fainter in it, "
    "or gone."
)


class Denoise:
    """The derived series. Findings it makes none."""

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Raises NotProcessed where the noise cannot be told."""
        volume = images.volume
        context.stage("measuring the noise")
        tissue = tissue_of(volume.voxels, volume.valid)
        before = noise_of(volume.voxels, tissue)
        if before <= 0:
            raise NotProcessed("too little even tissue to tell the noise of these images, so it cannot be made less")
        context.stage("making it less")
        values = denoised(volume.voxels, volume.spacing_mm, before)
        whole = images.modality == "CT" or bool((volume.voxels == np.rint(volume.voxels)).all())
        values = np.rint(values) if whole else values
        unit = " HU" if images.modality == "CT" else ""
        return Findings(
            volume=volume,
            derived=DerivedImage(
                key="image", label="less noise", values=values, unit=UNITS[images.modality],
                derivation="Noise was made less by a guided filter of the images by themselves (He 2013); no trained "
                           "model.",
            ),
            remarks=(_SAID, f"Noise in even tissue: {before:.3g}{unit} before, {noise_of(values, tissue):.3g}{unit} "
                            "after (standard deviation in boxes of 7 x 7 pixels, the quieter quarter)."),
        )
