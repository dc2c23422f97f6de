"""A real syslog server: rsyslogd with TLS (RFC 5425) and UDP, that writes what it gets to a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.network import free_port
from support.processes import Program, required
from support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from support.certificates import Authority, Pair

_CONFIGURATION = """
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="{asks}")
module(load="imudp")
template(name="all" type="string" string="%pri% %app-name% %msgid% %msg%\\n")
input(type="imtcp" port="{port}" supportOctetCountedFraming="on")
input(type="imudp" port="{port}" address="127.0.0.1")
action(type="omfile" file="{folder}/received" template="all")
"""
_LINE = re.compile(r"(\d+) (\S+) (\S+) (.*)")


class Rsyslog:
    """May be stopped and started again; what it has received it keeps. asks: for a client's certificate."""

    def __init__(self, folder: Path, authority: Authority, pair: Pair, *, asks: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.port = free_port()
        self._file = folder / "rsyslog.conf"
        self._file.write_text(_CONFIGURATION.format(
            folder=folder, ca=authority.file, certificate=pair.certificate, key=pair.key, port=self.port,
            asks="x509/certvalid" if asks else "anon",
        ))
        self._program: Program | None = None

    def start(self) -> None:
        """Returns once it listens."""
        command = [required("rsyslogd"), "-n", "-f", str(self._file), "-i", str(self._folder / "pid")]
        self._program = Program(command, self._folder / "log", {})
        eventually(lambda: (self._folder / "pid").exists(), within=20, why=self._log)

    def stop(self) -> None:
        """What it has taken is in the file afterwards."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def kill(self) -> None:
        """At once."""
        assert self._program is not None
        self._program.kill()
        self._program = None
        (self._folder / "pid").unlink(missing_ok=True)

    def received(self) -> list[tuple[int, str, str, str]]:
        """Priority, application, message id, message; each line so far."""
        path = self._folder / "received"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        matches = [_LINE.fullmatch(line) for line in lines]
        return [(int(each[1]), each[2], each[3], each[4].lstrip("\ufeff")) for each in matches if each]

    def _log(self) -> str:
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""
