"""The settings of a node. Each exists because an administrator may have to change it; `defaults/radnode.yaml` is
the manual."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from radnode.config.peers import AETitle, Host, Size
from radnode.config.sections import Section, empty_or_section

if TYPE_CHECKING:
    from collections.abc import Mapping

TAKEN_OVER = frozenset({"quiet_time_s", "settle_time_s", "hold_after_s", "accept_unknown_peers", "viewer_url"})
"""Settings that a running node takes over from a changed file; the others need a restart."""

_DATABASES = ("sqlite:///", "postgresql+psycopg://")

def _database_url(value: str | None) -> str | None:
    if value is not None and not value.startswith(_DATABASES):
        raise ValueError(f"it begins with {' or '.join(_DATABASES)}")
    return value


def _folder(value: object) -> object:
    if value == "" or not isinstance(value, str | Path):
        raise ValueError("write a folder, for example /var/lib/radnode")
    return value


def _viewer_url(value: str | None) -> str | None:
    if value is None:
        return None
    example = "for example https://viewer.hospital.example/viewer?StudyInstanceUIDs={study_instance_uid}"
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?/[!-~]*", value):
        raise ValueError(f"write the address of the viewer, with http:// or https:// and a path, {example}")
    if unknown := [each for each in re.findall(r"[{}][^{}]*[}]?", value) if each != "{study_instance_uid}"]:
        raise ValueError(f"{unknown[0]} is no field; the only one is {{study_instance_uid}}")
    if "{study_instance_uid}" not in value:
        raise ValueError(f"it does not say where the study goes: write {{study_instance_uid}}, {example}")
    return value


Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$")]
"""Of a web page (RFC 6454): no path, no final slash."""
ListeningPort = Annotated[int, Field(ge=0, le=65535)]


class Worker(Section):
    """One worker process: its torch device and its limits."""

    device: Annotated[str, Field(pattern=r"^(cpu|cuda(:\d+)?)$")] = "cpu"
    memory_limit: Size = 8 * 10**9
    time_limit_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0


class RayCluster(Section):
    """A Ray cluster that has the workers. cpus, gpus: what Ray keeps for each, gpus for one whose device is cuda."""

    address: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]-]+:\d{1,5}$")]
    cpus: Annotated[float, Field(gt=0, le=256)] = 1.0
    gpus: Annotated[float, Field(gt=0, le=8)] = 1.0


class ListeningTls(Section):
    """TLS of the node's own ports. ca: who signs the certificates of peers; crl: what it has revoked."""

    port: ListeningPort = 2762
    certificate: Path
    key: Path
    ca: Path | None = None
    crl: Path | None = None


class DicomWeb(Section):
    """Where STOW-RS is served. tls: with the files of the node's `tls`."""

    host: Host = "127.0.0.1"
    port: ListeningPort = 8043
    tls: bool = False


class Settings(Section):
    """The section `node` of a configuration. Sizes are bytes, `_s` seconds."""

    ae_title: AETitle = "RADNODE"
    host: Host = "0.0.0.0"  # noqa: S104 - a PACS is on another machine
    dicom_port: ListeningPort = 11112
    tls: Annotated[ListeningTls | None, BeforeValidator(empty_or_section)] = None
    dicomweb: Annotated[DicomWeb | None, BeforeValidator(empty_or_section)] = None
    http_host: Host = "127.0.0.1"
    http_port: ListeningPort = 8042
    http_tls: bool = False
    viewer_origins: tuple[Origin, ...] = ()
    viewer_url: Annotated[str | None, AfterValidator(_viewer_url)] = None
    data: Annotated[Path, BeforeValidator(_folder)] = Path("radnode-data")
    models: Annotated[Path, BeforeValidator(_folder)] | None = None
    database_url: Annotated[str | None, AfterValidator(_database_url), Field(repr=False)] = None
    disk_reserve: Size = 5 * 10**9
    accept_unknown_peers: bool = False
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 50
    max_associations_per_host: Annotated[int, Field(ge=1, le=1000)] = 25
    max_object: Size = 4 * 10**9
    association_idle_s: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    quiet_time_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    settle_time_s: Annotated[float, Field(ge=0.1, le=60)] = 0.5
    hold_after_s: Annotated[float, Field(ge=1, le=86_400)] = 120.0
    workers: Annotated[tuple[Worker, ...], Field(min_length=1)] = (Worker(),)
    ray: Annotated[RayCluster | None, BeforeValidator(empty_or_section)] = None
    retention_days: Annotated[float, Field(ge=4, le=3650)] = 14.0
    content_qualification: Literal["RESEARCH", "PRODUCT", "SERVICE"] = "RESEARCH"
    report_language: Literal["en", "zh"] = "en"
    confirm_within_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    json_logs: bool = False

    @field_validator("ray")
    @classmethod
    def _ray_chooses_the_gpu(cls, value: RayCluster | None, info: ValidationInfo) -> RayCluster | None:
        if value is not None and any(":" in worker.device for worker in info.data.get("workers", ())):
            raise ValueError("Ray says which GPU a worker gets; write `device: cuda` at each of `workers`")
        return value

    @property
    def effective_database_url(self) -> str:
        """The configured database, or SQLite beside the images."""
        return self.database_url or f"sqlite:///{self.data / 'radnode.db'}"

    @property
    def model_store(self) -> Path:
        """Where models lie; by default beside the images."""
        return self.models or self.data / "models"


def overridden(section: Mapping[str, Any]) -> dict[str, Any]:
    """The section with what the environment says instead: RADNODE_DATABASE_URL, RADNODE_DATA."""
    changed = dict(section)
    for variable, name in (("RADNODE_DATABASE_URL", "database_url"), ("RADNODE_DATA", "data")):
        if value := os.environ.get(variable):
            changed[name] = value
    return changed
