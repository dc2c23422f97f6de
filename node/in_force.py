"""The configuration and the models that are in force; renewed while the node runs when their files change."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from radnode.config.loading import ConfigError, load, needs_restart, stamp
from radnode.config.settings import TAKEN_OVER
from radnode.node.checking import check_configuration
from radnode.pipelines import registry
from radnode.pipelines.models.store import PINS

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.pipelines.registry import Registry

log = structlog.get_logger(__name__)


class InForce:
    """A broken file changes nothing and raises an alarm. on_taken_over: called after each change."""

    def __init__(self, configuration: Configuration, alarms: Alarms, on_taken_over: Callable[[], None]) -> None:
        store = configuration.settings.model_store
        self._configuration = configuration
        self._started_with = configuration
        self._stamp = stamp(configuration.path)
        self._installed = registry.installed(models=store)
        self._models_stamp = stamp(store / PINS)
        self._alarms = alarms
        self._on_taken_over = on_taken_over
        self._lock = threading.Lock()

    @property
    def configuration(self) -> Configuration:
        """What the node goes by."""
        return self._configuration

    @property
    def installed(self) -> Registry:
        """Pipelines and models."""
        return self._installed

    def renew(self) -> bool:
        """Take over added models, and peers and routes of a changed file. Always False: the clock pulses again."""
        with self._lock:
            self._renew_models()
            self._renew_configuration()
        return False

    def say_refused(self) -> None:
        """An alarm for each pipeline that cannot be used."""
        for name, reason in self._installed.refused.items():
            self._alarms.set(f"pipeline:{name}", f"pipeline {name} is not usable: {reason}")

    def _renew_configuration(self) -> None:
        path = self._configuration.path
        latest = stamp(path)
        if path is None or latest is None or latest == self._stamp:
            return
        self._stamp = latest
        try:
            changed = load(path)
        except ConfigError as error:
            self._alarms.set("configuration", f"the last good configuration is in force: {error}")
            return
        if problems := check_configuration(changed):
            text = "; ".join(str(problem) for problem in problems)
            self._alarms.set("configuration", f"the last good configuration is in force: {text}")
            return
        if waiting := needs_restart(self._started_with, changed):
            self._alarms.set("restart", f"changed settings take effect after a restart: {', '.join(waiting)}")
        else:
            self._alarms.clear("restart")
        live = {name: getattr(changed.settings, name) for name in TAKEN_OVER}
        self._configuration = replace(changed, settings=self._started_with.settings.model_copy(update=live))
        self._alarms.clear("configuration")
        self._on_taken_over()
        log.info("configuration.loaded", digest=changed.digest, peers=len(changed.peers), routes=len(changed.routes))

    def _renew_models(self) -> None:
        store = self._configuration.settings.model_store
        if (latest := stamp(store / PINS)) == self._models_stamp:
            return
        self._models_stamp = latest
        before, self._installed = self._installed, registry.installed(models=store)
        for name in before.refused.keys() - self._installed.refused.keys():
            self._alarms.clear(f"pipeline:{name}")
        self.say_refused()
        self._stamp = None  # a route may name what is there only now
        log.info("models.loaded", pipelines=sorted(self._installed.manifests), refused=dict(self._installed.refused))
