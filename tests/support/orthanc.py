"""Orthanc, a real PACS, as it runs in hospitals: forwards by its own rules, keeps what it is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pydicom

from support import dcmtk
from support.network import free_port
from support.processes import Program, required
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

# An administrator's usual rule: what did not come from the node goes to the node. In Orthanc 1.10.1
# `SendToModality` takes instance ids only, and the sender is known of an instance, not of a study.
_FORWARD_FOREIGN = """
function OnStableStudy(studyId, tags, metadata)
  local send = {}
  for _, series in ipairs(ParseJson(RestApiGet('/studies/' .. studyId))['Series']) do
    local one = ParseJson(RestApiGet('/series/' .. series))['Instances'][1]
    local sender = RestApiGet('/instances/' .. one .. '/metadata/RemoteAET')
    if sender ~= '%(node)s' then table.insert(send, series) end
  end
  if #send > 0 then
    RestApiPost('/modalities/node/store', DumpJson({Resources = send, Synchronous = false}, true))
  end
end
"""

# The careless rule, seen often: everything, the node's own results too, each time the study is stable again.
_FORWARD_ALL = """
function OnStableStudy(studyId, tags, metadata)
  RestApiPost('/modalities/node/store', DumpJson({Resources = {studyId}, Synchronous = false}, true))
end
"""

Forwarding = Literal["foreign", "all", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The AE that Orthanc forwards to."""

    ae_title: str
    port: int
    host: str = "127.0.0.1"


class Orthanc:
    """One Orthanc process with its own database, AE title and ports.

    It listens on all addresses and has no setting for that; tests therefore run in a private network
    (support.network), and its HTTP side answers loopback only.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "ORTHANC",
        node: Target | None = None,
        forward: Forwarding = "nothing",
        stable_age_s: int = 2,
        unknown_classes: bool = True,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.ae_title = ae_title
        self.port = free_port()
        self.http_port = free_port()
        self._node = node
        self._forward = forward
        self._stable_age_s = stable_age_s
        self._unknown_classes = unknown_classes
        self._more = more or {}
        self._program: Program | None = None

    def __enter__(self) -> Orthanc:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, or start again with everything it had; returns when it answers."""
        executable = required("/usr/sbin/Orthanc")
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration(), indent=2))
        self._program = Program([executable, configuration], self.folder / "orthanc.log", dcmtk.ENVIRONMENT)
        eventually(self._answers, within=30, why=lambda: f"Orthanc answers\n{self.log()}")

    def stop(self) -> None:
        """End it in order; the database stays."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def kill(self) -> None:
        """The PACS dies without a word."""
        if self._program is not None:
            self._program.kill()
            self._program = None

    def log(self, lines: int = 40) -> str:
        """The last lines of its log, for the message of a failed test."""
        return self._program.tail(lines) if self._program is not None else "(not running)"

    def send(self, what: Path | Sequence[Path], *, calling: str = "CTSCAN") -> None:
        """Store files as a modality does."""
        dcmtk.dcmsend(self.port, what, called=self.ae_title, calling=calling)

    def get(self, path: str) -> Any:
        """REST GET, decoded."""
        return json.loads(self._call("GET", path))

    def post(self, path: str, body: object) -> Any:
        """REST POST, decoded."""
        return json.loads(self._call("POST", path, json.dumps(body).encode()))

    def delete(self, path: str) -> None:
        """REST DELETE."""
        self._call("DELETE", path)

    def resources(self, study_instance_uid: str) -> list[str]:
        """What Orthanc calls the instances of a study."""
        return [identifier for identifier, _ in self._tagged(study_instance_uid, {})]

    def forward_again(self, study_instance_uid: str) -> None:
        """What an administrator does by hand: the whole study to the node once more, results included."""
        study = self._study(study_instance_uid)
        assert study, f"{study_instance_uid} is not in Orthanc"
        self.post("/modalities/node/store", {"Resources": [study], "Synchronous": True})

    def instances(self, study_instance_uid: str, **tags: str) -> list[str]:
        """SOP Instance UIDs of a study: all, or those with these tags (SOPClassUID, Modality ...)."""
        return sorted(found["SOPInstanceUID"] for _, found in self._tagged(study_instance_uid, tags))

    def datasets(self, study_instance_uid: str, **tags: str) -> list[pydicom.Dataset]:
        """The instances themselves, as Orthanc would hand them to a viewer."""
        found = []
        for identifier, _ in self._tagged(study_instance_uid, tags):
            target = self.folder / f"{identifier}.dcm"
            target.write_bytes(self._call("GET", f"/instances/{identifier}/file"))
            found.append(pydicom.dcmread(target))
        return found

    def wait_for(
        self, study_instance_uid: str, *, count: int = 1, within: float = 120, **tags: str
    ) -> list[pydicom.Dataset]:
        """The instances with these tags in a study, once at least `count` are there."""
        eventually(
            lambda: len(self.instances(study_instance_uid, **tags)) >= count,
            within=within,
            every=0.5,
            why=lambda: f"{count} x {tags} in Orthanc\n{self.log()}",
        )
        return self.datasets(study_instance_uid, **tags)

    def _configuration(self) -> dict[str, Any]:
        modalities = {}
        if self._node is not None:
            modalities["node"] = [self._node.ae_title, self._node.host, self._node.port]
        plugins = [str(_DICOMWEB)] if _DICOMWEB.exists() else []
        return {
            "Name": self.ae_title,
            "StorageDirectory": str(self.folder / "db"),
            "IndexDirectory": str(self.folder / "db"),
            "HttpPort": self.http_port,
            "DicomPort": self.port,
            "DicomAet": self.ae_title,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {"test": "test"},
            "StableAge": self._stable_age_s,
            "OverwriteInstances": False,
            "UnknownSopClassAccepted": self._unknown_classes,
            "DicomModalities": modalities,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "LuaScripts": self._scripts(),
            "Plugins": plugins,
            "DicomWeb": {
                "Enable": True,
                "Root": "/dicom-web/",
                "StudiesMetadata": "Full",
                "SeriesMetadata": "Full",
            },
            **self._more,
        }

    def _scripts(self) -> list[str]:
        if self._node is None or self._forward == "nothing":
            return []
        text = _FORWARD_ALL if self._forward == "all" else _FORWARD_FOREIGN % {"node": self._node.ae_title}
        script = self.folder / "forward.lua"
        script.write_text(text)
        return [str(script)]

    def _answers(self) -> bool:
        assert self._program is not None
        assert self._program.ended is None, f"Orthanc ended\n{self.log()}"
        try:
            return bool(self.get("/system"))
        except httpx.TransportError:
            return False

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        with httpx.Client(auth=("test", "test"), timeout=60, trust_env=False) as client:
            response = client.request(method, url, content=body)
        response.raise_for_status()
        return response.content

    def _study(self, study_instance_uid: str) -> str | None:
        query = {"Level": "Study", "Query": {"StudyInstanceUID": study_instance_uid}}
        found = self.post("/tools/find", query)
        return found[0] if found else None

    def _tagged(self, study_instance_uid: str, wanted: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
        study = self._study(study_instance_uid)
        if study is None:
            return []
        found = []
        for instance in self.get(f"/studies/{study}/instances"):
            tags = self.get(f"/instances/{instance['ID']}/simplified-tags")
            if all(tags.get(keyword) == value for keyword, value in wanted.items()):
                found.append((instance["ID"], tags))
        return found
