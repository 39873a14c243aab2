"""The page in a real browser: it reads, sorts, filters, saves and draws, alone and without a network."""

from __future__ import annotations

import csv
import re

import pytest
from playwright.sync_api import expect

PHONE = {"viewport": {"width": 390, "height": 844}}


def column(page, table: int, number: int) -> list[str]:
    """Texts of one column of a table, of rows that are shown."""
    return page.eval_on_selector_all(
        "table[data-name]",
        """(tables, [table, number]) => [...tables[table].tBodies[0].rows]
        .filter((row) => !row.classList.contains("block") && !row.hidden)
        .map((row) => row.cells[number].textContent)""",
        [table, number],
    )


def enliven(page) -> int:
    """Scroll to every chart and wait until it is drawn again; return how many there are."""
    charts = page.locator(".plot[data-chart]")
    for place in range(charts.count()):
        charts.nth(place).scroll_into_view_if_needed()
    # Not `wait_for_function`, which evaluates text: the page's policy forbids that.
    expect(page.locator(".plot .live svg[aria-hidden]")).to_have_count(charts.count(), timeout=60_000)
    return charts.count()


def test_the_page_says_nothing_to_the_console_and_requests_nothing(visit, page) -> None:
    seen = visit(page)
    assert enliven(seen.page) > 8
    assert seen.errors == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_charts_are_drawn_again_by_vega_and_follow_the_chosen_table(visit, page) -> None:
    seen = visit(page)
    enliven(seen.page)
    chart = seen.page.locator(".plot[data-chart$='--sample--gap-to-retrain'] .live")
    before = chart.inner_html()
    seen.page.locator(".switch button", has_text="whisper_nano").first.click()
    for _ in range(600):
        if chart.inner_html() != before:
            break
        seen.page.wait_for_timeout(100)
    assert chart.inner_html() != before
    assert seen.errors == []


def test_a_table_is_chosen_by_its_button(visit, page) -> None:
    seen = visit(page)
    views = seen.page.locator("section.task > .view")
    assert views.count() > 3
    assert [views.nth(n).is_visible() for n in range(3)] == [True, False, False]
    seen.page.locator(".switch button", has_text="whisper_nano").first.click()
    shown = [views.nth(n).locator("h3").inner_text() for n in range(views.count()) if views.nth(n).is_visible()]
    assert len(shown) == 1
    assert "whisper_nano" in shown[0]


def test_a_click_on_a_title_sorts_the_lines_within_their_block(visit, page) -> None:
    seen = visit(page)
    titles = seen.page.locator("table[data-name] >> nth=0").locator("thead button").all_inner_texts()
    place = titles.index("D_f")
    for order in ("ascending", "descending"):
        seen.page.locator("thead button", has_text="D_f").first.click()
        values = [float(re.match(r"[\d.]+", text)[0]) for text in column(seen.page, 0, place)]
        assert values == sorted(values, reverse=order == "descending")
        assert seen.page.locator("thead th[aria-sort]").first.get_attribute("aria-sort") == order


def test_the_filter_keeps_lines_that_have_every_word(visit, page) -> None:
    seen = visit(page)
    every = column(seen.page, 0, 0)
    seen.page.locator("input[type=search]").first.fill("scrub superloss")
    kept = column(seen.page, 0, 0)
    assert kept == [name for name in every if "SCRUB + SuperLoss" in name]
    assert re.match(r"\d+ of \d+ lines", seen.page.locator("output").first.inner_text())


def test_what_is_shown_is_saved_as_csv(visit, page) -> None:
    seen = visit(page)
    seen.page.locator("input[type=search]").first.fill("scrub")
    with seen.page.expect_download() as download:
        seen.page.locator("button", has_text="Download what I see").first.click()
    rows = list(csv.reader(open(download.value.path(), newline="", encoding="utf-8")))  # noqa: SIM115
    assert rows[0][:2] == ["block", "Method"]
    assert {row[1].split(" + ")[0] for row in rows[1:]} == {"SCRUB"}
    assert len({len(row) for row in rows}) == 1


def test_signs_and_exponents_are_numbers_and_only_formulas_are_guarded(visit, page) -> None:
    seen = visit(page)
    given = ["+10.0 (n = 2)", "−0.7 ± 1.0", "1e-05", "+2.0 [1.0, 3.0], p = 0.04", "-20", "name", "-2+3+cmd|x", "=1+1"]
    body = seen.page.locator("table[data-name] >> nth=0").locator("tbody").first
    body.evaluate(
        """(body, given) => {
            const row = body.rows[body.rows.length - 1];
            const made = given.map(() => row.cloneNode(true));
            made.forEach((one, at) => { one.cells[1].textContent = given[at]; });
            body.replaceChildren(...made);
        }""",
        given,
    )
    seen.page.locator("table[data-name] >> nth=0").locator("thead button").nth(1).click()
    shown = body.locator("tr").evaluate_all("rows => rows.map((row) => row.cells[1].textContent)")
    assert shown[:6] == ["-20", "-2+3+cmd|x", "−0.7 ± 1.0", "1e-05", "+2.0 [1.0, 3.0], p = 0.04", "+10.0 (n = 2)"]
    assert set(shown[6:]) == {"name", "=1+1"}
    with seen.page.expect_download() as download:
        seen.page.locator("button", has_text="Download what I see").first.click()
    rows = list(csv.reader(open(download.value.path(), newline="", encoding="utf-8")))  # noqa: SIM115
    saved = {row[rows[0].index("Method") + 1] for row in rows[1:]}
    assert {text for text in given if text not in ("-2+3+cmd|x", "=1+1")} | {"'-2+3+cmd|x", "'=1+1"} <= saved


def test_without_javascript_every_table_and_chart_is_there(visit, page) -> None:
    seen = visit(page, java_script_enabled=False)
    views, plots = seen.page.locator(".view"), seen.page.locator(".plot > svg")
    assert all(views.nth(n).is_visible() for n in range(views.count()))
    assert plots.count() == seen.page.locator(".plot").count() > 8
    assert seen.page.locator(".tools:visible, .switch:visible").count() == 0


def test_names_are_text_wherever_they_are_shown(visit, page) -> None:
    seen = visit(page)
    enliven(seen.page)
    assert seen.page.locator("img").count() == 0
    assert "<script>alert(1)</script>" in seen.page.locator("table[data-name]").first.inner_text()
    assert seen.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, page, scheme) -> None:
    from axe_playwright_python.sync_playwright import Axe

    seen = visit(page, color_scheme=scheme)
    enliven(seen.page)
    seen.page.evaluate("document.querySelectorAll('details').forEach((part, place) => { part.open = place < 6; })")
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(seen.page, options={"runOnly": {"type": "tag", "values": tags}})
    told = [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found.response["violations"]]
    assert told == []


@pytest.mark.parametrize("scripts", [True, False])
def test_a_phone_scrolls_the_page_in_one_direction_only(visit, page, scripts) -> None:
    seen = visit(page, **PHONE, java_script_enabled=scripts)
    if scripts:
        enliven(seen.page)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen.page.locator("main").bounding_box()["width"] <= 390


def test_a_small_report_can_be_mailed(page) -> None:
    assert page.stat().st_size < 1_200_000


def test_a_policy_forbids_what_is_not_in_the_file(visit, page) -> None:
    seen = visit(page)
    policy = seen.page.locator("meta[http-equiv]").get_attribute("content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    said = seen.page.evaluate("""() => new Promise((done) => {
        document.addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
        const script = document.createElement("script");
        script.textContent = "window.ran = 1";
        document.body.append(script);
    })""")
    assert said.startswith("script-src")
    assert seen.page.evaluate("window.ran") is None
