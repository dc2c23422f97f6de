"""Pure: what to write at a destination, from what it answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.config.destinations import PROFILES
from radnode.node.doctor import checks_peers
from radnode.node.doctor.checks_peers import Greeting
from radnode.node.doctor.finding import Finding, good, warning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.config.peers import Peer
    from radnode.node.doctor.facts_services import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Keys and values for its entry below `peers`, why, and which other profiles it would take as well."""

    entry: dict[str, object]
    because: str
    also: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The keys as they are written in the configuration."""
        return tuple(f"{key}: {_yaml(value)}" for key, value in self.entry.items())


def findings(peer: Peer, own_ae_title: str, seen: Seen) -> list[Finding]:
    """What it answered, and what of that the configuration does not use or uses in vain."""
    configured: dict[str, bool] = {form: seen.greeting.forms.get(form, False) for form in peer.forms}
    greeting = Greeting(failure=seen.greeting.failure, echoed=seen.greeting.echoed, forms=configured)
    said = checks_peers.destination(peer.name, own_ae_title, greeting)
    if seen.greeting.failure:
        return said
    others = ", ".join(form for form, taken in seen.greeting.forms.items() if taken and form not in configured)
    said.append(good("other result forms", f"it would also accept {others or 'none'}"))
    said.append(good("implementation", f"{seen.implementation or 'it does not say'}, PDUs of "
                     f"{f'{seen.largest_pdu} bytes' if seen.largest_pdu else 'any length'}"))
    said.append(_service("storage commitment", "commitment", peer.commitment, answers=seen.commits))
    said.append(_service("C-FIND", "answers_find", peer.answers_find, answers=not seen.find_failure))
    return said


def propose(peer: Peer, seen: Seen) -> Proposal | None:
    """None where it was not reached or takes no result at all.

    A profile is proposed only if all its forms are accepted; the one that is configured before others. What it
    accepts it need not show: nobody but a person can see that.
    """
    taken = frozenset(form for form, accepted in seen.greeting.forms.items() if accepted)
    if not taken:
        return None
    fitting = [name for name, forms in PROFILES.items() if set(forms) <= taken]
    services: dict[str, object] = {} if peer.deidentify else {
        "answers_find": not seen.find_failure, "commitment": seen.commits
    }
    if peer.profile is not None and peer.profile in fitting:
        return Proposal(entry={"profile": peer.profile, **services}, also=_besides(fitting, peer.profile),
                        because="it accepts every form of the profile that is configured")
    if peer.profile is None and set(peer.result_forms) <= taken:
        return Proposal(entry={"result_forms": list(peer.result_forms), **services}, also=tuple(fitting),
                        because="it accepts every form that is configured")
    if fitting:
        return Proposal(entry={"profile": fitting[0], **services}, also=_besides(fitting, fitting[0]),
                        because="it accepts every form of this profile")
    wanted: list[str] = [form for form in peer.forms if form in taken] or sorted(taken)
    return Proposal(entry={"result_forms": wanted, **services}, because="it accepts all forms of no profile")


def of_web(peer: Peer, failure: str) -> Proposal | None:
    """For who is reached by DICOMweb: nothing is negotiated there, so that only storing shows what it stores.

    failure: why it did not answer a search.
    """
    if failure or peer.deidentify:
        return None
    because = "it answers QIDO-RS; which result forms it stores is seen only when one is stored"
    return Proposal(entry={"answers_find": True}, because=because)


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _besides(names: Sequence[str], chosen: str) -> tuple[str, ...]:
    return tuple(name for name in names if name != chosen)


def _service(question: str, key: str, configured: bool, *, answers: bool) -> Finding:
    if configured and not answers:
        return warning(question, f"not offered, and `{key}: true` is written",
                       f"allow it there, or write `{key}: false`")
    if not answers:
        return good(question, "not offered")
    return good(question, "offered" if configured else f"offered; `{key}` is false")
