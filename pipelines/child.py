"""A process that ends with the one that starts it: a node that was killed leaves none behind, not even one that loads.

It is bound before its module and all that the module imports are loaded, for that takes seconds.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def command(module: str, *arguments: str) -> list[str]:
    """What runs `module` as the main one. To be started from a thread that lives as long as the process shall: the
    kernel ends the one with the other (Linux, prctl(2)).
    """
    return [sys.executable, "-m", __name__, str(os.getpid()), module, *arguments]


def main() -> None:
    """Bind this process, then be the module. Raises SystemExit where the parent has ended before."""
    parent, module, *arguments = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the process that started this one has ended")
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
