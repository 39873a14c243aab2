from __future__ import annotations

from dataclasses import fields

import pytest

from methods.engine.rates import SHARES, USUAL_RATE, refuse_idle_shares, resolved, without_idle_shares
from methods.random_label import RandomLabel
from methods.unsir import Unsir
from orchestrator import plugins

WITH_RATES = [n for n in plugins.names("methods") if hasattr(plugins.load("methods", n), "learning_rate")]


@pytest.mark.parametrize("name", WITH_RATES)
def test_default_rates_are_shares_but_for_presets_of_others_code(name):
    method = plugins.load("methods", name)
    if name.endswith("_mubench"):
        assert method.learning_rate == 5e-5
        assert not hasattr(method, "rate_share")
    else:
        assert method.learning_rate == "auto"
        assert method.rate_share > 0


@pytest.mark.parametrize("name", [n for n in WITH_RATES if not n.endswith("_mubench")])
def test_auto_takes_the_share_of_the_rate_that_the_original_was_trained_at(kit, name):
    ended = []
    method = plugins.load("methods", name)
    settings = {f.name: getattr(method, f.name) for f in fields(method)}
    for made in (method, plugins.load("methods", name, **resolved(settings, 1e-2))):
        problem = kit.make_problem()  # trained at 1e-2
        ended.append([current.learning_rate for current in made.passes(problem)])
    assert ended[0] == ended[1]
    assert len(ended[0]) > 0 or name == "lotus"  # which has nothing to do here


def test_a_rate_that_is_a_number_is_taken_as_it_is(kit):
    (only,) = RandomLabel(learning_rate=3e-3, redraw=False).passes(kit.make_problem())
    assert only.learning_rate == 3e-3


def test_unsir_repairs_at_half_the_rate_at_which_it_impairs(kit):
    impair, repair = Unsir(noise_steps=1).passes(kit.make_problem())
    assert repair.learning_rate == impair.learning_rate / 2 == pytest.approx(0.25 * 1e-2)


def test_an_original_whose_rate_is_not_known_counts_as_trained_at_the_usual_rate():
    assert resolved({"learning_rate": "auto", "rate_share": 0.5}, None)["learning_rate"] == 0.5 * USUAL_RATE


def test_a_share_next_to_a_number_is_refused_where_given_and_left_out_where_it_is_the_default():
    with pytest.raises(ValueError, match=r"rate_share scales learning_rate: auto, but learning_rate is 0.001"):
        refuse_idle_shares({"learning_rate": 1e-3, "rate_share": 0.1})
    given = {"learning_rate": "auto", "rate_share": 0.2}
    refuse_idle_shares(given)
    assert without_idle_shares(given) == given
    assert without_idle_shares({"learning_rate": 1e-3, "rate_share": 0.2}) == {"learning_rate": 1e-3}


@pytest.mark.parametrize("setting", sorted({*SHARES, *SHARES.values()}))
def test_rates_and_shares_are_above_zero(setting):
    with pytest.raises(ValueError, match=f"{setting} must be above 0, got 0"):
        plugins.load("methods", "unsir", **{setting: 0.0})
