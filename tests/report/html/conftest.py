"""A page that a browser opens from disk: of a finished sweep, with hostile names in it."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.report.build import build_report
from orchestrator.report.frames.scope import select
from orchestrator.report.write import write_files

HOSTILE = "</script><script>alert(1)</script><!-- & \"quoted\" 'single' <img src=http://127.0.0.1:9/x>"


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
