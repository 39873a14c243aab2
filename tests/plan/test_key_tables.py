from __future__ import annotations

from orchestrator.plan.sweep_schema import Sweep
from orchestrator.plan.training_keys import TrainingEntry


def test_every_key_is_described():
    for model in (Sweep, TrainingEntry):
        assert [name for name, field in model.model_fields.items() if not field.description] in ([], ["trainings"])
