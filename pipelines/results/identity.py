"""Who made a result and under which UIDs: the same run gives the same UIDs, so that a retry is no second
result.

A job's key already digests its inputs, the pipeline's version and the configuration; everything here derives
from it.
"""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

    from radnode.pipelines.contract import Manifest, WorkOrder

MANUFACTURER = "radnode"

# Fixed for ever: another namespace would give every result of the past a second UID.
_NAMESPACE = uuid.UUID("6f0d0f0c-6b0e-5d0e-9f57-3e1b1c2a9d44")

IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.uuid5(_NAMESPACE, 'implementation').int}"


def derived_uid(*parts: str | int) -> str:
    """A UID that depends on `parts` alone (PS3.5 B.2: 2.25 and a UUID as a decimal number, at most 44
    characters).
    """
    # The unit separator cannot occur in a part, so that no two lists of parts read the same.
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(31).join(map(str, parts))).int}"


def result_uid(job_key: str, form: str, part: str) -> str:
    """The UID of one part ("series", "instance", "tracking lung-left", ...) of one result form of one job.

    The revision is no part of it: a revision has other inputs, hence another key, while a node that lost its database
    counts revisions anew.
    """
    return derived_uid("result", job_key, form, part)


def tracking_uid(job_key: str, segment_key: str) -> str:
    """The Tracking UID (0062,0021) of a segment; SEG and report carry the same, which is how a reader joins
    them.
    """
    return result_uid(job_key, "finding", segment_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made a result, from what, and when.

    started: aware; when the processing began. It dates the result series.
    """

    manifest: Manifest
    order: WorkOrder
    started: datetime

    def uid(self, form: str, part: str) -> str:
        """See :func:`result_uid`."""
        return result_uid(self.order.job_key, form, part)

    def tracking_uid(self, segment_key: str) -> str:
        """See :func:`tracking_uid`."""
        return tracking_uid(self.order.job_key, segment_key)

    def tracking_id(self, segment_key: str) -> str:
        """The Tracking ID (0062,0020): unique within what this pipeline says about the study."""
        return f"{self.manifest.name} {segment_key}"

    @property
    def device_uid(self) -> str:
        """The Device UID (0018,1002) of the algorithm: new for every retrained model, as IHE AI Results
        asks.
        """
        return derived_uid("model", self.manifest.name, self.manifest.version, self.manifest.model_digest)

    @property
    def node_uid(self) -> str:
        """The Device Observer UID of this version of the node."""
        return derived_uid("node", self.order.node_version)

    def series_description(self, kind: str) -> str:
        """ASCII, at most 64 characters (LO); says RESEARCH, because most viewers show nothing else."""
        qualification = self.order.content_qualification
        words = [kind, self.manifest.version, *([qualification] if qualification != "PRODUCT" else [])]
        tail = " " + " ".join(words)
        head = "AI " + _ascii(self.manifest.title)
        return head[: 64 - len(tail)].rstrip() + tail

    def statements(self, images_read: int) -> tuple[str, ...]:
        """What a reader must be able to find out about where the numbers come from, as sentences."""
        manifest, order = self.manifest, self.order
        return (
            f"Made by {manifest.title} ({manifest.name} {manifest.version}) on radnode {order.node_version}. "
            f"Qualification: {order.content_qualification}. Not verified by a person.",
            f"Intended use: {manifest.intended_use.strip()}",
            f"Input: {len(order.instances)} instances received, {images_read} images read. "
            f"Input digest: {order.input_digest}. Revision: {order.revision}.",
            f"Model digest: {manifest.model_digest}. Configuration digest: {order.configuration_digest}.",
        )


def local_time(provenance: Provenance, source: Dataset) -> datetime:
    """The start of processing in the time zone the source's times are in.

    PS3.3 C.12.1.1.8: Timezone Offset From UTC governs every time of an object, the copied Study Time as well.
    Where the source has none its times are local to the hospital, and so are ours, without naming an offset.
    """
    offset = str(source.get("TimezoneOffsetFromUTC", "") or "")
    if not offset:
        return provenance.started.astimezone()
    sign = -1 if offset[0] == "-" else 1
    zone = timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5])))
    return provenance.started.astimezone(zone)


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
