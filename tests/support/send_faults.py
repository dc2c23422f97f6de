"""A PACS and a network that fail by a seeded plan, fault after fault, until the plan is used up."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import TYPE_CHECKING

from support.pacs import Answer, AnswerToAnother, Cut, Lose, Refuse
from support.wire import CutAt, SilentFrom, TurnedAway

if TYPE_CHECKING:
    from support.pacs import Attempt, Fault
    from support.wire import Break

LARGEST_OBJECT = 60_000
ON_THE_WIRE = ("cut in the request", "cut in the answer", "silence", "connection closed at once")
AT_THE_PACS = (
    "A700 for a while", "0122", "kept and the answer lost", "cut before it is kept", "answered twice",
    "a late answer", "Success and not kept", "restart",
)
KINDS = (*ON_THE_WIRE, *AT_THE_PACS)
STRIKES = 0.4
"""How often a fault strikes where it could: the others show that what failed does not stop what works."""


class FaultPlan:
    """`at_connection` is the plan of a wire, `at_attempt` that of a PACS. Each kind comes as often as any other.

    counts: how often each kind struck. restart: the PACS is to be stopped and started; whoever does it says so.
    """

    def __init__(self, seed: int, faults: int) -> None:
        self.faults = faults
        self.counts: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        self.restart = False
        self._random = random.Random(seed)
        self._bag: list[str] = []
        self._full = 0
        self._lock = threading.Lock()
        self._next = self._draw()

    @property
    def is_over(self) -> bool:
        """Nothing fails any more."""
        return self.counts.total() >= self.faults

    def at_connection(self) -> Break | None:
        """How the connection that opens now breaks. Whether it came so far, the wire says to `struck`."""
        with self._lock:
            if self.is_over or self._random.random() > STRIKES:
                return None
            match self._next:
                case "cut in the request":
                    return CutAt("request", self._some_byte(2 * LARGEST_OBJECT))
                case "cut in the answer":
                    return CutAt("answer", self._some_byte(800))
                case "silence":
                    return SilentFrom(self._some_byte(2 * LARGEST_OBJECT))
                case "connection closed at once":
                    return TurnedAway()
                case _:
                    return None

    def struck(self, broken: Break) -> None:
        """A connection broke as it was to."""
        kind = {SilentFrom: "silence", TurnedAway: "connection closed at once"}.get(type(broken))
        with self._lock:
            self._strike(kind or f"cut in the {broken.side}")  # type: ignore[union-attr]

    def at_attempt(self, attempt: Attempt) -> Fault | None:
        """What the PACS does wrong with this one."""
        with self._lock:
            if self._full:
                self._full -= 1
                return Refuse(0xA700)
            if self.is_over or self._next not in AT_THE_PACS or self._random.random() > STRIKES:
                return None
            kind = self._next
            self._strike(kind)
            if kind == "A700 for a while":
                self._full = self._random.randrange(5)
            self.restart = self.restart or kind == "restart"
            return {
                "A700 for a while": Refuse(self._random.choice([0xA700, 0xA701, 0x0110])),
                "0122": Refuse(0x0122),
                "kept and the answer lost": Cut(keep=True),
                "cut before it is kept": Cut(),
                "answered twice": Answer(times=2),
                "a late answer": AnswerToAnother(),
                "Success and not kept": Lose(),
                "restart": Cut(keep=self._random.random() < 0.5),
            }[kind]

    def _strike(self, kind: str) -> None:
        self.counts[kind] += 1
        if kind == self._next:
            self._next = self._draw()

    def _draw(self) -> str:
        if not self._bag:
            self._bag = random.Random(self._random.random()).sample(KINDS, len(KINDS))
        return self._bag.pop()

    def _some_byte(self, up_to: int) -> int:
        """Near the beginning as often as further on: the short messages are where protocols break."""
        return int(up_to ** self._random.random())
