"""A FHIR R4 server and the OAuth 2 server that lets the node in: tests/fhir in Node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from support.processes import Program, missing, required
from support.waiting import eventually

if TYPE_CHECKING:
    from radnode.config.messaging import FhirDestination, FhirServer

FOLDER = Path(__file__).resolve().parents[1] / "fhir"
CLIENT, SECRET = "radnode", "secret of the test"


class FhirPeer:
    """Started on a free port of this machine, and empty."""

    def __init__(self, folder: Path) -> None:
        if not (FOLDER / "node_modules").is_dir():
            missing("the FHIR server is not installed; run deploy/peers/install.sh")
        self._log = folder / "fhir.log"
        self.secret_file = folder / "fhir-secret"
        self.secret_file.write_text(SECRET)
        self._program = Program([_node(), FOLDER / "server.mjs"], self._log)
        self.port = int(eventually(self._said_port, within=60, why=lambda: self._log.read_text()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()

    @property
    def url(self) -> str:
        """Its base."""
        return f"http://127.0.0.1:{self.port}/fhir"

    def section(self, **more: Any) -> dict[str, Any]:
        """What a configuration says of it."""
        oauth2 = {"token_url": f"http://127.0.0.1:{self.port}/token", "client_id": CLIENT,
                  "secret_file": str(self.secret_file), "scope": "system/*.write"}
        return {"url": self.url, "oauth2": oauth2, **more}

    def all(self, resource: str, **parameters: str) -> list[dict[str, Any]]:
        """Every resource of a kind that it has."""
        found = httpx.get(f"{self.url}/{resource}", params={"_count": "100", **parameters}, headers=self._headers(),
                          trust_env=False).json()
        return [entry["resource"] for entry in found.get("entry", [])]

    def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Have it keep a resource, as an order system would."""
        answer = httpx.post(f"{self.url}/{resource['resourceType']}", json=resource, headers=self._headers(),
                            trust_env=False)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def _headers(self) -> dict[str, str]:
        answer = httpx.post(f"http://127.0.0.1:{self.port}/token", auth=(CLIENT, SECRET.replace(" ", "%20")),
                            data={"grant_type": "client_credentials"}, trust_env=False)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def _said_port(self) -> str:
        return next((line for line in self._log.read_text().splitlines() if line.isdecimal()), "")


def _node() -> str:
    """That of the viewer's tests, or the machine's."""
    newer = sorted((FOLDER.parent / "ohif" / "node_modules").glob("node-linux-*/bin/node"))
    return str(newer[0]) if newer else required("node")


def destination(peer: FhirPeer, name: str = "EHR", **more: Any) -> FhirDestination:
    """The server as one that gets results."""
    from radnode.config.messaging import FhirDestination  # noqa: PLC0415

    return FhirDestination(name=name, **peer.section(**more))


def server(peer: FhirPeer) -> FhirServer:
    """The server as one that is asked."""
    from radnode.config.messaging import FhirServer  # noqa: PLC0415

    return FhirServer(**peer.section())
