"""The process that speaks with Ray for a node, and the lines it speaks with the node.

    stdin    first {"address", "workers": [resources and settings of each]}, then
             {"warm": [pipeline names]}, {"run": n, "kind": k, "order": WorkOrder}, {"run": n, "next": WorkOrder},
             {"run": n, "cancel": reason}
    stdout   {"run": n, "stage": name} as it goes on, then {"run": n} with "report", "lost" (the worker process) or
             "gone" (its machine, or Ray); once a second {"workers": [...], "trouble": text}

A process of its own: Ray ends whoever is connected to it when its head stays away, and the node must not end. An actor
that died is made again; Ray itself runs nothing twice, the table of jobs says what runs again.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from radnode.node.execution.ray_actor import AT_ONCE, RayWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

TEND_EVERY_S = 1.0
LOOK_EVERY_S = 2.0
MAKE_AGAIN_AFTER_S = 5.0
FREE_WITHIN_S = 20.0
"""How long an order waits for an actor: the node gives no more orders than there are actors, but one may just end."""


@dataclass(eq=False, slots=True)
class Member:
    """One actor. kind: which entry of `workers` it is like. run: what it does now. look: an answer we wait for."""

    kind: int
    setup: Mapping[str, Any]
    actor: Any = None
    look: Any = None
    seen: dict[str, Any] = field(default_factory=dict)
    next_s: float = 0.0
    run: int | None = None
    loaded: list[str] = field(default_factory=list)
    hinted: str = ""

    @property
    def ready(self) -> bool:
        """It has answered, and lives as far as is known."""
        return self.actor is not None and bool(self.seen)


def choose(free: Iterable[Member], pipeline: str, job_key: str) -> Member | None:
    """Who has read the job's images ahead, else who ran the pipeline last, or ever: its model is on the device."""

    def fitness(member: Member) -> tuple[bool, bool, bool]:
        return (member.hinted == job_key, member.loaded[-1:] == [pipeline], pipeline in member.loaded)

    return max(free, key=fitness, default=None)


class Pool:
    """The actors of one node. `say` writes a line to the node."""

    def __init__(self, workers: Iterable[Mapping[str, Any]], say: Callable[[Mapping[str, Any]], None]) -> None:
        self._say = say
        self._members = [Member(kind=each["kind"], setup=each) for each in workers]
        self._changed = threading.Condition()
        self._warm: list[str] = []
        self._trouble = ""

    def tend(self) -> None:
        """Make the actors that are missing, see whether the others live, and tell."""
        for member in self._members:
            self._tend(member)
        if not any(each.ready for each in self._members):
            ray.nodes()  # fails, or never answers, where the head is gone or is another one at the same address
        self._tell()

    def _tell(self) -> None:
        self._say({
            "workers": [{"kind": each.kind, **(each.seen if each.ready else {})} for each in self._members],
            "trouble": self._trouble,
        })

    def obey(self, message: Mapping[str, Any]) -> None:
        """Do what the node says; an order runs in a thread of its own."""
        if "warm" in message:
            self._warm = list(message["warm"])
            for member in self._members:
                if member.ready:
                    member.actor.prepare.remote(self._warm)
        elif "order" in message:
            threading.Thread(
                target=self._run, args=(message["run"], message["kind"], message["order"]), daemon=True
            ).start()
        elif (busy := self._running(message["run"])) is None:
            return
        elif "next" in message:
            busy.hinted = message["next"]["job_key"]
            busy.actor.hint.remote(json.dumps(message["next"]))
        else:
            busy.actor.end.remote(message["cancel"])

    def _tend(self, member: Member) -> None:
        now = time.monotonic()
        try:
            if member.actor is None and now >= member.next_s:
                member.actor = _actor(member.setup)
                member.look = member.actor.look.remote()
            elif member.look is not None and ray.wait([member.look], timeout=0)[0]:
                self._seen(member, ray.get(member.look))
            elif member.actor is not None and member.look is None and now >= member.next_s:
                member.look = member.actor.look.remote()
        except RayError as error:
            self._lost(member, member.actor, error)

    def _seen(self, member: Member, seen: dict[str, Any]) -> None:
        fresh = not member.ready
        with self._changed:
            member.seen, member.look, member.next_s = seen, None, time.monotonic() + LOOK_EVERY_S
            self._changed.notify_all()
        if fresh and self._warm:
            member.actor.prepare.remote(self._warm)
        if all(each.ready for each in self._members):
            self._trouble = ""

    def _lost(self, member: Member, actor: object, error: RayError) -> None:
        self._trouble = _first_line(error)
        with self._changed:
            if member.actor is not actor:
                return  # whoever else saw it die was first
            member.actor, member.look, member.seen = None, None, {}
            member.loaded, member.hinted = [], ""
            member.next_s = time.monotonic() + MAKE_AGAIN_AFTER_S

    def _doubt(self) -> None:
        """An actor seldom dies alone: who does nothing is to answer first, before it gets what another one lost."""
        with self._changed:
            for each in self._members:
                if each.ready and each.run is None:
                    each.seen, each.look = {}, each.actor.look.remote()
        self._tell()

    def _run(self, run: int, kind: int, order: Mapping[str, Any]) -> None:
        """One order from its actor to its last line, whatever happens to the actor."""
        gone = "no worker of Ray was free"
        member = self._take(run, kind, order)
        if member is not None:
            gone, actor = "the worker on Ray gave no report", member.actor
            try:
                lines = actor.execute.options(num_returns="streaming").remote(json.dumps(order))
                for line in lines:
                    self._say({"run": run, **json.loads(ray.get(line))})
            except RayError as error:
                gone = _first_line(error)
                self._lost(member, actor, error)
                self._doubt()
            finally:
                with self._changed:
                    member.run = None
                    self._changed.notify_all()
        self._say({"run": run, "gone": gone})  # the node has forgotten a run that was answered

    def _take(self, run: int, kind: int, order: Mapping[str, Any]) -> Member | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._free(kind)), FREE_WITHIN_S)
            member = choose(self._free(kind), order["pipeline"], order["job_key"])
            if member is not None:
                member.run, member.hinted = run, ""
                member.loaded = [*(each for each in member.loaded if each != order["pipeline"]), order["pipeline"]]
            return member

    def _free(self, kind: int) -> list[Member]:
        return [each for each in self._members if each.kind == kind and each.ready and each.run is None]

    def _running(self, run: int) -> Member | None:
        return next((each for each in self._members if each.run == run and each.ready), None)


def _actor(setup: Mapping[str, Any]) -> Any:
    """Spread over the machines, and never started again by Ray itself: what it did is not known then."""
    return ray.remote(RayWorker).options(
        num_cpus=setup["cpus"], num_gpus=setup["gpus"], memory=setup["settings"]["memory_limit_bytes"],
        max_concurrency=AT_ONCE, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD",
    ).remote(**setup["settings"])


def _first_line(error: Exception) -> str:
    """Of an actor that could not begin, what itself said; of Ray's pages of advice, the first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line.partition("RuntimeError: ")[2] for line in lines if line.startswith("RuntimeError: ")]
    return (own or lines or [type(error).__name__])[0]


def main() -> int:
    """Speak until the node closes our input."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what Ray prints is no line of ours
    writing = threading.Lock()

    def say(message: Mapping[str, Any]) -> None:
        with writing:
            lines.write(json.dumps(message) + "\n")

    setup = json.loads(sys.stdin.readline())
    try:
        ray.init(address=setup["address"], log_to_driver=False, logging_level="ERROR")
    except (RayError, ConnectionError, OSError, RuntimeError, ValueError) as error:
        say({"workers": [], "trouble": f"{setup['address']}: {_first_line(error)}"})
        return 1
    pool = Pool(setup["workers"], say)
    threading.Thread(target=_tend_always, args=(pool,), daemon=True).start()
    for line in sys.stdin:
        pool.obey(json.loads(line))
    ray.shutdown()
    return 0


def _tend_always(pool: Pool) -> None:
    """Until it fails: then the connection is to be made anew, by another driver."""
    try:
        while True:
            pool.tend()
            time.sleep(TEND_EVERY_S)
    finally:
        os._exit(1)  # an orderly end would ask the head that is gone


if __name__ == "__main__":
    sys.exit(main())
