"""Whether a well-formed configuration can be put in force on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from radnode.config.loading import Problem
from radnode.config.references import check_references
from radnode.node.retrieving.prior_wishes import useless
from radnode.pipelines import registry
from radnode.pipelines.languages import cannot_write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.config.loading import Configuration
    from radnode.pipelines.registry import Registry


def check_configuration(configuration: Configuration, installed: Registry | None = None) -> Sequence[Problem]:
    """What is wrong with a well-formed configuration on this machine: unknown pipelines and destinations, no font.

    installed: its pipelines and models, where they have been read already.
    """
    known = installed or registry.installed(models=configuration.settings.model_store)
    problems = [*check_references(configuration, known.manifests.keys()), *useless(configuration, known.manifests)]
    if why_not := cannot_write(configuration.settings.report_language):
        problems.append(Problem(
            file=configuration.name, line=configuration.lines.get(("node", "report_language"), 1),
            message=f"node.report_language: {why_not}", cure="install it, or write `report_language: en`",
        ))
    if configuration.settings.ray is not None and find_spec("ray") is None:
        problems.append(Problem(
            file=configuration.name, line=configuration.lines.get(("node", "ray"), 1),
            message="node.ray: Ray is not installed", cure="pip install 'radnode[ray]', or write `ray: null`",
        ))
    return problems
