from __future__ import annotations

import json
import pickle
from dataclasses import replace

from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import PlugIn, TrialSpec, canonical, stage_seed
from orchestrator.plan.sweep_file import read_sweep


def test_a_spec_survives_json(small_sweep):
    sweep, _ = read_sweep(small_sweep)
    for spec in build_grid(sweep).trials:
        again = TrialSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
        assert again.trial_id == spec.trial_id


def test_a_spec_with_other_fields_is_what_replace_makes_and_has_an_id_of_its_own(small_sweep):
    for spec in build_grid(read_sweep(small_sweep)[0]).trials:
        assert spec.trial_id
        changed = spec.but(seed=77, keep_model=True)
        assert changed == replace(spec, seed=77, keep_model=True)
        assert changed.trial_id == replace(spec, seed=77).trial_id != spec.trial_id


def test_a_plug_in_makes_its_instance_once_and_keeps_it_to_itself():
    plugin = PlugIn(kind="methods", name="scrub", settings={"epochs": 2})
    before = plugin.key, pickle.dumps(plugin)
    assert plugin.instance is plugin.instance
    assert plugin.instance.epochs == 2
    assert (plugin.key, pickle.dumps(plugin)) == before
    assert plugin == PlugIn(kind="methods", name="scrub", settings={"epochs": 2})


def test_every_plug_in_of_a_grid_carries_the_instance_that_its_settings_make(small_sweep):
    for spec in build_grid(read_sweep(small_sweep)[0]).trials:
        for plugin in (spec.task, spec.backbone, spec.method):
            assert plugin.instance == replace(plugin).instance


def test_canonical_json_ignores_the_order_of_keys():
    assert canonical({"b": 1, "a": [1.5, None]}) == canonical({"a": [1.5, None], "b": 1}) == '{"a":[1.5,null],"b":1}'


def test_seeds_of_different_purposes_differ_and_repeat():
    assert stage_seed("forget set", "t", 0) == stage_seed("forget set", "t", 0)
    drawn = {stage_seed(p, t, s) for p in ("forget set", "head") for t in ("a", "b") for s in range(50)}
    assert len(drawn) == 200
    assert all(0 <= seed < 2**63 for seed in drawn)
