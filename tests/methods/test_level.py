"""A comparison that is level: every method that iterates over D_r can take Unheard's schedule."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from methods.bad_teacher import BadTeacher
from methods.engine.paired_batches import Paired
from methods.modifiers.curriculum import ForgetCurriculum, with_curriculum
from methods.random_label import RandomLabel
from methods.rum import Rum
from methods.unheard import Unheard
from orchestrator import plugins
from orchestrator.run.search_spaces import SCHEDULE_SPACE

OVER_RETAIN = (
    "random_label", "salun", "scrub", "bad_teacher", "bad_teacher_light", "lotus", "fine_tune", "neg_grad_plus", "cf_k",
    "eu_k", "l1_sparse", "sfron", "msg", "rum", "unsir", "unheard", "amun", "munba", "rem", "coun", "fanchuan",
)  # fmt: skip
FALLING_ONLY = ("npo", "delete", "grad_ascent")  # they iterate over D_f


def rates(kit, monkeypatch, method, **sizes):
    """Return the rate of each step of a method."""
    seen, step = [], torch.optim.AdamW.step

    def record(self, *args, **kwargs):
        seen.extend({group["lr"] for group in self.param_groups})
        return step(self, *args, **kwargs)

    problem = kit.make_problem(**sizes)
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", record)
        kit.run(method, problem)
    return seen


@pytest.mark.parametrize("epochs", [1, 4, 6])
def test_random_labels_on_unheards_schedule_take_its_steps_at_its_rates(kit, monkeypatch, epochs):
    shared = {"learning_rate": 3e-3, "epochs": epochs, "batch_size": 4, "retain_share": 0.3}
    sizes = {"forget": 7, "retain": 41}
    label = rates(kit, monkeypatch, RandomLabel(**shared, rate_schedule="falling"), **sizes)
    assert label == rates(kit, monkeypatch, Unheard(**shared), **sizes)
    assert len(label) == epochs * 5  # 7 + 12 of 41 utterances, in batches of 4
    assert sorted(set(label), reverse=True) == [3e-3 * (1 - e / epochs) for e in range(epochs)]


@pytest.mark.parametrize("name", [*OVER_RETAIN, *FALLING_ONLY])
def test_a_method_has_the_schedule_and_its_rate_falls(kit, monkeypatch, name):
    known = {f.name for f in fields(plugins.plugin_class("methods", name))}
    wanted = {"rate_schedule": "falling", "retain_share": 0.5, "retain_drawn": "each_epoch", "epochs": 2}
    settings = {key: value for key, value in wanted.items() if key in known}
    assert {"rate_schedule"} | ({"retain_share"} if name in OVER_RETAIN else set()) <= set(settings)
    seen = rates(kit, monkeypatch, plugins.load("methods", name, **settings, batch_size=4), retain=20)
    if name != "lotus":  # it finds nothing left to forget here
        assert len(seen) >= 4
        assert {2 * rate for rate in seen} & set(seen)  # two epochs: the second at half the rate of the first


@pytest.mark.parametrize("name", [n for n in OVER_RETAIN if n not in ("bad_teacher", "lotus", "unsir", "unheard")])
def test_a_share_of_the_retain_set_saves_steps(kit, monkeypatch, name):
    whole, part = (
        rates(kit, monkeypatch, plugins.load("methods", name, retain_share=share, batch_size=4), retain=20)
        for share in (1.0, 0.5)
    )
    assert 0 < len(part) < len(whole)


@pytest.mark.parametrize("name", OVER_RETAIN)
def test_the_level_space_contains_the_default(name):
    method = plugins.load("methods", name)
    for setting, values in SCHEDULE_SPACE.items():
        assert getattr(method, setting, None) in (None, *values)  # none: left to the methods that it runs


def part(kit, share=0.4):
    forget, retain, _ = kit.make_sets()
    return forget, retain, retain.drawn_anew(share)


def epoch(source, generator, batch_size=3):
    batches = list(source.batches(batch_size, generator))
    return batches, torch.cat([batch.utterances for batch in batches]).tolist()


def test_each_shuffled_epoch_has_all_of_the_forget_set_and_another_share_of_the_rest(kit):
    forget, retain, share = part(kit)
    union, generator = forget + share, torch.Generator().manual_seed(0)
    epochs = [epoch(union, generator)[1] for _ in range(30)]
    for rows in epochs:
        assert len(rows) == len(set(rows)) == len(union) == 6 + 4
        assert set(forget.utterances.tolist()) <= set(rows)
    assert len({tuple(sorted(rows)) for rows in epochs}) > 10
    assert set().union(*epochs) == {*forget.utterances.tolist(), *retain.utterances.tolist()}
    assert len(share) == 4
    assert epoch(share, None)[1] == retain.utterances.tolist()  # in order: what masks and weight edits read


def test_a_share_of_one_draws_what_the_whole_set_draws(kit):
    _, retain, _ = kit.make_sets()
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    assert epoch(retain, one)[1] == epoch(retain.drawn_anew(1.0), other)[1]
    assert torch.equal(one.get_state(), other.get_state())


def test_pairs_buckets_curricula_and_crops_work_on_a_share(kit):
    forget, retain, _ = part(kit)
    generator, seeds = torch.Generator().manual_seed(0), []

    def fetch(rows, *seed):
        seeds.append(seed)
        return torch.randn(len(rows), 40), torch.full((len(rows),), 7)

    cropped = replace(retain, fetch=fetch, random_crops=True, durations=torch.arange(10)).drawn_anew(0.4)
    for source, count in ((Paired(cropped, replace(forget, fetch=fetch)), 8), (cropped, 4)):
        batches, rows = epoch(source, generator)
        assert len(rows) == len(source) == count
    assert [batch.features.shape[1] for batch in batches] == [12, 12]  # of 40: cut to the longest, in steps
    assert len({seed for seed in seeds if seed}) == 2  # one a shuffled epoch
    problem = with_curriculum(kit.make_problem(), ForgetCurriculum())
    _, rows = epoch(problem.forget + problem.retain.drawn_anew(0.4), generator)
    own = [row for row in rows if row in problem.forget.utterances.tolist()]
    assert len(rows) == 10
    assert sorted(own) == problem.forget.utterances.tolist()
    assert own == epoch(problem.forget, generator)[1]  # easy first, in every epoch


def test_a_part_drawn_once_stays_and_one_drawn_each_epoch_does_not(kit):
    for drawn, different in (("once", 1), ("each_epoch", 3)):
        problem = kit.make_problem()
        (one,) = BadTeacher(retain_share=0.3, retain_drawn=drawn, epochs=3).passes(problem)
        seen = {tuple(sorted(epoch(one.over, problem.generator)[1])) for _ in range(8)}
        assert min(len(seen), 3) == different


def test_rum_hands_the_schedule_on_only_if_it_is_set():
    assert Rum(high="lotus").method("high").retain_share == 0.3
    handed = Rum(retain_share=0.2, rate_schedule="falling").method("high")
    assert (handed.retain_share, handed.rate_schedule) == (0.2, "falling")
