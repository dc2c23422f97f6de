"""Pure: what peers answered, judged."""

from __future__ import annotations

from dataclasses import dataclass

from radnode.node.doctor.finding import Finding, good, warning, wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """How a peer answered. failure: why there was no association, empty if there was one.

    echoed: it answered a C-ECHO. forms: result form -> whether it accepts a presentation context for it.
    """

    failure: str
    echoed: bool
    forms: dict[str, bool]


def destination(name: str, own_ae_title: str, seen: Greeting) -> list[Finding]:
    """Can results be sent there, and in which forms?"""
    question = f"destination {name}"
    if seen.failure:
        return [wrong(question, seen.failure,
                      f"look at its address, port and AE title in `peers`, and whether it knows {own_ae_title}")]
    echo = good(question, f"answers C-ECHO and knows {own_ae_title}")
    if not seen.echoed:
        echo = warning(question, f"knows {own_ae_title}, but does not answer C-ECHO",
                       "allow Verification there, if it can")
    refused = [form for form, accepted in seen.forms.items() if not accepted]
    taken = [form for form, accepted in seen.forms.items() if accepted]
    forms = f"result forms for {name}"
    if refused and not taken:
        return [echo, wrong(forms, f"accepts none of {', '.join(refused)}",
                            f"allow {own_ae_title} to store there, or choose other `result_forms`")]
    if refused:
        return [echo, warning(forms, f"accepts {', '.join(taken)}; not {', '.join(refused)}",
                              "allow these SOP classes there, or leave them out: the next best form is sent instead")]
    return [echo, good(forms, f"accepts {', '.join(taken)}")]


def web(name: str, failure: str) -> Finding:
    """Does its DICOMweb service answer? What it stores is seen only when something is stored."""
    question = f"DICOMweb of {name}"
    if failure:
        return wrong(question, failure, "look at `dicomweb` and `tls` of this peer, and at what it lets this node do")
    return good(question, "answers QIDO-RS; by STOW-RS nothing was tried, to store nothing")


def source(name: str, failure: str) -> Finding:
    """Does the source answer the C-FIND that it is configured to answer?"""
    question = f"C-FIND at {name}"
    if failure:
        return wrong(question, failure,
                     "allow this node to query there, or set `answers_find: false`: series are then closed on "
                     "other evidence")
    return good(question, "answers")
