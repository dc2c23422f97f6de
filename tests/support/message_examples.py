"""The messages that docs/hl7-fhir.md shows, made by the node's own code.

Renew: PYTHONPATH=tests python -m support.message_examples
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from radnode.node.messaging.acknowledging import acknowledgements
from radnode.node.messaging.taking import TAKEN, Outcome
from radnode.pipelines.forms import MESSAGES, Wanted
from radnode.pipelines.messages import hl7, producing
from radnode.pipelines.results.writers import write
from radnode.pipelines.results.writing import Making
from support.messages import order
from support.result_samples import sample

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hl7-fhir.md"
_BLOCK = re.compile(r"(<!-- (\w[\w-]*) -->\n```\w*\n)(.*?)(\n```)", re.DOTALL)


@lru_cache
def examples() -> dict[str, str]:
    """Name -> text, as it stands between the fences."""
    messages = _written()
    bundle = json.loads(messages["FHIR"])
    resources = [entry["resource"] for entry in bundle["entry"]]
    volume = next(each for each in resources if "valueQuantity" in each)
    received = hl7.read(order()).header
    refused = Outcome(how="E", code="101", where="PID^1^3", says="a patient without an identifier")
    now = datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC)
    return {
        "order": _lines(order()),
        "acknowledged": _lines(acknowledgements(received, TAKEN, now, "5D2E9A0B7C314F68")[0]),
        "refused": _lines(acknowledgements(received, refused, now, "5D2E9A0B7C314F69")[0]),
        "oru": _lines(hl7.addressed(messages["ORU"], "RIS", "HOSPITAL")),
        "not-processed": _lines(hl7.addressed(messages["ORU-NOT-PROCESSED"], "RIS", "HOSPITAL")),
        "report": json.dumps(bundle["entry"][-1], indent=1, ensure_ascii=False),
        "observation": json.dumps(volume, indent=1, ensure_ascii=False),
    }


def shown() -> dict[str, str]:
    """What the page has under these names."""
    return {match[2]: match[3] for match in _BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}


def _written() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        one = sample(forms=("SEG", *MESSAGES), output_folder=folder)
        written = write(one.findings, one.source, one.provenance, ("SEG",))
        making = Making(source=one.source, provenance=one.provenance, wanted=Wanted("NOT-PROCESSED"))
        produced = (*producing.results(one.findings, one.source, one.provenance, written),
                    *producing.refusals(making, "the slices have gaps", (), failed=False))
        return {each.name: Path(each.path).read_bytes() for each in produced}


def _lines(message: bytes) -> str:
    return message.decode().replace("\r", "\n").strip()


if __name__ == "__main__":
    made = examples()
    PAGE.write_text(_BLOCK.sub(lambda match: match[1] + made[match[2]] + match[4], PAGE.read_text(encoding="utf-8")),
                    encoding="utf-8")
