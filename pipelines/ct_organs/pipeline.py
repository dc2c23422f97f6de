"""The pipeline: images in, organs and tissues of the abdominal wall and cavity out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.pipelines.ct_lung.pipeline import refuse_other_units
from radnode.pipelines.ct_organs.volumes import measured
from radnode.pipelines.findings import Findings
from radnode.pipelines.slot import WithLabels, segmented

if TYPE_CHECKING:
    from radnode.pipelines.contract import RunContext, StudyImages

NO_MODEL = (
    "No organs were segmented: no model is in the slot of this pipeline (`radnode models add ... --name "
    "ct-organs-labels`)."
)


class CtOrgans(WithLabels):
    """Volumes of the organs that a model segments, and body composition on one slice."""

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Segment and measure. Raises NotProcessed for images that are not in Hounsfield units, RunFailed for a model
        that exchanges the patient's sides.
        """
        volume = images.volume
        refuse_other_units(volume)
        segments, measurements, said = (), [], [NO_MODEL]
        if self.model is not None:
            found = segmented(self.model, images, context)
            context.stage("measuring")
            segments = found.segments
            measurements, remarks = measured(segments, volume)
            said = [*found.remarks, *remarks]
        return Findings(volume=volume, segments=segments, measurements=tuple(measurements), remarks=tuple(said))
