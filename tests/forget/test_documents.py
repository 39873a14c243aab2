from __future__ import annotations

import copy
import os
import re
import shutil

import pytest
import yaml

from orchestrator.forget.documents import card, page

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def report(first):
    return copy.deepcopy(first.report)


def test_the_page_needs_no_script_and_forbids_it(report):
    html = page(report)
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert not re.search(r"(src|href)=", html.replace("xlink:href", ""))


def test_the_page_has_the_verdict_the_references_and_a_chart_with_a_description(report):
    html = page(report)
    assert report["verdict"].capitalize() in html
    assert all(reference in html for reference in report["references"])
    assert "<svg" in html
    assert "aria-label" in html


def test_names_that_users_chose_are_escaped(report):
    report["collateral"]["classes"][0]["class"] = HOSTILE
    report["residue"] = [{"path": f"/cache/{HOSTILE}", "what": "corpus", "kept_because": "", "removed": False}]
    html = page(report)
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html


def test_a_report_without_comparisons_is_a_page_too(report):
    report["evidence"]["after"] = []
    assert "No comparison was possible" in page(report)


def test_the_card_has_metadata_of_the_hub_and_keeps_the_parents_license(report, tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\ntags: [speech]\nmodel-index: []\n---\n# Parent\n")
    text = card(report, tmp_path)
    metadata = yaml.safe_load(text.split("---\n")[1])
    assert metadata["license"] == "mit"
    assert metadata["pipeline_tag"] == "audio-classification"
    assert metadata["tags"] == ["audio-classification", "machine-unlearning", "speech"]
    assert "model-index" not in metadata
    assert report["model"]["parent_sha256"] in text
    assert "compliant" not in text


def test_names_of_classes_are_plain_text_in_the_card(report, tmp_path):
    rows = report["collateral"]["classes"]
    rows[0] |= {"class": HOSTILE, "forgotten": False}
    rows[1] |= {"class": "[click](http://x) *so*\n# big", "forgotten": False}
    text = card(report, tmp_path)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;: accuracy" in text
    assert "\\[click\\](http\\://x) \\*so\\* \\# big: accuracy" in text


@pytest.mark.parametrize("before", ["no metadata", "---\n: [\n---\n", "---\n"])
def test_a_parent_without_readable_metadata_gives_a_card_all_the_same(report, tmp_path, before):
    (tmp_path / "README.md").write_text(before)
    assert yaml.safe_load(card(report, tmp_path).split("---\n")[1])["library_name"] == "transformers"


def test_the_page_is_accessible_in_light_dark_and_on_a_phone_and_requests_nothing(first):
    path = os.environ.get("UNLEARN_BROWSER") or shutil.which("chromium")
    if path is None:
        pytest.skip("no Chromium on this machine; UNLEARN_BROWSER can name one")
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for look in ({}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}):
            seen, shown = [], browser.new_page(**look)
            shown.on("console", lambda message, seen=seen: seen.append(message.text))
            shown.on("request", lambda request, seen=seen: seen.append(request.url))
            shown.goto((first.folder / "report.html").as_uri())
            assert seen == [(first.folder / "report.html").as_uri()]
            assert Axe().run(shown).response["violations"] == []
            assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        browser.close()
