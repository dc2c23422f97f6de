"""What is asked of a file for pictures. For the image process alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radnode.node.pictures import reading_contours, reading_frames, reading_reports, reading_segments

if TYPE_CHECKING:
    from pathlib import Path


def answer(path: Path, order: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]] | None:
    """None where something else is asked. Raises NoPicture, or whatever a broken file makes a reader raise."""
    match order["ask"]:
        case "planes":
            return reading_frames.planes(path), []
        case "segments":
            return reading_segments.index(path), []
        case "overlay":
            return {}, [reading_segments.overlay(path, order["layers"], order["colours"])]
        case "contours":
            return reading_contours.index(path, order["pictures"]), []
        case "outlines":
            return {}, [reading_contours.drawing(path, order["picture"], order["structures"])]
        case "report":
            return reading_reports.report(path), []
    return None
