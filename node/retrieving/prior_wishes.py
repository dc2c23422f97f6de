"""Which priors a job wants: of whom, how many, how old. Decided when the job is made, from its own images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radnode.config.loading import Problem
from radnode.pipelines.sources.priors import day
from radnode.storage import priors
from radnode.storage.priors import Patient, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.config.pulls import Priors
    from radnode.config.routes import Route
    from radnode.pipelines.contract import Manifest
    from radnode.storage.catalog import InstanceHeader


def want_priors(
    session: Session, configuration: Configuration, asking: Sequence[Route], job_id: int, *,
    headers: Sequence[InstanceHeader], source: str, now: datetime,
) -> None:
    """Have the job wait for what its routes want, in the transaction that inserts it."""
    wanted = next((route.priors for route in asking if route.priors), None)
    if wanted is None:
        return
    archive = wanted.source or source
    found = wish(wanted, headers[0].attributes)
    if archive not in configuration.retrieving.archives:
        found = f"{archive} is no archive that can be asked"
    if isinstance(found, str):
        priors.do_without(session, job_id, f"Earlier studies were not looked for: {found}.", now)
    else:
        priors.ask(session, job_id, archive, found, now)


def wish(wanted: Priors, attributes: Mapping[str, Any]) -> Wanted | str:
    """What is asked for, or why nothing can be. attributes: of an image of the study."""
    patient = Patient.of(attributes)
    study_date = day(str(attributes.get("StudyDate") or ""))
    modality = str(attributes.get("Modality") or "")
    if not patient.patient_id:
        return "the images have no Patient ID"
    if study_date is None:
        return "the images have no Study Date"
    if set(patient.patient_id) & set("*?\\"):
        return "the Patient ID has characters that mean others in a query"
    return Wanted(
        study_instance_uid=str(attributes.get("StudyInstanceUID") or ""), study_date=study_date, patient=patient,
        modality=modality if "modality" in wanted.same else "",
        body_part=str(attributes.get("BodyPartExamined") or "").strip() if "body_part" in wanted.same else "",
        studies=wanted.studies, days=round(wanted.years * 365.25), wait_s=wanted.wait.total_seconds(),
    )


def useless(configuration: Configuration, manifests: Mapping[str, Manifest]) -> Iterator[Problem]:
    """Routes that would fetch priors which none of their pipelines reads."""
    for number, route in enumerate(configuration.routes):
        known = [manifests[name] for name in route.run if name in manifests]
        if route.priors and known and not any(each.priors for each in known):
            able = sorted(name for name, each in manifests.items() if each.priors)
            yield Problem(
                file=configuration.name, line=configuration.lines.get(("routes", number, "priors"), 1),
                message=f"routes.{route.name}: priors: none of its pipelines compares with earlier studies",
                cure=f"leave it out, or run one of {', '.join(able)}" if able else "leave it out",
            )
