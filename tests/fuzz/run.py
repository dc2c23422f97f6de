"""Coverage-guided fuzzing by atheris: `python tests/fuzz/run.py --target headers --seconds 60`.

Every target is a module with `seeds`, `one_input`, LONGEST and INSTRUMENTED; without --target all run one after the
other, each in a process of its own. Prints one line of JSON for each: executions, seconds, executions a second. Ends
with 1, and keeps the input in the folder given by --findings, when an exception that is not declared escapes, an input
takes longer than --slowest seconds, or memory passes --memory MiB.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = ("headers", "routes", "intake", "dicomweb")
TESTS = Path(__file__).resolve().parent.parent
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


def fuzz(target: str, arguments: list[str]) -> None:
    """In this process, which libFuzzer ends. The folders of seeds come first among the arguments."""
    import atheris  # noqa: PLC0415 - only here, so that the rest works without it

    sys.path[:0] = [str(TESTS), str(Path(__file__).parent)]
    plain = importlib.import_module  # the module says what to instrument before anything is
    with atheris.instrument_imports(include=_instrumented(target)):
        module = plain(target)
    atheris.Setup([sys.argv[0], *arguments, f"-max_len={module.LONGEST}"], module.one_input)
    atheris.Fuzz()


def _instrumented(target: str) -> list[str]:
    """INSTRUMENTED of a target, read without importing what it is about."""
    source = (Path(__file__).parent / f"{target}.py").read_text(encoding="utf-8")
    found = re.search(r"^INSTRUMENTED = (\(.*\))$", source, re.MULTILINE)
    assert found is not None, f"{target} does not say what to instrument"
    return [str(each) for each in json.loads(found[1].replace("(", "[").replace(",)", ")").replace(")", "]"))]


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
        done = subprocess.run(
            [*this, "--inside", *folders, f"-max_total_time={options.seconds}", f"-timeout={options.slowest}",
             f"-rss_limit_mb={options.memory}", f"-artifact_prefix={options.findings}/{target}-"],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    found = _DONE.search(done.stderr)
    if done.returncode or found is None:
        print(done.stdout[-4000:], done.stderr[-8000:], sep="\n", file=sys.stderr)
        return False
    executions, seconds = int(found[1]), int(found[2])
    print(json.dumps({"target": target, "executions": executions, "seconds": seconds,
                      "executions_per_second": round(executions / max(seconds, 1))}), flush=True)
    if options.corpus is not None:  # runs that go on from one corpus are one campaign
        sys.path[:0] = [str(TESTS)]
        importlib.import_module("support.figures").add_up(f"fuzz-{target}", executions=executions, seconds=seconds)
    return True


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--slowest", type=int, default=10)
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
        fuzz(targets[0], options.inside)
    else:
        failed = [each for each in targets if not _run(each, options)]
        if failed:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
