"""A real browser, and pages that it opens from disk: one of a finished sweep, with a hostile name in it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.report.build import build_report
from orchestrator.report.frames.scope import select
from orchestrator.report.write import write_files

HOSTILE = "</script><script>alert(1)</script><!-- & \"quoted\" 'single' <img src=http://127.0.0.1:9/x>"
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    """Start headless Chromium; skip without one, unless `UNLEARN_BROWSER` says where it must be."""
    wanted = os.environ.get("UNLEARN_BROWSER")
    path = wanted or next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine; UNLEARN_BROWSER can name one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@dataclass
class Seen:
    """A page, and what its browser complained of or requested over a network."""

    page: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser):
    """`visit(path, viewport=…, java_script_enabled=False, …)` opens a file; options are those of a browser context."""
    contexts = []

    def opened(path: Path, **options) -> Seen:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        seen = Seen(context.new_page())
        seen.page.on(
            "console", lambda said: seen.errors.append(said.text) if said.type in ("error", "warning") else None
        )
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto(path.as_uri())
        return seen

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def hostile_rows(make_rows, make_search_rows):
    """Two backbones, two kinds of forget sets, two ratios, failed runs, and names that try to break out."""
    methods = ["original", "retrain", "grad_ascent", "scrub", "salun"]
    more = {"superloss": ["scrub"], "backbones": ["whisper_nano", "b"], "ratios": [0.01, 0.05], "seeds": [0, 1]}
    rows = make_rows(methods=methods, **more)
    rows["budget_used"] = rows["samples"] / 5e4
    failed = (rows["method"] == "salun") & (rows["seed"] == 1) & (rows["unlearning"] == "class")
    rows.loc[failed, ["status", "error"]] = ["failed", f"ValueError: {HOSTILE}"]
    rows.loc[rows["unlearning"] == "class", "forget_classes"] = f"yes {HOSTILE}"
    rows["method_label"] = rows["method_label"].replace("SalUn", f"SalUn {HOSTILE}")
    rows["backbone"] = rows["backbone"].replace("b", f"b {HOSTILE}")
    return pd.concat([rows, make_search_rows(methods=["scrub"])], ignore_index=True)


@pytest.fixture(scope="session")
def page(hostile_rows, tmp_path_factory):
    """Write the report of these rows once; return report.html."""
    return write_files(build_report(select(hostile_rows)), tmp_path_factory.mktemp("page"))[1]
