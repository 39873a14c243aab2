from __future__ import annotations

import pytest

from orchestrator.plan.grid import build_grid
from orchestrator.plan.method_variants import method_variants
from orchestrator.plan.shipped_sweeps import shipped_sweeps
from orchestrator.plan.sweep_file import read_sweep
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.plan.tuned_settings import Choice, Lock, write_lock


def sweep(**changes) -> Sweep:
    values = {
        "name": "t",
        "tasks": [{"name": "espeak_keywords", "clips": 240}],
        "backbones": ["logmel_cnn"],
        "unlearning": [{"kind": "sample", "forget_ratio": 0.05}],
        "seeds": [0],
    }
    return Sweep.model_validate({**values, **changes})


def test_a_rates_share_is_in_the_recipe_while_the_rate_is_auto_and_only_then():
    def scrub(**settings):
        (found,) = (
            s for s in build_grid(sweep(methods=[{"name": "scrub", **settings}])).trials if s.stage == "unlearn"
        )
        return found

    assert {"learning_rate": "auto", "rate_share": 0.3}.items() <= scrub(rate_share=0.3).method.identity.items()
    assert scrub(rate_share=0.3).trial_id != scrub(rate_share=0.4).trial_id
    assert "rate_share" not in scrub(learning_rate=1e-4).method.identity
    assert scrub(learning_rate="auto").trial_id == scrub().trial_id
    with pytest.raises(ValueError, match="give learning_rate or rate_share, not both"):
        scrub(learning_rate=1e-4, rate_share=0.3)


@pytest.mark.parametrize("given", [{"rate_share": 0.3}, {"learning_rate": 0.05}])
def test_a_rate_or_share_that_the_sweep_spells_out_wins_over_the_locks_rate(tmp_path, given):
    choice = Choice("espeak_keywords", "logmel_cnn", "sample", "scrub", False, {"learning_rate": 0.123, "epochs": 4})
    write_lock(tmp_path / "l.yaml", Lock("rewind", 2, (1000,), (choice,)))
    made = sweep(methods=[{"name": "scrub", **given}], lock=str(tmp_path / "l.yaml"))
    found = [s.method.settings for s in build_grid(made).trials if s.stage == "unlearn"]
    assert found
    for settings in found:
        assert settings["epochs"] == 4
        assert given.items() <= settings.items()
        assert settings["learning_rate"] in ("auto", 0.05)


def test_the_papers_grids_name_every_rate():
    for name in ("paper", "paper_kws", "paper_sid", "paper_kws_mubench", "paper_sid_mubench"):
        made, _ = read_sweep(shipped_sweeps()[name])
        for entry in made.methods:
            if entry.name not in ("original", "retrain"):
                for variant in method_variants(entry):
                    assert isinstance(variant.plugin.settings["learning_rate"], float), (name, entry)
