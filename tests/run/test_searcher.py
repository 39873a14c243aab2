from __future__ import annotations

import copy
import pickle

from orchestrator.plan.grid import build_grid
from orchestrator.plan.sweep import Sweep
from orchestrator.run.searcher import Handed
from orchestrator.run.trial import Assignment


def test_what_is_handed_out_is_never_copied_by_tune_and_whole_in_another_process():
    values = {
        "name": "t",
        "tasks": ["espeak_keywords"],
        "backbones": ["logmel_cnn"],
        "methods": ["scrub"],
        "seeds": [0],
    }
    spec = build_grid(Sweep.model_validate({**values, "unlearning": [{"kind": "class", "classes": ["go"]}]})).trials[-1]
    handed = Handed(Assignment(spec, spec.training, spec.method.settings))
    assert copy.deepcopy({"config": {"handed": handed}})["config"]["handed"] is handed
    there = pickle.loads(pickle.dumps(handed)).assignment
    assert there == handed.assignment
    assert there.spec.trial_id == spec.trial_id
    assert spec.trial_id in repr(handed)
    assert len(repr(handed)) < 40
