"""Made-up rows: a small sweep as a results folder would hold it; and a browser for pages made of them."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator.results.schema import SCHEMA

LABELS = {
    "original": "Original", "retrain": "Retrain", "grad_ascent": "GradAscent", "random_label": "RandLabel",
    "bad_teacher": "Bad-T", "scrub": "SCRUB", "salun": "SalUn",
}  # fmt: skip
# Accuracy on D_f, D_r, D_t, D_t kept and D_t forgotten; MIA share; seconds.
LEVELS = {
    "sample": {
        "original": (0.99, 0.995, 0.93, 0.93, np.nan, 0.18, 0.0),
        "retrain": (0.90, 0.995, 0.92, 0.92, np.nan, 0.33, 60.0),
        "grad_ascent": (0.62, 0.70, 0.61, 0.61, np.nan, 0.47, 3.0),
        "random_label": (0.95, 0.99, 0.91, 0.91, np.nan, 0.39, 14.0),
        "bad_teacher": (0.85, 0.97, 0.89, 0.89, np.nan, 0.52, 11.0),
        "scrub": (0.91, 0.99, 0.92, 0.92, np.nan, 0.35, 9.0),
        "salun": (0.95, 0.985, 0.905, 0.905, np.nan, 0.40, 15.0),
    },
    "class": {
        "original": (0.99, 0.995, 0.93, 0.93, 0.94, 0.18, 0.0),
        "retrain": (0.0, 0.995, 0.85, 0.93, 0.0, 0.98, 58.0),
        "grad_ascent": (0.02, 0.40, 0.35, 0.38, 0.01, 0.9, 3.0),
        "random_label": (0.10, 0.97, 0.84, 0.90, 0.12, 0.85, 14.0),
        "bad_teacher": (0.15, 0.95, 0.83, 0.89, 0.14, 0.80, 11.0),
        "scrub": (0.03, 0.98, 0.84, 0.92, 0.02, 0.93, 9.0),
        "salun": (0.08, 0.97, 0.84, 0.91, 0.09, 0.86, 15.0),
    },
}
LEVELS["speaker"] = LEVELS["sample"]
LEVELS["mislabeled"] = LEVELS["sample"]
CLASSES = ("yes", "no", "up", "down", "left", "right", "on", "off")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Rows = pd.DataFrame
MakeRows = Callable[..., Rows]


def cells(kinds: Sequence[str], ratios: Sequence[float]) -> Iterator[tuple[str, float | None]]:
    for kind in kinds:
        yield from ((kind, ratio) for ratio in (ratios if kind == "sample" else [None]))


def make(
    task: str = "espeak_keywords",
    backbones: Sequence[str] = ("whisper_nano",),
    methods: Sequence[str] = tuple(LABELS),
    superloss: Sequence[str] = (),
    kinds: Sequence[str] = ("sample", "class"),
    ratios: Sequence[float] = (0.05,),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    noise: float = 0.01,
    task_kind: str = "keywords",
) -> Rows:
    """A finished sweep; `noise` is the standard deviation of every measure over runs. Deterministic."""
    rows = []
    loss = json.dumps({"strength": 1.0, "tau": "moving_average"})
    lines = [(m, "") for m in methods] + [(m, loss) for m in superloss]
    for (place, backbone), seed, (kind, ratio) in itertools.product(enumerate(backbones), seeds, cells(kinds, ratios)):
        cell = {
            "trial_id": f"{task}-{backbone}-{kind}-{ratio}-{seed}".replace(".", "_"), "sweep": "made-up", "task": task,
            "task_kind": task_kind, "backbone": backbone, "unlearning": kind, "forget_rule": "random",
            "requested_forget_ratio": ratio, "forget_classes": CLASSES[seed % 8] if kind == "class" else "",
            "seed": seed, "corpus_fingerprint": "c", "original_seed": seed,
            "original_settings": json.dumps({"epochs": 10}), "status": "done",
            "collapsed": False, "tuning": False, "stop_reason": "schedule", "error": "", "lock": "",
            "mia_reference": "holdout", "chance_accuracy": 1 / 12, "constant_predictor_accuracy": 0.083,
            "git_commit": "0" * 40, "device": "cpu", "finished_at": f"2026-01-01T00:00:{seed:02d}",
        }  # fmt: skip
        for method, superloss_settings in lines:
            key = [
                place,
                seed,
                int(1000 * (ratio or 0)),
                len(kind),
                list(LABELS).index(method),
                len(superloss_settings),
            ]
            rows.append(cell | run(cell, method, superloss_settings, place, noise, np.random.default_rng(key), methods))
    return pd.DataFrame(rows).reindex(columns=SCHEMA.names)


def run(
    cell: dict[str, Any], method: str, superloss: str, place: int, noise: float, rng: np.random.Generator,
    methods: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """What one method's row adds to its cell."""
    f, r, t, kept, gone, mia, seconds = np.array(LEVELS[cell["unlearning"]][method]) - 0.03 * place * (
        method == "salun"
    )
    f, r, t, kept, gone = np.clip(np.array([f, r, t, kept, gone]) + rng.normal(0, noise, 5), 0, 1)
    row = {
        "trial_id": f"{cell['trial_id']}-{method}-{len(superloss)}", "method": method, "method_label": LABELS[method],
        "stage": "retrain" if method == "retrain" else "unlearn", "superloss": superloss,
        "settings": json.dumps({"learning_rate": 1e-4}), "forget_accuracy": f, "retain_accuracy": r,
        "test_accuracy": t, "validation_accuracy": t, "test_accuracy_kept_classes": kept,
        "test_accuracy_forgotten_classes": gone, "forget_true_label_accuracy": f, "mia_nonmember": mia, "mia_auc": 0.55,
        "optimization_seconds": seconds * (1 + place), "samples": 1e4,
        "forget_ratio": (cell["requested_forget_ratio"] or 1 / 12) * rng.uniform(0.98, 1.02),
    }  # fmt: skip
    if method not in ("original", "retrain"):
        row |= {"budget_fraction": 1.0, "budget_source": "retrain schedule", "budget_samples": 5e4}
        row["parent_retrain"] = f"{cell['trial_id']}-retrain-0" if "retrain" in methods else None
    return row


def search_rows(trials: int = 8, methods: Sequence[str] = ("scrub", "salun")) -> Rows:
    """Trials of a search; every fifth diverged."""
    rng, rows = np.random.default_rng(0), []
    for method, trial in itertools.product(methods, range(trials)):
        lost = trial % 5 == 4
        rows.append(
            {
                "trial_id": f"tune-{method}-{trial}", "stage": "tune", "tuning": True, "task": "espeak_keywords",
                "backbone": "whisper_nano", "unlearning": "sample", "forget_rule": "random", "method": method,
                "method_label": LABELS[method], "seed": 1000, "status": "diverged" if lost else "done",
                "objective": None if lost else 0.3 / (1 + trial) + rng.uniform(0, 0.1), "study_id": f"s-{method}",
                "objective_rule": "gap_to_retrain", "study_trial": trial, "requested_forget_ratio": 0.05,
            }
        )  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=SCHEMA.names)


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """`make_rows(kinds=["sample"], seeds=[0, 1], ...)`: a finished sweep as rows."""
    return make


@pytest.fixture(scope="session")
def make_search_rows() -> MakeRows:
    """`make_search_rows(trials=8)`: trials of two searches."""
    return search_rows


@pytest.fixture(scope="session")
def change() -> Callable[..., Rows]:
    """`change(rows, {"method": "scrub", "seed": 3}, status="diverged")`: a copy with the rows that match changed."""

    def changed(rows: Rows, which: dict[str, Any], **values: Any) -> Rows:
        found = rows.copy()
        chosen = np.logical_and.reduce([found[name] == value for name, value in which.items()])
        assert chosen.any(), f"no row matches {which}"
        for name, value in values.items():
            found.loc[chosen, name] = value
        return found

    return changed


@pytest.fixture(scope="session")
def browser():
    """Start headless Chromium; skip without one, unless `UNLEARN_BROWSER` says where it must be."""
    wanted = os.environ.get("UNLEARN_BROWSER")
    path = wanted or next((found for name in BROWSERS if (found := shutil.which(name))), None)
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
