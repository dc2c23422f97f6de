"""One node for all tests of its pages, with a study that was read; a browser for each module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support import dcmtk, pages
from support.crowded import crowded
from support.node import NodeProcess, archive, modality
from support.pacs import StandInPacs

from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

ROUTES = [{"name": "chest", "when": {"modality": "CT"}, "run": ["ct-lung"], "send": ["PACS"]}]


@dataclass(frozen=True)
class Hospital:
    """A node with its PACS; study_instance_uid: a chest CT whose SEG and report are at the PACS."""

    node: NodeProcess
    pacs: StandInPacs
    study_instance_uid: str


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Shared: a test that changes its configuration or states starts a node of its own."""
    folder = tmp_path_factory.mktemp("hospital")
    files = write_series(chest_phantom(slices=30, size=96, seed=7), folder / "ct")
    with StandInPacs() as pacs, NodeProcess(
        folder / "node", peers=[modality(), archive(pacs.port)], routes=ROUTES
    ) as node:
        dcmtk.dcmsend(node.port, files, called="RADNODE")
        node.wait_for_states(PROCESSED=30, within=180)
        jobs = node.jobs()
        assert [job["state"] for job in jobs] == ["DELIVERED"] or jobs, jobs
        study = node.get("/dicom-web/studies")[0]["0020000D"]["Value"][0]
        yield Hospital(node, pacs, study)


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node on which much has happened, to be looked at."""
    with crowded(tmp_path_factory.mktemp("crowd")) as node:
        yield node


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, ended after the module: Playwright's loop would be in the way of other tests'."""
    with pages.browser() as running:
        yield running
