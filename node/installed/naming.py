"""Which routes name a pipeline, and how a route is made to run it or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.pipelines import registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ruamel.yaml.comments import CommentedMap

    from radnode.config.routes import Route
    from radnode.pipelines.registry import Registry


class OnlyOne(Exception):
    """A route runs nothing else; disable the route instead."""


class NoSuchRoute(Exception):
    """The configuration file has no route of this name."""


def named_by(installed: Registry, routes: Iterable[Route], name: str) -> list[str]:
    """Routes that use a model: by its name, or by that of a pipeline of which it fills a slot."""
    users = {name} | {each.name for each in installed.manifests.values() if name in registry.slots_of(each).values()}
    return [route.name for route in routes if users & set(route.run)]


def run_it(document: CommentedMap, route: str, pipeline: str, *, runs: bool) -> None:
    """Have a route run a pipeline, or no more. Raises :class:`OnlyOne`, :class:`NoSuchRoute`."""
    for each in document.get("routes") or ():
        if each.get("name") != route:
            continue
        run = each.get("run")
        listed = [run] if isinstance(run, str) else run or []
        if runs and pipeline not in listed:
            if isinstance(run, list):
                run.append(pipeline)
            else:
                each["run"] = [*listed, pipeline]
        elif not runs and pipeline in listed:
            if len(listed) == 1:
                raise OnlyOne(f"{pipeline} is all that the route {route} runs; disable or remove the route instead")
            listed.remove(pipeline)
        return
    raise NoSuchRoute(f"the configuration file has no route {route}")
