"""The languages a result for people can be written in, and what a machine needs for them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Language = Literal["en", "zh"]

EAST_ASIAN_FONT = Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")
"""Debian's fonts-wqy-microhei: Chinese in both forms, Japanese and Korean."""


def cannot_write(language: str) -> str:
    """Why this machine cannot write in a language; empty if it can."""
    if language == "zh" and not EAST_ASIAN_FONT.is_file():
        return f"a page in Chinese needs the font {EAST_ASIAN_FONT} (Debian: fonts-wqy-microhei)"
    return ""
