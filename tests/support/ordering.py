"""Work items as a manager writes them, in the DICOM JSON model, and a client for UPS-RS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JSON = {"Content-Type": "application/dicom+json"}


def order(
    study: str, series: Mapping[str, Sequence[str]] | None = None, *, code: str = "CHEST", **more: Any
) -> dict[str, Any]:
    """Lungs of a chest CT, please. series: Series Instance UID -> SOP Instance UIDs; none: the whole study."""
    item = Dataset()
    item.ProcedureStepState, item.ScheduledProcedureStepPriority = "SCHEDULED", "HIGH"
    item.InputReadinessState, item.ProcedureStepLabel = "READY", "AI chest CT"
    asked = Dataset()
    asked.CodeValue, asked.CodingSchemeDesignator, asked.CodeMeaning = code, "99HOSP", "Lungs"
    item.ScheduledWorkitemCodeSequence = [asked]
    inputs = []
    for uid, instances in (series or {"": ()}).items():
        one = Dataset()
        one.TypeOfInstances, one.StudyInstanceUID = "DICOM", study
        if uid:
            one.SeriesInstanceUID = uid
        one.ReferencedSOPSequence = Items(_reference(each) for each in instances)
        inputs.append(one)
    item.InputInformationSequence = inputs
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return dict(item.to_json_dict())


def state(name: str, transaction: str = "") -> dict[str, Any]:
    """The body of a change of state."""
    body = Dataset()
    body.ProcedureStepState = name
    if transaction:
        body.TransactionUID = transaction
    return dict(body.to_json_dict())


class UpsClient:
    """Plain requests of PS3.18 11."""

    def __init__(self, port: int, shown: Mapping[str, str] | None = None) -> None:
        """shown: the header with which it comes in."""
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/dicom-web", trust_env=False, timeout=30,
                                    headers=shown)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def create(self, body: Any, query: str = "") -> httpx.Response:
        """Create Workitem."""
        return self._client.post(f"/workitems{query}", content=json.dumps(body), headers=JSON)

    def get(self, uid: str) -> Dataset:
        """Retrieve Workitem."""
        answer = self._client.get(f"/workitems/{uid}")
        assert answer.status_code == 200, answer.text
        return Dataset.from_json(answer.json()[0])

    def search(self, **query: str) -> list[str]:
        """UIDs of what matches."""
        answer = self._client.get("/workitems", params=query)
        if answer.status_code == 204:
            return []
        assert answer.status_code == 200, answer.text
        return [each["00080018"]["Value"][0] for each in answer.json()]

    def change(self, uid: str, name: str, transaction: str = "") -> httpx.Response:
        """Change Workitem State."""
        return self._client.put(f"/workitems/{uid}/state", content=json.dumps(state(name, transaction)), headers=JSON)

    def update(self, uid: str, body: Any, query: str = "") -> httpx.Response:
        """Update Workitem."""
        return self._client.post(f"/workitems/{uid}{query}", content=json.dumps(body), headers=JSON)

    def cancel(self, uid: str) -> httpx.Response:
        """Request Cancellation."""
        return self._client.post(f"/workitems/{uid}/cancelrequest")

    def raw(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Anything else."""
        return self._client.request(method, path, **more)


def _reference(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
    return item
