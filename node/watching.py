"""Open series and studies: looked at when they have news or their time has come, each for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from radnode.storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Thing = TypeVar("Thing")


@dataclass(slots=True)
class Watch:
    """Since when nothing has arrived for a thing, and when to look at it again; by a monotonic clock.

    seen: what else was last seen of it.
    """

    arrivals: tuple[object, ...]
    quiet_since_s: float
    look_again_s: float
    seen: tuple[object, ...] = ()

    def news(self, seen: tuple[object, ...]) -> bool:
        """Whether something changed since the last look, besides what arrived."""
        before, self.seen = self.seen, seen
        return before != seen


class Watches:
    """The watches of all open things, by the id of their rows."""

    def __init__(self, *, monotonic_s: Callable[[], float], look_again_in: Callable[[float], None]) -> None:
        self._monotonic_s = monotonic_s
        self._look_again_in = look_again_in
        self._of: dict[int, Watch] = {}

    def of(self, number: int, arrivals: tuple[object, ...], *, look_in_s: float = 0) -> Watch:
        """The watch of one thing; a new one, due in `look_in_s`, when something arrived."""
        watch = self._of.get(number)
        if watch is None or watch.arrivals != arrivals:
            now_s = self._monotonic_s()
            watch = Watch(arrivals=arrivals, quiet_since_s=now_s, look_again_s=now_s + look_in_s)
            self._of[number] = watch
        return watch

    def look_at_each(
        self, things: Mapping[int, Thing], look: Callable[[Thing], None], failed: Callable[[Thing, Exception], None]
    ) -> None:
        """Look at every open thing and set the time of the next look; `failed` tells an error in one.

        Raises StorageError, which is the fault of none of them.
        """
        for gone in self._of.keys() - things.keys():
            del self._of[gone]
        for thing in things.values():
            try:
                look(thing)
            except StorageError:
                raise
            except Exception as error:  # noqa: BLE001 - one odd thing must not keep the others from being judged
                failed(thing, error)
        now_s = self._monotonic_s()
        if due := [watch.look_again_s for watch in self._of.values() if watch.look_again_s > now_s]:
            self._look_again_in(min(due) - now_s)
