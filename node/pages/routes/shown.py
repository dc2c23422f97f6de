"""Routes in words: conditions and flags, marked for translation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from radnode.config.routes import ORDER, SOURCE, Test, snake_case
from radnode.node.drafting import flags
from radnode.node.pages.words import N_

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.config.routes import Condition
    from radnode.node.drafting.flags import Flag

OPERATOR_WORDS = {
    "is": N_("is"), "in": N_("is one of"), "matches": N_("matches the pattern"), "contains": N_("contains"),
    "at_least": N_("is at least"), "at_most": N_("is at most"), "exists": N_("is there"),
}
GROUP_WORDS = {
    "any": N_("At least one of these holds"), "all": N_("All of these hold"), "not": N_("These do not all hold"),
}
PRIORITY_WORDS = (N_("urgent"), N_("routine"), N_("low"))
"""As :data:`radnode.config.routes.PRIORITIES`; shown by their own names."""
FLAG_WORDS = {
    flags.NEVER: (N_("never matched"), N_("It has matched no series that this node remembers."), "warning"),
    flags.TWICE: (N_("asks twice"), N_(
        "Route %(route)s asks for %(pipelines)s for %(destinations)s as well; it runs once and is sent once."), "idle"),
    flags.COVERED: (N_("adds nothing"), N_(
        "Route %(route)s asks for all of this already, under fewer conditions."), "warning"),
    flags.NO_PIPELINE: (N_("no such pipeline"), N_(
        "Pipeline %(pipeline)s is not installed or not usable; `radnode models` says why."), "bad"),
    flags.MODALITY: (N_("wrong modality"), N_(
        "Pipeline %(pipeline)s reads %(reads)s, and this route takes only %(asked)s."), "bad"),
    flags.NO_FORM: (N_("not shown there"), N_(
        "%(destination)s has refused every result form that it is configured to get."), "bad"),
}
"""Flag -> badge, sentence, tone."""


def conditions(when: tuple[Condition, ...], say: Callable[[str], str]) -> list[str]:
    """Each top-level condition as a sentence; `say` translates."""
    return [_words(each, say) for each in when]


def _words(condition: Condition, say: Callable[[str], str]) -> str:
    if isinstance(condition, Test):
        return _test(condition, say)
    inner = [_words(each, say) for each in condition.members]
    if condition.kind == "not":
        return f"{say(N_('not'))} ({inner[0]})"
    if len(inner) == 1:
        return inner[0]
    return "(" + f" {say(N_('and') if condition.kind == 'all' else N_('or'))} ".join(inner) + ")"


def _test(test: Test, say: Callable[[str], str]) -> str:
    is_private = test.attribute.startswith("(")
    name = test.attribute if is_private or test.attribute in (SOURCE, *ORDER) else snake_case(test.attribute)
    if test.operator == "exists":
        return f"{name} {say(N_('is there') if test.operand else N_('is not there'))}"
    values = test.operand if isinstance(test.operand, tuple) else (test.operand,)
    return f"{name} {say(OPERATOR_WORDS[test.operator])} {', '.join(str(each) for each in values)}"


_WRITTEN = re.compile(r"(\([^)]*\)|[^\s()]+) (is|in|matches|contains|at least|at most|exists|does not exist)(?: (.*))?",
                      re.DOTALL)
"""One condition as an explanation has it."""
_JOINTS = {" and ": N_("and"), " or ": N_("or")}
NOT_ASKED = N_("sent to be read")
"""What a study that is not read by itself lacks; it stands where a condition does."""


def written_again(written: str, say: Callable[[str], str]) -> str:
    """A stored condition as a sentence, groups within groups too; what is not understood stays as it was written."""
    return _again(written, say) or (say(NOT_ASKED) if written == NOT_ASKED else written)


def _again(written: str, say: Callable[[str], str]) -> str | None:
    if written.startswith("not (") and _closes(written, 4) == len(written) - 1:
        inner = _again(written[5:-1], say)
        return f"{say('not')} ({inner})" if inner else None
    if written.startswith("(") and _closes(written, 0) == len(written) - 1:
        return _group_again(written[1:-1], say)
    found = _WRITTEN.fullmatch(written)
    return _test_again(found, say) if found else None


def _group_again(written: str, say: Callable[[str], str]) -> str | None:
    for joint, word in _JOINTS.items():
        members = [_again(each, say) for each in _members(written, joint)]
        if len(members) > 1 and all(members):
            return "(" + f" {say(word)} ".join(filter(None, members)) + ")"
    return None


def _test_again(found: re.Match[str], say: Callable[[str], str]) -> str:
    name, operator, value = found.groups()
    exists = {"exists": N_("is there"), "does not exist": N_("is not there")}
    word = exists.get(operator) or OPERATOR_WORDS[operator.replace(" ", "_")]
    return f"{name} {say(word)} {value}" if value else f"{name} {say(word)}"


def _closes(text: str, opened: int) -> int | None:
    """Where the bracket that opens at a place closes."""
    depth = 0
    for place in range(opened, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return place
    return None


def _members(text: str, joint: str) -> list[str]:
    """Between the joints outside of brackets."""
    cuts = [found.start() for found in re.finditer(re.escape(joint), text)
            if text.count("(", 0, found.start()) == text.count(")", 0, found.start())]
    starts = [0, *(cut + len(joint) for cut in cuts)]
    return [text[start:end] for start, end in zip(starts, [*cuts, len(text)], strict=True)]


def flag_words(flag: Flag, say: Callable[..., str]) -> tuple[str, str, str]:
    """Badge, sentence, tone."""
    badge, sentence, tone = FLAG_WORDS[flag.kind]
    return say(badge), say(sentence, **flag.values), tone
