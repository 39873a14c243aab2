"""Hooks of mkdocs: pages that are not in docs/, links that leave docs/, and groups of the navigation.

In the repository, pages link to its files. On the site, each such file is a page below `project/`: Markdown unchanged,
anything else as a block of code.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from orchestrator import load_sweep
from orchestrator.report.archive import restore_results
from orchestrator.report.write import write_report
from orchestrator.results.store import open_store
from orchestrator.results.sweep_records import record_sweep

ROOT = Path(__file__).resolve().parents[2]
IMAGE = re.compile(r"(!\[[^\]]*\]\()([^)\s#]+)(\))")
LINK = re.compile(r"((?<!!)\[(?:[^\[\]]|!?\[[^\]]*\])*\]\()([^)\s#]+)((?:#[^)\s]*)?\))", re.DOTALL)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
MERMAID = re.compile(r"^```mermaid\n.*?^```\n", re.DOTALL | re.MULTILINE)
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:|/")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "sh"}
INDEXED = ("docs/results", "docs/decisions")  # folders with a page of their own
EXAMPLE, REPORT = ROOT / "docs" / "results" / "data" / "demo.parquet", "results/example_report.html"
PUBLISHED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
API = (
    ("Functions", "orchestrator.api"),
    ("Results", "orchestrator.results.store"),
    ("Curves", "orchestrator.results.curves"),
    ("Observers", "orchestrator.run.progress.observer"),
    ("Methods", "methods.base"),
    ("Losses", "methods.engine.losses"),
    ("Batches", "methods.engine.batches"),
    ("Backbones", "backbones.base"),
    ("Tasks", "orchestrator.tasks.base"),
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace patterns in the navigation by the pages that match them."""
    config.nav = [_expanded(entry) for entry in config.nav or []]
    return config


def _expanded(entry: Any) -> Any:
    if isinstance(entry, dict):
        ((title, inside),) = entry.items()
        if isinstance(inside, list):
            return {title: [_expanded(one) for one in inside]}
        if isinstance(inside, str) and "*" in inside:
            return {
                title: [_titled(f"{posixpath.dirname(inside)}/{name}") for name in _names(posixpath.dirname(inside))]
            }
    return entry


def _titled(uri: str) -> Any:
    """Return a page for the navigation, under its file's name if its heading is also that of another page."""
    name = posixpath.basename(uri).removesuffix(".md")
    return {name.replace("_", " ").capitalize(): uri} if name.startswith("leaderboard_") else uri


def _names(folder: str) -> list[str]:
    if folder == "project":
        return sorted({posixpath.basename(page_of(path)) for path in linked_files()})
    names = sorted(path.name for path in (ROOT / "docs" / folder).glob("*.md"))
    return sorted({*names, "README.md"}, key=lambda name: (name != "README.md", name))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    made = {page_of(path): _as_page(path) for path in linked_files()}
    made["api.md"] = _api()
    made["example_report.md"] = _example_page()
    files.append(File.generated(config, REPORT, content=_example_report()))
    if not (ROOT / "docs" / "decisions" / "README.md").exists():
        made["decisions/README.md"] = _decisions()
    for uri, content in made.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show the picture of a diagram, and let links that leave docs/ lead to pages of the site."""
    at = repository_path(page.file.src_uri)
    markdown = MERMAID.sub(_picture(page.file.src_uri), markdown)
    pieces, end = [], 0
    for block in [*FENCE.finditer(markdown), None]:  # links in code are no links
        text = markdown[end : block.start() if block else None]
        for kind in (IMAGE, LINK):
            text = kind.sub(lambda found: _link(found, at, page.file.src_uri), text)
        pieces += [text, block[0] if block else ""]
        end = block.end() if block else end
    return "".join(pieces)


def _picture(page: str) -> str:
    up = "../" * page.count("/")
    return f"![The pipeline: a sweep becomes trials, trials become rows, rows become tables]({up}images/pipeline.svg)\n"


def _link(found: re.Match[str], at: str, page: str) -> str:
    if OUTSIDE.match(found[2]):
        return found[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(at), found[2]))
    uri = site_uri(target)
    return f"{found[1]}{posixpath.relpath(uri, posixpath.dirname(page) or '.')}{found[3]}"


def site_uri(path: str) -> str:
    """Return the page or file of the site that shows a file or folder of the repository."""
    if not path.startswith("docs/"):
        return "README.md" if path == "docs" else page_of(path)
    if not (ROOT / path).is_dir():
        return path.removeprefix("docs/")
    index = path if path in INDEXED else posixpath.dirname(path)
    return f"{index}/README.md".removeprefix("docs/")


def repository_path(uri: str) -> str:
    """Return the file of the repository that a page of the site shows."""
    own = {page_of(path): path for path in linked_files()}
    return own.get(uri, f"docs/{uri}")


def page_of(path: str) -> str:
    """Return the page that shows a file outside docs/: `project/methods-fine_tune.py.md`."""
    name = path.replace("/", "-")
    return f"project/{name if name.endswith('.md') else f'{name}.md'}"


@cache
def linked_files() -> tuple[str, ...]:
    """Return the files outside docs/ that the site has pages of: the project's own, and what pages link to."""
    found = set(PUBLISHED)
    pages = [*(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")), *PUBLISHED]
    for page in pages:
        found |= {target for target in _targets(page) if not target.startswith("docs")}
    return tuple(sorted(path for path in found if (ROOT / path).is_file()))


def _targets(page: str) -> Iterator[str]:
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for found in LINK.finditer(text):
        if not OUTSIDE.match(found[2]):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(page), found[2]))


def _as_page(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    return f"# {path}\n\n````{LANGUAGES.get(posixpath.splitext(path)[1], 'text')}\n{text}````\n"


def _api() -> str:
    text = "# Python API\n\n[The guide](python.md) shows what `import orchestrator` exports. These are its parts.\n"
    return text + "".join(
        f"\n::: {module}\n    options: {{heading: {title}, toc_label: {title}}}\n" for title, module in API
    )


def _example_report() -> bytes:
    """Make the demo's report from its rows and curves, by the code of this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"{folder}/r")
        restore_results(EXAMPLE, store)
        loaded = load_sweep(ROOT / "sweeps" / "demo.yaml")  # trials are repeated by entries of the sweep
        record_sweep(store.files, loaded.sweep.name, loaded.values, sorted(store.row_files.ids()))
        write_report(f"{folder}/r", f"{folder}/out")
        return Path(folder, "out", "report.html").read_bytes()


def _example_page() -> str:
    return (
        "# The demo's report\n\nThis is `report.html` of [the demo](results/demo.md), as `unlearn report` writes it "
        f"([what is in it](results.md#the-page)). [Open it on its own]({REPORT}): it is wider there. It is made from "
        "rows and curves; without the other methods' outputs, charts of attacks show Original and Retrain only.\n\n"
        f'<iframe src="{REPORT}" title="Report of the demo" style="width: 100%; height: 80vh"></iframe>\n'
    )


def _decisions() -> str:
    lines = []
    for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{title}]({path.name})")
    return "# Decision records\n\nWhy it is built as it is, one page per decision.\n\n" + "\n".join(lines) + "\n"
