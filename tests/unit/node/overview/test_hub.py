"""One look for all who watch, only while somebody does; an end at once when the node stops."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from radnode.node.overview.hub import Failed, Hub

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK_S = 0.02


class Looks:
    """Counts the looks; each gives a new object, or fails while `broken`."""

    def __init__(self) -> None:
        self.number = 0
        self.broken = False

    def __call__(self) -> Any:
        self.number += 1
        if self.broken:
            raise RuntimeError("no database")
        return [self.number]


async def told(hub: Hub, number: int, each: Callable[[Any], None] = lambda _: None) -> list[Any]:
    """So many of what one listener is told, then it goes."""
    found: list[Any] = []
    async with aclosing(hub.watch()) as watching:
        async for latest in watching:
            each(latest)
            found.append(latest)
            if len(found) == number:
                break
    return found


def test_nobody_looks_before_somebody_listens_and_after_the_last_has_gone() -> None:
    async def play() -> None:
        looks = Looks()
        hub = Hub(looks, every_s=QUICK_S)
        await asyncio.sleep(5 * QUICK_S)
        assert looks.number == 0
        await told(hub, 3)
        seen = looks.number
        await asyncio.sleep(5 * QUICK_S)
        assert looks.number <= seen + 1, "one may have been under way"
        hub.close()

    asyncio.run(play())


def test_all_listeners_are_told_of_the_same_looks() -> None:
    async def play() -> None:
        looks = Looks()
        hub = Hub(looks, every_s=QUICK_S)
        found = await asyncio.gather(*(told(hub, 4) for _ in range(20)))
        assert all(each == sorted(each) for each in found)
        assert looks.number <= max(each[-1][0] for each in found) + 1, "one look for all of them"
        hub.close()

    asyncio.run(play())


def test_a_look_that_fails_is_told_and_the_next_one_that_succeeds_too() -> None:
    async def play() -> None:
        looks = Looks()
        hub = Hub(looks, every_s=QUICK_S)

        def break_and_mend(latest: Any) -> None:
            looks.broken = not isinstance(latest, Failed)

        found = await told(hub, 3, break_and_mend)
        assert [isinstance(each, Failed) for each in found] == [False, True, False]
        hub.close()

    asyncio.run(play())


def test_who_comes_when_it_is_full_is_told_nothing_and_a_place_that_is_left_is_free() -> None:
    async def play() -> None:
        hub = Hub(Looks(), every_s=QUICK_S, most=2)
        staying = [asyncio.create_task(told(hub, 10_000)) for _ in range(2)]
        while not hub.is_full:
            await asyncio.sleep(0)
        assert await told(hub, 1) == []
        for each in staying:
            each.cancel()
        await asyncio.gather(*staying, return_exceptions=True)
        assert len(await told(hub, 1)) == 1
        hub.close()

    asyncio.run(play())


def test_every_listener_ends_when_the_hub_is_closed_from_another_thread() -> None:
    async def play() -> None:
        hub = Hub(Looks(), every_s=3600.0)
        heard: list[Any] = []
        listening = [asyncio.create_task(told(hub, 10_000, heard.append)) for _ in range(5)]
        while len(heard) < len(listening):
            await asyncio.sleep(0)
        await asyncio.to_thread(hub.close)
        found = await asyncio.wait_for(asyncio.gather(*listening), 60)
        assert all(len(each) == 1 for each in found)
        assert await told(hub, 1) == [], "and nobody new is told anything"

    asyncio.run(play())
