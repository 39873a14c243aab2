from __future__ import annotations

from orchestrator.plan.grid import build_grid
from orchestrator.plan.shared_artifacts import Shared, shared_work
from orchestrator.plan.sweep_schema import Sweep

SWEEP = Sweep.model_validate(
    {
        "name": "t",
        "tasks": ["espeak_keywords"],
        "backbones": ["logmel_cnn", "logmel_gru"],
        "unlearning": [{"kind": "sample", "forget_ratio": [0.01, 0.05]}],
        "methods": ["original", "retrain", "scrub", "salun"],
        "seeds": [0, 1, 2],
    }
)


def test_shared_work_is_counted_once_and_its_users_each():
    trials = build_grid(SWEEP).trials
    originals = [spec.trial_id for spec in trials if spec.stage == "train"]
    asked = []

    def is_cached(spec) -> bool:
        asked.append(spec.backbone.title)
        return spec.backbone.title == "logmel_gru"

    assert shared_work(trials, set(originals[:4]), set(originals[:3]), is_cached) == [
        Shared("originals", 6, 4, 36),  # for two ratios the lines of Original, SCRUB and SalUn
        Shared("retrained models", 12, 0, 36),
        Shared("logits of originals", 6, 3, 24),
        Shared("features, corpus × backbone", 2, 1, len(trials)),
    ]
    assert sorted(asked) == ["logmel_cnn", "logmel_gru"]
