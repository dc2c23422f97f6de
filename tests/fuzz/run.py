"""Coverage-guided fuzzing by atheris: `python tests/fuzz/run.py --target headers --seconds 60`.

Every target is a module with `seeds`, `one_input`, LONGEST and INSTRUMENTED; without --target all run one after the
other. Each runs in --workers processes that share what they learn. Prints one line of JSON for each target: executions,
seconds, executions a second. Ends with 1, and keeps the input in the folder given by --findings, when an exception that
is not declared escapes, an input takes longer than --slowest seconds of computing (or, where it does not compute, sixty
times that by the clock), or memory passes --memory MiB.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TARGETS = ("headers", "routes", "intake", "dicomweb")
TESTS = Path(__file__).resolve().parent.parent
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


def fuzz(target: str, slowest: float, arguments: list[str]) -> None:
    """In this process, which libFuzzer ends. The folders of seeds come first among the arguments."""
    import atheris  # noqa: PLC0415 - only here, so that the rest works without it

    sys.path[:0] = [str(TESTS), str(Path(__file__).parent)]
    plain = importlib.import_module  # the module says what to instrument before anything is
    wanted = _instrumented(target)
    with atheris.instrument_imports(include=wanted, exclude=_beside(wanted)):
        module = plain(target)
    limited = plain("support.fuzzing").within(slowest, module.one_input)
    atheris.Setup([sys.argv[0], *arguments, f"-max_len={module.LONGEST}"], limited)
    atheris.Fuzz()


def _instrumented(target: str) -> list[str]:
    """INSTRUMENTED of a target, read without importing what it is about."""
    source = (Path(__file__).parent / f"{target}.py").read_text(encoding="utf-8")
    found = re.search(r"^INSTRUMENTED = (\([^)]*\))", source, re.MULTILINE)
    assert found is not None, f"{target} does not say what to instrument"
    return list(ast.literal_eval(found[1]))


def _beside(wanted: list[str]) -> list[str]:
    """The other modules of the same packages: atheris knows no smaller part than a package, and all of it is slow."""
    found = []
    for package in {each.partition(".")[0] for each in wanted}:
        spec = importlib.util.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            for folder, _, names in os.walk(place, followlinks=True):
                parts = (package, *Path(folder).relative_to(place).parts)
                found += [".".join((*parts, name.removesuffix(".py"))).removesuffix(".__init__")
                          for name in names if name.endswith(".py")]
    return [each for each in found if not any(f"{each}.".startswith(f"{one}.") for one in wanted)]


def write_seeds(target: str, folder: Path) -> None:
    """One file each; in a process of its own, because what is imported here is not instrumented any more."""
    sys.path[:0] = [str(TESTS), str(Path(__file__).parent)]
    for number, seed in enumerate(importlib.import_module(target).seeds()):
        (folder / f"seed-{number:03d}").write_bytes(seed)


def _run(target: str, options: argparse.Namespace) -> bool:
    options.findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        this = [sys.executable, __file__, "--target", target]
        subprocess.run([*this, "--seeds-into", made], check=True)
        folders = [made] if options.corpus is None else [str(options.corpus / target), made]
        Path(folders[0]).mkdir(parents=True, exist_ok=True)
        limits = [f"-max_total_time={options.seconds}", f"-runs={options.executions // options.workers}",
                  f"-timeout={60 * options.slowest}", f"-rss_limit_mb={options.memory}",
                  f"-artifact_prefix={options.findings}/{target}-"]
        inside = [*this, "--slowest", str(options.slowest), "--inside", *folders, *limits]
        workers = [subprocess.Popen(inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
                   for _ in range(options.workers)]
        with ThreadPoolExecutor(options.workers) as waiting:
            said = list(waiting.map(subprocess.Popen.communicate, workers))
    sys.path[:0] = [str(TESTS)]
    executions = seconds = 0
    for worker, (out, err) in zip(workers, said, strict=True):
        importlib.import_module("support.fuzzing").forget_store(worker.pid)
        found = _DONE.search(err)
        if worker.returncode or found is None:
            print(out[-4000:], err[-8000:], sep="\n", file=sys.stderr)
            return False
        executions, seconds = executions + int(found[1]), max(seconds, int(found[2]))
    print(json.dumps({"target": target, "executions": executions, "seconds": seconds,
                      "executions_per_second": round(executions / max(seconds, 1))}), flush=True)
    if options.corpus is not None:  # runs that go on from one corpus are one campaign
        importlib.import_module("support.figures").add_up(f"fuzz-{target}", executions=executions, seconds=seconds)
    return True


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--executions", type=int, default=-1, help="end earlier, after so many")
    parser.add_argument("--slowest", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--corpus", type=Path,
                        help="keep what was learnt here, begin with it the next time, and count the runs together")
    parser.add_argument("--findings", type=Path, default=Path(".fuzz/findings"))
    parser.add_argument("--seeds-into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--inside", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    targets = options.target or TARGETS
    if options.seeds_into:
        write_seeds(targets[0], options.seeds_into)
    elif options.inside:
        fuzz(targets[0], options.slowest, options.inside)
    else:
        failed = [each for each in targets if not _run(each, options)]
        if failed:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
