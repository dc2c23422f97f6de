"""How often somebody may ask, and how often a password may be wrong. In memory: a restart forgives.

Wrong passwords count for a name *from one address*, so that whoever guesses locks out himself: an administrator still
comes in from elsewhere, and at the machine `radnode users link` asks for no password at all.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_KEYS = 10_000
"""The oldest is forgotten for a new one: memory is bounded whoever asks."""
FREE_FAILURES = 5
FREE_FAILURES_OF_ADDRESS = 20
LONGEST_WAIT_S = 900.0
FORGIVEN_AFTER_S = 1800.0


def network_of(address: str) -> str:
    """What one customer of a network has: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


@dataclass(slots=True)
class _Failures:
    number: int
    last_s: float


class LoginThrottle:
    """Wrong passwords by name and address, and by address."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def wait_s(self, name: str, address: str) -> float:
        """How long nothing is even looked at; 0: go on."""
        network = network_of(address)
        with self._lock:
            of_name = self._wait_s((name, network), FREE_FAILURES)
            return max(of_name, self._wait_s(("", network), FREE_FAILURES_OF_ADDRESS))

    def failed(self, name: str, address: str) -> None:
        """A wrong password, or an unknown name."""
        network = network_of(address)
        with self._lock:
            for key in ((name, network), ("", network)):
                found = self._failures.pop(key, None)
                number = found.number + 1 if found and not self._is_forgiven(found) else 1
                self._failures[key] = _Failures(number, self._monotonic_s())
            while len(self._failures) > MOST_KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """The right password: this name is free from this address. The address itself is not: one may have a name."""
        with self._lock:
            self._failures.pop((name, network_of(address)), None)

    def _wait_s(self, key: tuple[str, str], free: int) -> float:
        found = self._failures.get(key)
        if found is None or found.number < free or self._is_forgiven(found):
            return 0.0
        pause: float = min(2.0 ** (found.number - free), LONGEST_WAIT_S)
        return max(found.last_s + pause - self._monotonic_s(), 0.0)

    def _is_forgiven(self, found: _Failures) -> bool:
        return self._monotonic_s() - found.last_s > FORGIVEN_AFTER_S


class Buckets:
    """Token buckets: `burst` at once, `each_second` in the long run, for each key."""

    def __init__(self, monotonic_s: Callable[[], float], *, burst: float, each_second: float) -> None:
        self._monotonic_s = monotonic_s
        self._burst = burst
        self._each_second = each_second
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one; 0, or in how many seconds there is one again."""
        now = self._monotonic_s()
        with self._lock:
            level, at = self._levels.pop(key, (self._burst, now))
            level = min(self._burst, level + (now - at) * self._each_second)
            wait = 0.0 if level >= 1 else (1 - level) / self._each_second
            self._levels[key] = (level if wait else level - 1, now)
            while len(self._levels) > MOST_KEYS:
                self._levels.popitem(last=False)
        return wait
