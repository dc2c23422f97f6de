"""The address of a study in the viewer of the hospital. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

_FIELD = "{study_instance_uid}"
_STUDY = re.compile(r"[0-9.]{1,64}")


def viewer_address(template: str | None, study_instance_uid: str) -> str | None:
    """None where no viewer is configured, or the UID is none that a viewer could be asked for."""
    if template is None or not _STUDY.fullmatch(study_instance_uid):
        return None
    return template.replace(_FIELD, quote(study_instance_uid, safe=""))
