"""The documentation as pages that are read without internet: `make docs`, then site/index.html.

The pages are those of docs/; README and CHANGELOG of the repository, the READMEs of the pipelines and the HTTP
interface, as a node itself describes it, come to them. Links to other files of the repository become their names. It is
strict: a link to nowhere is an error.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import urllib.request
from datetime import UTC, datetime
from os.path import relpath
from pathlib import Path
from typing import Any

from mkdocs.commands.build import build
from mkdocs.config import load_config

from radnode.config.loading import parse
from radnode.node.observability import configure_logging
from radnode.node.security import roster
from radnode.node.service import Node

REPOSITORY = Path(__file__).resolve().parents[2]
NAVIGATION: dict[str, tuple[str, ...]] = {
    "Begin": ("index.md", "deploy.md", "upgrade.md", "page.md", "catalogue.md"),
    "For radiologists": ("radiologist.md", "results.md"),
    "For administrators": ("security.md", "alarms.md", "backup.md", "recovery.md", "monitoring.md", "peers.md",
                           "pulls.md", "dicomweb.md", "work-items.md", "hl7-fhir.md", "deidentification.md"),
    "Models": ("tutorial-own-model.md", "models.md", "model-zoo.md", "evaluation.md"),
    "What was measured": ("reliability.md", "measurements.md", "scale.md", "conformance.md", "asvs.md"),
    "Inside": ("api.md", "architecture.md", "changes.md"),
}
MOVED = {"index.md": "README.md", "changes.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md",
         "reporting.md": "SECURITY.md"}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_NODE = """
node: {{host: 127.0.0.1, dicom_port: 0, http_port: 0, data: {data}, disk_reserve: 1 MB}}
"""


def described() -> dict[str, Any]:
    """What a node says of its own HTTP interface."""
    configure_logging(as_json=False, level="ERROR")
    with tempfile.TemporaryDirectory() as name:
        node = Node(parse(_NODE.format(data=name), "documentation"))
        node.start()
        try:
            with node.database.begin() as session:
                token = roster.add_token(session, "documentation", "operator", datetime.now(UTC), days=1)
            asked = urllib.request.Request(
                f"http://127.0.0.1:{node.http_port}/api/openapi.json", headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
                return dict(json.load(answer))
        finally:
            node.stop()


def api_page(interface: dict[str, Any]) -> str:
    """OpenAPI as a page."""
    parts = [f"# The HTTP interface\n\nVersion {interface['info']['version']}, as the node describes it at "
             "`/api/openapi.json`. Who may ask what: [security](security.md).\n"]
    for path, methods in sorted(interface["paths"].items()):
        for method, said in methods.items():
            parts.append(f"## `{method.upper()} {path}`\n\n{said.get('description') or said.get('summary', '')}\n")
            for each in said.get("parameters", ()):
                kind = each["schema"].get("type", "")
                needed = ", required" if each.get("required") else ""
                parts.append(f"* `{each['name']}` ({each['in']}, {kind or 'any'}{needed}) "
                             f"{each.get('description', '')}")
            answers = ", ".join(f"{code}: {each['description']}" for code, each in sorted(said["responses"].items()))
            parts.append(f"\nAnswers: {answers}\n")
    return "\n".join(parts)


def gather(target: Path) -> None:
    """All pages and pictures in one folder, with links that lead inside it."""
    shutil.copytree(REPOSITORY / "docs", target, ignore=shutil.ignore_patterns("site"))
    for name, source in MOVED.items():
        shutil.copy(REPOSITORY / source, target / name)
    for readme in (REPOSITORY / "pipelines").glob("*/README.md"):
        (target / "pipelines" / readme.parent.name).mkdir(parents=True)
        shutil.copy(readme, target / "pipelines" / readme.parent.name / "README.md")
    places = {page: _origin(page.relative_to(target)) for page in target.rglob("*.md")}
    at = {origin: page for page, origin in places.items()}
    for page, origin in places.items():
        page.write_text(_LINK.sub(lambda found, page=page, origin=origin: _inside(found, page, origin, at),
                                  page.read_text(encoding="utf-8")), encoding="utf-8")


def _origin(page: Path) -> Path:
    """Where a gathered page lies in the repository."""
    if str(page) in MOVED:
        return REPOSITORY / MOVED[str(page)]
    return REPOSITORY / page if page.parts[0] == "pipelines" else REPOSITORY / "docs" / page


def _inside(found: re.Match[str], page: Path, origin: Path, at: dict[Path, Path]) -> str:
    mark, text, link, anchor = found.group(1), found.group(2), found.group(3), found.group(4) or ""
    if "://" in link or link.startswith("mailto:"):
        return found.group()
    aimed = (origin.parent / link).resolve()
    if not aimed.exists():
        return found.group()  # so that it is told
    if aimed in at:
        return f"{mark}[{text}]({_way(page, at[aimed])}{anchor})"
    if aimed.is_relative_to(REPOSITORY / "docs") and aimed.is_file():
        return f"{mark}[{text}]({_way(page, _root(page, origin) / aimed.relative_to(REPOSITORY / 'docs'))}{anchor})"
    return text if text.startswith("`") else f"{text} (`{aimed.relative_to(REPOSITORY)}`)"


def _root(page: Path, origin: Path) -> Path:
    inside = origin.relative_to(REPOSITORY)
    depth = len(inside.parts) - (1 if inside.parts[0] == "docs" else 0)
    return page.parents[depth - 1]


def _way(page: Path, aimed: Path) -> str:
    return Path(relpath(aimed, page.parent)).as_posix()


def make(output: Path, *, interface: dict[str, Any] | None = None) -> None:
    """Build the site. interface: OpenAPI; None: asked of a node. Raises mkdocs' Abort where a link leads nowhere."""
    with tempfile.TemporaryDirectory() as name:
        pages = Path(name) / "pages"
        gather(pages)
        (pages / "api.md").write_text(api_page(interface or described()), encoding="utf-8")
        navigation = [{part: [page for page in names if (pages / page).exists()]} for part, names in NAVIGATION.items()]
        (Path(name) / "mkdocs.yml").write_text(json.dumps({
            "site_name": "radnode", "docs_dir": str(pages), "site_dir": str(output.resolve()), "strict": True,
            "use_directory_urls": False, "nav": navigation,
            "theme": {"name": "material", "font": False, "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default", "primary": "blue grey"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate", "primary": "blue grey"}],
                "features": ["navigation.sections", "toc.follow"]},
            "plugins": ["search"],
            "markdown_extensions": ["tables", "admonition", "toc"],
        }), encoding="utf-8")
        build(load_config(str(Path(name) / "mkdocs.yml")))


def main() -> None:
    """Build it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "site")
    make(parser.parse_args().output)


if __name__ == "__main__":
    main()
