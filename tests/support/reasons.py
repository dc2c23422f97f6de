"""Every sentence that the source can give as a reason, read from the source itself.

A reason is what is given to something called one of :data:`CALLED`: an argument, a field, a variable; what one of
our own errors says; and what a function returns as text. It is followed through variables, constants and functions of
the source to where it is written.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import radnode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ROOT = Path(radnode.__file__).parent
CALLED = frozenset({"reason", "reasons", "remark", "remarks", "because", "remedy", "answer", "question", "text", "why",
                    "why_not", "failure", "discontinued", "objection", "volume", "detail", "said", "lacking",
                    "kind", "how", "confirmed_how", "holds", "against"})
HOLD_REASONS = CALLED - {"kind", "how", "against", "text", "said", "volume", "answer", "lacking"} | {
    "error", "unreachable", "refusal", "refused", "held", "objections"}
"""Places of this name hold what some other place has given as a reason."""
FORMAT = re.compile(r"\{(\w+)[:!][^{}]*\}")
DEEPEST = 6
"""Steps from where a sentence is given to where it is written."""


@dataclass
class Module:
    """One file. functions: by name, with those of classes; values: what names are assigned, also below classes."""

    path: Path
    tree: ast.Module
    functions: dict[str, list[ast.FunctionDef]] = field(default_factory=lambda: defaultdict(list))
    values: dict[str, list[ast.expr]] = field(default_factory=lambda: defaultdict(list))


Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """The source below the folders."""
    return tuple(_read(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


def _read(path: Path) -> Module:
    module = Module(path, ast.parse(path.read_text(encoding="utf-8")))
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            module.functions[node.name].append(node)  # type: ignore[arg-type]
    for node in module.tree.body:
        for name, value in _assigned(node):
            module.values[name].append(value)
    return module


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if (isinstance(node, (ast.AnnAssign, ast.AugAssign)) and node.value is not None) or isinstance(node, ast.NamedExpr):
        yield _last(node.target), node.value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(map(_last, target.elts), node.value.elts, strict=False)
            else:
                yield _last(target), node.value


def _last(node: ast.AST) -> str:
    """The last word of what names a value."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return key if isinstance(key, str) else _last(node.value)
    if isinstance(node, ast.Call):
        return _last_of_call(node)
    inner = [each for name in ("elt", "left", "body", "operand", "value")
             if isinstance(each := getattr(node, name, None), ast.expr)]
    return _last(inner[0]) if inner else "value"


def _last_of_call(node: ast.Call) -> str:
    first = node.args[0] if node.args else node.func
    if isinstance(node.func, ast.Name):
        return _last(first) if node.func.id in MAKE_TEXT else node.func.id
    if not isinstance(node.func, ast.Attribute) or node.func.attr in ("join", "get"):
        return _last(first)
    return node.func.attr if node.args else _last(node.func.value)


MAKE_TEXT = frozenset({"str", "len", "sorted", "max", "min", "type", "int", "repr", "abs", "round", "next", "sum",
                       "tuple", "list", "set"})
"""Functions after whose argument a place is called."""


class Sentences:
    """Follows expressions to the sentences that they can be. found: sentence -> where it is written."""

    def __init__(self, every: tuple[Module, ...]) -> None:
        self._functions: dict[str, list[tuple[Module, ast.FunctionDef]]] = defaultdict(list)
        self._constants: dict[str, list[tuple[Module, ast.expr]]] = defaultdict(list)
        self._known: dict[tuple[int, int], dict[str, str]] = {}
        self.found: dict[str, str] = {}
        for module in every:
            for name, functions in module.functions.items():
                self._functions[name] += [(module, each) for each in functions]
            for name, values in module.values.items():
                self._constants[name] += [(module, each) for each in values]

    def note(self, module: Module, inside: ast.AST | None, node: ast.expr, depth: int = 0) -> bool:
        """Whether an expression can be a sentence; if so it is in :attr:`found`."""
        texts = {text: place for text, place in self.of(module, inside, node, depth).items()
                 if is_sentence(text) or (place.startswith(IN_ONE_WORD) and re.fullmatch("[a-z]+", text))}
        self.found |= {text: place for text, place in texts.items()
                       if self.found.get(text, ELSEWHERE[0]).startswith(ELSEWHERE)}
        return bool(texts)

    def of(self, module: Module, inside: ast.AST | None, node: ast.expr, depth: int = 0) -> dict[str, str]:
        """The texts that an expression can be, each with its place."""
        key = (id(node), id(inside))
        if key not in self._known:
            self._known[key] = {}  # a value that is made of itself
            self._known[key] = self._of(module, inside, node, depth) if depth <= DEEPEST else {}
        return self._known[key]

    def _of(self, module: Module, inside: ast.AST | None, node: ast.expr, depth: int) -> dict[str, str]:
        place = f"{module.path.relative_to(ROOT)}:{node.lineno}"
        if isinstance(node, ast.Constant):
            return {node.value: place} if isinstance(node.value, str) else {}
        if isinstance(node, ast.JoinedStr):
            return {self._joined(module, inside, node, depth): place}
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return {left + right: place for left in self._side(module, inside, node.left, depth)
                    for right in self._side(module, inside, node.right, depth)}
        if isinstance(node, ast.Name):
            return self._of_name(module, inside, node.id, depth)
        if isinstance(node, ast.Call):
            return self._of_call(module, inside, node, depth)
        return {text: at for each in _inside(node) for text, at in self.of(module, inside, each, depth + 1).items()}

    def _side(self, module: Module, inside: ast.AST | None, node: ast.expr, depth: int) -> set[str]:
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp, ast.IfExp)):
            return set(self.of(module, inside, node, depth)) or {""}
        if self.note(module, inside, node, depth + 1) or _place(node) in HOLD_REASONS:
            return {f"{{{_place(node)}+}}"}
        return {f"{{{_place(node)}}}"}

    def _joined(self, module: Module, inside: ast.AST | None, node: ast.JoinedStr, depth: int) -> str:
        said, used = "", defaultdict[str, int](int)
        for part in node.values:
            if isinstance(part, ast.Constant):
                said += str(part.value)
            elif isinstance(part, ast.FormattedValue):
                name = _place(part.value)
                used[name] += 1
                is_plural = isinstance(part.value, ast.BinOp) and ast.unparse(part.value.left) == "'s'"
                nested = self.note(module, inside, part.value, depth + 1) or name in HOLD_REASONS or is_plural
                said += f"{{{name}{used[name] if used[name] > 1 else ''}{'+' if nested else ''}}}"
        return said

    def _of_name(self, module: Module, inside: ast.AST | None, name: str, depth: int) -> dict[str, str]:
        local = [value for node in ast.walk(inside) for to, value in _assigned(node) if to == name] if inside else []
        if local:
            return {text: at for value in local for text, at in self.of(module, inside, value, depth + 1).items()}
        places = [(module, value) for value in module.values.get(name, ())] or (
            self._constants.get(name, []) if name.isupper() else [])
        return {text: at for where, value in places for text, at in self.of(where, None, value, depth + 1).items()}

    def _of_call(self, module: Module, inside: ast.AST | None, node: ast.Call, depth: int) -> dict[str, str]:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else _last(node.func)
        if name == "join":
            return self.of(module, inside, node.args[0], depth + 1)  # it may be of one
        if isinstance(node.func, ast.Attribute) and name in ("format", "get"):
            return {FORMAT.sub(r"{\1}", text): at
                    for each in (node.func.value, *(node.args[1:] if name == "get" else ()))
                    for text, at in self.of(module, inside, each, depth + 1).items()}
        own = [(module, each) for each in module.functions.get(name, ())]
        return {text: at for where, function in own or (self._functions.get(name, []) if name not in COMMON else [])
                if _says(function)
                for each in ast.walk(function) if isinstance(each, (ast.Return, ast.Yield)) and each.value is not None
                for text, at in self.of(where, function, each.value, depth + 1).items()}


def _inside(node: ast.expr) -> list[ast.expr]:
    """What an expression takes its value from."""
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, (ast.BoolOp, ast.Dict)):
        return node.values
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return node.elts
    if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        return [node.elt]
    if isinstance(node, (ast.NamedExpr, ast.Starred, ast.Subscript)):
        return [node.value]
    return []


def _place(node: ast.expr) -> str:
    """What the place of an expression in a sentence is called."""
    return re.sub(r"\W|^_+|_+$", "", _last(node)).lower() or "value"


COMMON = frozenset({"get", "read", "name", "text", "run", "find", "next", "render", "said"})
"""Names of functions that mean too many things to be followed out of their module."""


def _is_asked(function: ast.AST | None) -> bool:
    """Whether what it gives is text, and not a page of the command line."""
    return isinstance(function, ast.FunctionDef) and _says(function) and function.name != "render"


def _says(function: ast.FunctionDef) -> bool:
    """Whether it gives text."""
    return function.returns is not None and "str" in ast.unparse(function.returns)


def is_sentence(text: str) -> bool:
    """Whether there is a word in it besides its places: a name of an attribute is none, no lone sign, and no markup."""
    words = re.sub(r"\{\w+\+?\}|`[^`]*`", "_", text)
    return " " in text and not text.startswith("<") and re.search(r"(?<![\w.:-])[a-z]{2,}", words) is not None


def fields_called(every: tuple[Module, ...]) -> dict[str, set[int]]:
    """Name of a function or class -> the places and names of its arguments that are a reason."""
    found: dict[str, set[int]] = defaultdict(set)
    for module in every:
        for node in ast.walk(module.tree):
            if isinstance(node, Function):
                names = [each.arg for each in node.args.args]
                shift = 1 if names[:1] in (["self"], ["cls"]) else 0
                found[node.name] |= {place - shift for place, name in enumerate(names) if name in CALLED}
            elif isinstance(node, ast.ClassDef):
                names = [_last(each.target) for each in node.body if isinstance(each, ast.AnnAssign)]
                found[node.name] |= {place for place, name in enumerate(names) if name in CALLED}
    return found


def given(
    module: Module, called: dict[str, set[int]], errors: frozenset[str], names: Collection[str] = CALLED
) -> Iterator[tuple[ast.AST | None, ast.expr]]:
    """(function around it, expression) of each reason that a module gives."""
    for inside, node in _with_function(module.tree, None):
        if names and isinstance(node, ast.Return) and node.value and _is_asked(inside):
            yield inside, node.value
        if isinstance(node, ast.Call):
            yield from ((inside, each) for each in _given_to(node, called, errors, names))
        yield from ((inside, value) for name, value in _assigned(node) if name.strip("_") in names)


def _given_to(
    node: ast.Call, called: dict[str, set[int]], errors: frozenset[str], names: Collection[str]
) -> Iterator[ast.expr]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else _last(node.func)
    if name == "text":  # of SQLAlchemy
        return
    if isinstance(node.func, ast.Attribute) and name in ("append", "extend"):
        if _last(node.func.value).strip("_") in names:
            yield node.args[0]
    elif name in errors:
        yield from node.args
    else:
        yield from (node.args[place] for place in called.get(name, ()) if place < len(node.args))
    yield from (keyword.value for keyword in node.keywords if keyword.arg in names)


def _with_function(node: ast.AST, inside: ast.AST | None) -> Iterator[tuple[ast.AST | None, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        around = child if isinstance(child, Function) else inside
        yield around, child
        yield from _with_function(child, around)


def errors_of(every: tuple[Module, ...]) -> frozenset[str]:
    """Our own errors by name."""
    bases = {node.name: {_last(each) for each in node.bases} for module in every for node in ast.walk(module.tree)
             if isinstance(node, ast.ClassDef)}
    found = {"Exception", "ValueError", "OSError", "LookupError"}
    while more := {name for name, of in bases.items() if of & found} - found:
        found |= more
    return frozenset(found & bases.keys())


IN_ONE_WORD = "node/doctor/"
"""Where a lone word is a whole question or answer."""
ELSEWHERE = (
    # said to a person at the command line
    "node/cli", "node/answers.py", "node/demo/", "node/simulating/", "node/rehearsal.py", "node/reindexing.py",
    "node/sending.py", "node/service.py", "node/web/composing.py", "node/backing_up/restoring.py",
    "pipelines/benching.py", "pipelines/evaluation/",
    "pipelines/inspection.py", "pipelines/models/fetching.py", "pipelines/models/store.py", "storage/rebuilding.py",
    # said to a peer, to a program that asks over HTTP, or in the log
    "node/audit/", "node/commitment_sets.py", "node/dicomweb/", "node/dicomweb_out/accept.py",
    "node/dicomweb_out/matching.py", "node/dicomweb_out/model.py", "node/dicomweb_out/searching.py",
    "node/dicomweb_out/web.py", "node/dicomweb_out/parts.py", "node/dicomweb_out/rendering.py",
    "node/dicomweb_out/retrieving.py", "node/intake/acceptor.py",
    "node/intake/commands.py", "node/intake/connection.py", "node/intake/element_walk.py", "node/intake/gathered.py",
    "node/intake/header_walk.py", "node/intake/negotiation.py", "node/intake/pdu", "node/messaging/fhir_orders.py",
    "node/messaging/mllp.py", "node/messaging/reading.py", "node/performed_sets.py", "node/web/oidc.py",
    "node/web/workitems.py", "node/workitems/", "pipelines/isolation.py",
    # written into results, in the words of the result
    "node/conformance/", "pipelines/languages.py", "pipelines/messages/", "pipelines/results/flat_overlay.py",
    "pipelines/results/identity.py", "pipelines/results/not_processed.py", "pipelines/results/overlay.py",
    "pipelines/results/pdf",
    "pipelines/results/secondary_capture.py", "pipelines/results/structure_names.py",
    "pipelines/results/derived_images.py", "pipelines/results/key_objects.py", "pipelines/mg_cad/phantom.py",
    "pipelines/models/layout.py", "pipelines/models/licences.py",
    # mail, webhook and log
    "node/alarming/trial.py", "node/alarming/messages.py", "node/observability.py",
    # in catalogues of the pages already
    "node/alarming/kinds.py", "node/studies/nearest.py", "node/drafting/flags.py",
    # kinds that are shown by their code
    "node/web/identities.py", "node/web/witness.py", "pipelines/forms.py", "pipelines/sources/codestream.py",
)
"""Whose sentences are not the reasons of a page."""


OF_PYDANTIC = (
    "Input should be a valid integer", "Input should be a valid integer, unable to parse string as an integer",
    "Input should be a valid integer, got a number with a fractional part", "Input should be a valid number",
    "Input should be a valid number, unable to parse string as a number", "Input should be a finite number",
    "Input should be a valid string", "Input should be a valid boolean",
    "Input should be a valid boolean, unable to interpret input", "Input should be a valid tuple",
    "Input should be a valid list", "Input should be a valid dictionary", "Input should be greater than {gt}",
    "Input should be greater than or equal to {ge}", "Input should be less than {lt}",
    "Input should be less than or equal to {le}", "Input should be {expected}",
    "String should have at least {min_length} character", "String should have at least {min_length} characters",
    "String should have at most {max_length} characters", "String should match pattern '{pattern}'",
)
"""What pydantic says of a value of the configuration."""
WITHOUT_WORDS = ("`{key}: {{operator}: …}`: {wrong+}",)
"""Sentences of the configuration that are made of others alone."""
NO_SENTENCES = frozenset({"openid profile", "10 min", "Literal['any', 'all']", "Value error, ", "does not exist",
                          "routes.{name}: {message}", "use {}"})
"""Values, types and pieces among the literals of the configuration; a condition is said by the routes' pages."""


def of_configuration() -> dict[str, str]:
    """Everything that reading and checking a configuration can say -> where: each literal there that is a sentence."""
    every = modules("config")
    sayings = Sentences((*every, *modules("node")))
    found = dict.fromkeys((*OF_PYDANTIC, *WITHOUT_WORDS), "config")
    for module in every:
        if module.path.name == "manual.py":
            continue
        found |= _literals(module, sayings)
    for module in every + modules("node"):
        for inside, node in _with_function(module.tree, None):
            if isinstance(node, ast.Call) and _last(node.func) == "Problem":
                for keyword in node.keywords:
                    if keyword.arg in ("message", "cure"):
                        sayings.note(module, inside, keyword.value)
    return {text: place for text, place in (sayings.found | found).items()
            if text not in NO_SENTENCES and not text.startswith(" ") and "\n" not in text}


def _literals(module: Module, sayings: Sentences) -> dict[str, str]:
    """The literals of a module that are sentences, without docstrings and the pieces of formatted ones."""
    pieces = {id(part) for node in ast.walk(module.tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    pieces |= {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    return {text: place for inside, node in _with_function(module.tree, None)
            if isinstance(node, (ast.Constant, ast.JoinedStr)) and id(node) not in pieces
            for text, place in sayings.of(module, inside, node).items() if is_sentence(text)}


@cache
def sentences() -> dict[str, str]:
    """Every reason that a page can show -> where it is written."""
    every = modules("node", "storage", "pipelines")
    called, errors, found = fields_called(every), errors_of(every), Sentences(every)
    for module in every:
        path = str(module.path.relative_to(ROOT))
        marked = path.startswith(("node/pages/", "node/web/"))
        places: dict[str, set[int]] = {} if marked else called  # texts of pages are marked for their catalogues
        names: frozenset[str] = frozenset() if marked else CALLED
        for inside, node in given(module, places, errors | {"HTTPException"}, names):
            found.note(module, inside, node)
    return of_configuration() | {text: place for text, place in found.found.items()
                                 if not place.startswith(ELSEWHERE)}
