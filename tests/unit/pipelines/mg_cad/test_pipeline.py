"""What the pipeline says of phantoms: marks where the lesions are, and words where it cannot say anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

from radnode.pipelines import mg_cad, registry


def test_the_manifest_names_the_modules_that_make_the_findings() -> None:
    folder = Path(str(mg_cad.__file__)).parent
    algorithm = sorted(path for path in folder.glob("*.py") if path.name != "phantom.py")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in algorithm)).hexdigest()
    manifest = registry.installed().manifests["mg-cad"]
    assert manifest.model_digest == digest, f"the algorithm changed: write model_digest: {digest}, raise the version"
