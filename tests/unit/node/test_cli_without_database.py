"""Before the first start of a node its commands say that, in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from radnode.node.cli import app

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("command", [
    "jobs", "ledger", "alarms", "refused", "deliveries", "users list", "tokens list", "pulls", "audit", "transfers",
    "routes explain 1.2.3",
])
def test_a_command_that_needs_a_database_says_in_a_line_that_there_is_none(tmp_path: Path, command: str) -> None:
    (tmp_path / "radnode.yaml").write_text(f"node: {{data: {tmp_path / 'data'}}}\n")
    done = CliRunner().invoke(app, [*command.split(), "--config", str(tmp_path / "radnode.yaml")])
    assert done.exit_code in (1, 2)
    assert done.output == (
        "there is no database, or this account may not open it; the first start of the node makes it\n"
    )
