"""What passes between the node and a worker: orders out of rows, kept files out of reports."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from radnode.pipelines.contract import InputInstance, Predecessor, PriorSeries, WorkOrder
from radnode.pipelines.forms import MESSAGES, REPORTS, Wanted
from radnode.storage.results import NewResultObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from radnode.pipelines.contract import Manifest, ProducedObject
    from radnode.pipelines.languages import Language
    from radnode.storage.files import FileStore
    from radnode.storage.jobs import LeasedJob
    from radnode.storage.priors import PriorInstance
    from radnode.storage.results import SentObject

RESULTS: Final = "results"


def made_by(manifest: Manifest, content_qualification: str) -> dict[str, str]:
    """What findings came from. Only the same may write them again, or the result would name another as its maker."""
    return {
        "version": manifest.version, "model_digest": manifest.model_digest,
        "content_qualification": content_qualification,
    }


def work_order(
    job: LeasedJob,
    store: FileStore,
    names: Iterable[str],
    *,
    folder: Path,
    device: str,
    content_qualification: str,
    node_version: str,
    model_digest: str,
    language: Language,
    sent_before: Iterable[SentObject],
    findings: str = "",
    earlier: Iterable[PriorInstance] = (),
    remarks: Iterable[str] = (),
    issuers: Mapping[str, str] | None = None,
) -> WorkOrder:
    """A job as a worker reads it. names: the objects to write; findings: the kept file to write them from.

    sent_before: what destinations hold of the revisions before this one. earlier: the frozen priors; remarks: what the
    result says of those that are not among them.
    """
    wanted = sorted(set(names))
    return WorkOrder(
        job_key=job.key,
        pipeline=job.pipeline,
        revision=job.revision,
        instances=tuple(
            InputInstance(
                sop_instance_uid=each.sop_instance_uid,
                series_instance_uid=each.series_instance_uid,
                digest=each.digest,
                path=str(store.path(each.digest)),
            )
            for each in job.inputs
        ),
        input_digest=job.input_digest,
        configuration_digest=job.configuration_digest,
        forms=tuple(wanted),
        content_qualification=content_qualification,
        output_folder=str(folder),
        device=device,
        node_version=node_version,
        findings=findings,
        model_digest=model_digest,
        language=language,
        issuers=issuers or {},
        predecessors=tuple(
            Predecessor(
                name=each.name, sop_class_uid=each.sop_class_uid, sop_instance_uid=each.sop_instance_uid,
                series_instance_uid=each.series_instance_uid, study_instance_uid=each.study_instance_uid,
            )
            for each in sent_before if each.name in wanted and Wanted.parse(each.name).form in {*REPORTS, *MESSAGES}
        ),
        priors=_priors(earlier, store),
        prior_remarks=tuple(remarks),
    )


def _priors(instances: Iterable[PriorInstance], store: FileStore) -> tuple[PriorSeries, ...]:
    """By series, the latest study first."""
    found: dict[tuple[str, str, str], list[InputInstance]] = {}
    for each in instances:
        found.setdefault((each.study_date, each.study_instance_uid, each.series_instance_uid), []).append(InputInstance(
            sop_instance_uid=each.sop_instance_uid, series_instance_uid=each.series_instance_uid, digest=each.digest,
            path=str(store.path(each.digest)),
        ))
    return tuple(
        PriorSeries(study_date=day, study_instance_uid=study, series_instance_uid=series, instances=tuple(images))
        for (day, study, series), images in sorted(found.items(), reverse=True)
    )


def keep_object(store: FileStore, produced: ProducedObject) -> NewResultObject:
    """Move a result file into the store.

    If a result was recorded under its UID before the database was lost, that one is sent again: its bytes may be in an
    archive, and a UID stands for one content.
    """
    if recorded := store.remembered(produced.sop_instance_uid):
        shutil.copyfile(recorded, produced.path)
    size_bytes = Path(produced.path).stat().st_size
    return NewResultObject(
        name=produced.name,
        form=produced.form,
        order=produced.order,
        sop_class_uid=produced.sop_class_uid,
        sop_instance_uid=produced.sop_instance_uid,
        series_instance_uid=produced.series_instance_uid,
        transfer_syntax_uid=produced.transfer_syntax_uid,
        digest=keep_file(store, Path(produced.path)),
        size_bytes=size_bytes,
        references=list(produced.references),
    )


def remember(store: FileStore, objects: Iterable[NewResultObject]) -> None:
    """These are in the database now and may be sent: nothing else ever under their UIDs."""
    for each in objects:
        store.remember(each.sop_instance_uid, each.digest)


def keep_file(store: FileStore, path: Path) -> str:
    """Move a file of a run into the store; returns the digest it is found under."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    store.keep(path, digest, area=RESULTS)
    path.unlink()
    return digest
