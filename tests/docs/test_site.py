"""The site builds without a warning, has every page, and loads nothing from a network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from orchestrator import load_sweep
from orchestrator.plan.grid import build_grid

pytest.importorskip("mkdocs")
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LOADED = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)")
SAID_ONLY = ("canonical", "alternate")  # relations of a link that load nothing


@pytest.fixture(scope="module")
def pages():
    """The hooks, as a module."""
    spec = importlib.util.spec_from_file_location("pages", DOCS / ".site" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["pages"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["pages"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_of_the_documentation_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text()
    named = {page.name for page in DOCS.glob("*.md")}
    assert named - set(re.findall(r"[\w]+\.md", text.partition("\nnav:")[2])) == set()


@pytest.mark.slow
def test_every_page_of_the_documentation_is_a_page_of_the_site(site):
    built = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    named = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert {name.replace("README.html", "index.html") for name in named} <= built
    assert {
        "api.html",
        "example_report.html",
        "results/example_report.html",
        "project/CHANGELOG.html",
        "project/methods-fine_tune.py.html",
    } <= built


@pytest.mark.slow
def test_no_page_loads_anything_from_a_network(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        found = [
            tag
            for tag in LOADED.finditer(text)
            if not any(f"rel={word}" in tag[0].replace('"', "") for word in SAID_ONLY)
        ]
        assert not found, f"{page.name}: {found[0][1]}"


def test_the_example_is_the_report_of_the_whole_demo(pages):
    made = pages._example_report().decode()
    planned = build_grid(load_sweep(ROOT / "sweeps" / "demo.yaml").sweep).trials
    parts = re.findall(r'<details class="trial" id="trial-(\w+)">', made)
    assert sorted(parts) == sorted(trial.trial_id for trial in planned)  # else make demo.parquet again
    assert made.count("unlearn run demo.yaml --results") == len(parts)
    assert "charged time" in made


@pytest.mark.slow
def test_the_reference_has_what_the_package_exports(site):
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in ("run_sweep", "LaunchOptions", "read_curves", "UnlearningProblem", "Backbone", "Utterance"):
        assert re.search(rf'id="[\w.]+\.{name}"', text), name


def test_the_picture_of_the_pipeline_is_that_of_the_diagram():
    """Render it again with mermaid (without `<b>`), and set `data-source` to this hash."""
    (diagram,) = re.findall(r"^```mermaid\n(.*?)^```", (DOCS / "concepts.md").read_text(), re.DOTALL | re.MULTILINE)
    (found,) = re.findall(r'data-source="(\w+)"', (DOCS / "images" / "pipeline.svg").read_text())
    assert found == sha256(diagram.encode()).hexdigest()


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("docs/budget.md", "budget.md"),
        ("docs", "README.md"),
        ("docs/decisions", "decisions/README.md"),
        ("docs/results/data", "results/README.md"),
        ("README.md", "project/README.md"),
        ("methods/fine_tune.py", "project/methods-fine_tune.py.md"),
    ],
)
def test_a_link_to_a_file_leads_to_its_page(pages, path, uri):
    assert pages.site_uri(path) == uri


def test_links_in_code_and_to_the_web_stay_and_others_lead_to_pages(pages):
    page = type("Page", (), {"file": type("File", (), {"src_uri": "results/demo.md"})()})()
    text = "[a](../../sweeps/demo.yaml) [b](https://x.org) ![c](demo/c.png)\n\n```sh\n[d](../nothing.md)\n```\n"
    made = pages.on_page_markdown(text, page, None, None)
    assert "[a](../project/sweeps-demo.yaml.md) [b](https://x.org) ![c](demo/c.png)" in made
    assert "[d](../nothing.md)" in made
