"""What pipelines read, what jobs and their parts are, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.pages.words import N_

if TYPE_CHECKING:
    from collections.abc import Mapping

READS: Mapping[str, str] = {
    "volume": N_("a stack of slices"),
    "projection": N_("radiographs and mammograms as they are shown (FOR PRESENTATION)"),
    "raw projection": N_("radiographs and mammograms as they were measured (FOR PROCESSING)"),
    "colour": N_("colour images: endoscopy, fundus, photographs"),
    "screening": N_("the standard views of a screening mammography, of the whole study, as they are shown"),
    "raw screening": N_("the standard views of a screening mammography, of the whole study, as they were measured"),
}
"""A key of :data:`radnode.pipelines.contract.READS`."""

STATES: Mapping[str, tuple[str, str]] = {
    "WAITING": (N_("wait"), "idle"), "RUNNING": (N_("run now"), "busy"), "PRODUCED": (N_("with a result"), "good"),
    "NOT_PROCESSED": (N_("not processed"), "warning"), "FAILED": (N_("failed"), "bad"),
    "SUPERSEDED": (N_("replaced by a later one"), "idle"),
}
"""State of a job -> words, tone."""

PARTS: Mapping[str, str] = {
    "whole": N_("the whole job"), "load": N_("load"), "select": N_("select"), "decode": N_("decode"),
    "priors": N_("earlier studies"), "preprocess": N_("preprocess"), "infer": N_("infer"),
    "postprocess": N_("postprocess"), "write": N_("write"), "gate": N_("gate"), "keep": N_("keep"),
}
"""Part of a job -> words; one that is not here is shown as its worker calls it."""
