"""UIDs that the standard defines: they say what something is, never which one."""

from __future__ import annotations

DICOM_ROOT = "1.2.840.10008."
"""PS3.5 9.: reserved for what the standard itself defines; newer ones than a dictionary has are below it, too."""


def is_standard(uid: str) -> bool:
    """A SOP class, a transfer syntax, a coding scheme, a well-known instance."""
    return uid.startswith(DICOM_ROOT)
