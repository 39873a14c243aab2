from __future__ import annotations

import pytest
import torch

from methods.base import UtteranceSet
from methods.engine.losses import original_losses
from methods.engine.setting_rules import recipe_settings
from methods.rum import Rum, method_class
from methods.salun import SalUn
from methods.unheard import Unheard

SHARED = {"rate_share": Rum().rate_share, "epochs": Rum().epochs}


def test_parts_hold_the_forget_set_once_the_most_confident_first(kit):
    problem = kit.make_problem(forget=8)
    losses = dict(
        zip(problem.forget.utterances.tolist(), original_losses(problem, problem.forget).tolist(), strict=True)
    )
    parts = Rum().parts(problem)
    assert sorted(len(part) for part in parts) == [2, 3, 3]
    assert sorted(torch.cat([part.utterances for part in parts]).tolist()) == problem.forget.utterances.tolist()
    ends = [[losses[u] for u in part.utterances.tolist()] for part in parts]
    assert max(ends[0]) <= min(ends[1])
    assert max(ends[1]) <= min(ends[2])


def test_hands_each_part_to_its_method_in_order(kit):
    problem = kit.make_problem()
    parts = [part.utterances.tolist() for part in Rum().parts(problem)]
    seen = []
    for current in Rum(low="grad_ascent", medium="fine_tune", high="random_label").passes(problem):
        assert isinstance(current.over, UtteranceSet)
        part = current.over.utterances[current.over.is_forget].tolist()
        seen.append((current.name.split(":")[0], part, current.optimizer))
    assert seen == [("low", parts[0], "fresh"), ("medium", [], "fresh"), ("high", parts[2], "fresh")]


def test_default_does_nothing_for_the_least_memorized_part(kit):
    problem = kit.make_problem()
    passes = list(Rum().passes(problem))
    assert {p.name.split(":")[0] for p in passes} == {"medium", "high"}


def test_its_methods_get_its_settings(kit):
    made = Rum(learning_rate=3e-3, epochs=4, batch_size=7).method("high")
    assert made == SalUn(learning_rate=3e-3, rate_share=Rum().rate_share, epochs=4, batch_size=7)


def test_a_forget_set_smaller_than_three_is_not_lost(kit):
    problem = kit.make_problem(forget=2)
    assert sum(len(part) for part in Rum().parts(problem)) == 2
    kit.run(Rum(), problem)


@pytest.mark.parametrize("name", ["rum", "losses", "nothing", "../salun"])
def test_what_is_no_method_is_refused(name):
    with pytest.raises(ValueError, match="no method of that name: got"):
        Rum(high=name)


def test_every_file_has_its_class():
    assert method_class("salun") is SalUn


def test_a_setting_that_it_is_given_is_handed_on_even_if_it_equals_the_default_of_most():
    assert Rum(high="unheard").method("high") == Unheard(**SHARED)
    made = Rum(high="unheard", retain_share=1.0, rate_schedule="constant")
    assert made.method("high") == Unheard(**SHARED, retain_share=1.0, rate_schedule="constant")
    assert recipe_settings(made).keys() - recipe_settings(Rum()).keys() == {"retain_share", "rate_schedule"}
