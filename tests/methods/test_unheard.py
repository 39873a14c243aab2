from __future__ import annotations

import pytest
import torch

from methods.closed_form.ridge_teacher import teacher_scores
from methods.closed_form.vector_sums import IMPOSSIBLE
from methods.unheard import (
    LARGEST_MARGIN,
    Unheard,
    borrowed_targets,
    chance_of_label,
    keeps_label,
    log_odds,
    random_answers,
    temperature,
)


def logs(rows):
    return torch.tensor(rows, dtype=torch.float64).log()


def speech(count: int, seed: int):
    """A teacher's log p̂ on `count` utterances of three classes, and their labels: right on most."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    scores = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    scores[torch.arange(count), labels] += 3
    return scores.log_softmax(dim=1), labels


def test_log_odds_are_of_the_label_against_all_others_and_bounded():
    found = log_odds(logs([[0.8, 0.1, 0.1], [0.0, 0.5, 0.5]]), torch.tensor([0, 0]))
    torch.testing.assert_close(found, torch.tensor([4.0, 0.0], dtype=torch.float64).log().clamp(min=-LARGEST_MARGIN))


def test_the_temperature_makes_the_originals_answers_likeliest():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4000, 3, generator=generator, dtype=torch.float64)
    torch.manual_seed(0)
    answers = torch.distributions.Categorical(logits=scores / 0.5).sample()
    assert temperature(scores, answers) == pytest.approx(0.5, rel=0.15)


def test_true_labels_are_kept_as_often_as_the_original_is_right_on_unheard_speech():
    unheard, labels = speech(600, 0)
    answers = torch.where(torch.arange(600) % 5 == 0, (labels + 1) % 3, labels)  # right on 80 %, whatever the margin
    mine, own = speech(200, 1)
    chances = chance_of_label(log_odds(mine, own), unheard, labels, answers)
    assert float(chances.mean()) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("right", [0.8, 1.0])
def test_wrong_labels_are_not_kept(right):
    unheard, labels = speech(600, 0)
    answers = torch.where(torch.arange(600) < right * 600, labels, (labels + 1) % 3)
    mine, own = speech(200, 1)
    wrong = torch.arange(200) < 100
    chances = chance_of_label(log_odds(mine, torch.where(wrong, (own + 1) % 3, own)), unheard, labels, answers)
    assert float(chances[wrong].mean()) < 0.1 < 0.7 < float(chances[~wrong].mean())


def test_a_class_that_the_teacher_never_met_is_never_kept():
    unheard, labels = speech(300, 0)
    unheard[:, 0], labels = IMPOSSIBLE, 1 + labels % 2
    chances = chance_of_label(torch.full((20,), -LARGEST_MARGIN, dtype=torch.float64), unheard, labels, labels)
    assert float(chances.max()) < 1e-3


def test_the_expected_number_keeps_its_label_the_likeliest_first():
    assert keeps_label(torch.tensor([0.9, 0.6, 0.2, 0.4])).tolist() == [True, True, False, False]  # 2.1


def test_targets_are_a_donors_probabilities_along_the_answer_and_the_teachers_ranks():
    p = logs([[0.8, 0.15, 0.05], [0.1, 0.3, 0.6]])
    donors = logs([[0.5, 0.3, 0.2], [0.05, 0.9, 0.05]])
    said = logs([[0.6, 0.3, 0.1], [0.01, 0.97, 0.02]])  # unsure where the teacher is, sure where it is
    found = borrowed_targets(p, torch.tensor([0, 1]), donors, said)
    wanted = torch.tensor([[0.97, 0.02, 0.01], [0.1, 0.6, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(found, wanted)  # 0.8 is nearer to 0.9; 0.3 to 0.5, and after 1 the teacher ranks 2


def test_the_model_learns_its_targets(kit):
    problem = kit.make_problem()
    method = Unheard(learning_rate=3e-2, epochs=80, retain_share=1.0)
    told = method.targets(kit.make_problem()).argmax(dim=1)
    kit.run(method, problem)
    batch = next(problem.forget.batches(64))
    with torch.no_grad():
        said = problem.model(batch.features, batch.lengths).argmax(dim=1)
    assert said.tolist() == told.tolist() != kit.TwoLayers()(batch.features, batch.lengths).argmax(dim=1).tolist()


def test_the_first_step_is_cross_entropy_to_the_targets_and_to_the_labels(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    targets = Unheard().targets(kit.make_problem())
    forget, retain = (next(s.batches(64)) for s in (problem.forget, problem.retain))
    losses = [
        -(targets * model(forget.features, forget.lengths).log_softmax(-1)).sum(),
        2.0 * torch.nn.functional.cross_entropy(model(retain.features, retain.lengths), retain.labels, reduction="sum"),
    ]
    expected = kit.adamw_first_step(model, sum(losses) / 16, 1e-3)
    kit.run(Unheard(learning_rate=1e-3, epochs=1, batch_size=64, retain_share=1.0, retain_weight=2.0), problem)
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10)


def without_class_2(kit):
    """A problem whose D_r has no utterance of class 2, though D_f and D_v have."""
    problem = kit.make_problem()
    problem.retain = kit.replace(problem.retain, labels=problem.retain.labels.clamp(max=1))
    problem.forget = kit.replace(problem.forget, labels=torch.arange(len(problem.forget)) % 3)
    problem.validation = kit.replace(problem.validation, labels=torch.arange(len(problem.validation)) % 3)
    return problem


def test_a_class_that_is_gone_from_what_is_kept_neither_teaches_nor_stays(kit):
    problem, clean = without_class_2(kit), without_class_2(kit)
    batch = next(clean.validation.batches(64))
    answers = clean.original_logits(batch).argmax(dim=1)
    usable = (batch.labels < 2) & (answers < 2)
    whole = clean.validation
    clean.validation = kit.replace(
        whole, utterances=whole.utterances[usable], labels=whole.labels[usable], is_forget=whole.is_forget[usable]
    )
    found = Unheard().targets(problem)
    assert 0 < int(usable.sum()) < len(usable)
    assert int(found.argmax(dim=1).max()) < 2
    torch.testing.assert_close(found, Unheard().targets(clean), rtol=1e-9, atol=1e-12)


def test_without_answers_on_unheard_speech_it_says_what_it_needs(kit):
    problem = kit.make_problem()
    whole = problem.validation
    problem.validation = kit.replace(
        whole, utterances=whole.utterances[:0], labels=whole.labels[:0], is_forget=whole.is_forget[:0]
    )
    with pytest.raises(ValueError, match="unheard needs a D_v"):
        Unheard().targets(problem)


@pytest.mark.parametrize("rule", ["borrowed", "hard", "teacher", "random", "uniform"])
def test_where_one_class_is_kept_it_is_the_answer(kit, rule):
    problem = without_class_2(kit)
    problem.retain = kit.replace(problem.retain, labels=torch.zeros_like(problem.retain.labels))
    assert Unheard(target_rule=rule).targets(problem).tolist() == [[1.0, 0.0, 0.0]] * len(problem.forget)


def test_a_share_beyond_all_is_refused():
    with pytest.raises(ValueError, match=r"retain_share must be in \[0, 1\], got 1.5"):
        Unheard(retain_share=1.5)


@pytest.mark.parametrize("rule", ["hard", "teacher", "random", "uniform"])
def test_the_targets_of_an_ablation_are_distributions_over_the_classes_that_are_kept(kit, rule):
    problem = without_class_2(kit)
    found = Unheard(target_rule=rule).targets(problem)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(len(problem.forget), dtype=found.dtype))
    assert found.shape == (6, 3)
    assert float(found[:, 2].max()) < 1e-6
    assert bool((found.max(dim=1).values == 1).all()) == (rule in ("hard", "random"))


def test_the_hard_target_is_the_answer_of_the_borrowed_one(kit):
    borrowed, hard = (Unheard(target_rule=rule).targets(kit.make_problem()) for rule in ("borrowed", "hard"))
    assert hard.argmax(dim=1).tolist() == borrowed.argmax(dim=1).tolist()


def test_the_teachers_target_is_its_softmax_at_the_temperature_that_fits_the_originals_answers(kit):
    problem = kit.make_problem()
    scores, unheard = teacher_scores(kit.make_problem())
    answers = problem.original_logits(next(problem.validation.batches(64))).argmax(dim=1)
    wanted = (scores / temperature(unheard, answers)).softmax(dim=1)
    torch.testing.assert_close(Unheard(target_rule="teacher").targets(problem), wanted)


def test_random_answers_keep_the_expected_number_of_labels_and_are_never_of_an_absent_class():
    labels, there = torch.arange(400) % 4, torch.tensor([True, True, True, False])
    drawn = random_answers(labels, there, 0.7, torch.Generator().manual_seed(0))
    assert int((drawn == labels).sum()) == round(0.7 * 300)
    assert set(drawn.tolist()) == {0, 1, 2}


def test_uniform_targets_and_random_ones_do_not_pay_for_a_teacher(kit):
    spent = {}
    for rule in ("borrowed", "random", "uniform"):
        problem = kit.make_problem()
        problem.build_model = lambda weights: kit.TwoLayers(3)
        Unheard(target_rule=rule).targets(problem)
        spent[rule] = problem.budget.samples
    assert spent["borrowed"] > spent["random"] == spent["uniform"] == 0  # the toy's stored logits are free


def test_a_share_of_the_validation_set_is_drawn_once_and_changes_no_other_draw(kit):
    problem = kit.make_problem(validation=20)
    before = problem.generator.get_state()
    part = Unheard(validation_share=0.25).unheard_speech(problem)
    assert len(part) == 5
    assert torch.equal(before, problem.generator.get_state())
    assert Unheard().unheard_speech(problem) is problem.validation
    kit.run(Unheard(validation_share=0.25, epochs=1), problem)
    assert problem.budget.samples > 0


@pytest.mark.parametrize("rule", ["easiest", "hardest"])
def test_a_shifted_validation_set_is_where_the_original_is_best_or_worst(kit, rule):
    problem = kit.make_problem(validation=20)
    said = torch.cat([problem.original_logits(batch) for batch in problem.validation.batches(8)])
    losses = torch.nn.functional.cross_entropy(said, problem.validation.labels, reduction="none")
    part = Unheard(validation_share=0.5, validation_rule=rule).unheard_speech(problem)
    taken = torch.isin(problem.validation.utterances, part.utterances)
    assert int(taken.sum()) == 10
    assert torch.equal(part.labels, problem.validation.labels[taken])
    small, large = (losses[taken], losses[~taken]) if rule == "easiest" else (losses[~taken], losses[taken])
    assert small.max() < large.min()
    kit.run(Unheard(validation_share=0.5, validation_rule=rule, epochs=1), problem)


def test_a_teacher_on_the_originals_own_encoder_reads_f_and_leaves_it_as_it_is(kit):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    found = Unheard(target_rule="teacher", teacher_encoder="original").targets(problem)
    plain = Unheard(target_rule="teacher").targets(kit.make_problem())
    assert not torch.allclose(found, plain)
    assert all(torch.equal(value, before[name]) for name, value in kit.weights(problem.model).items())
    problem.build_model = lambda weights: kit.TwoLayers()  # as if f's encoder were the pretrained one
    torch.testing.assert_close(Unheard(target_rule="teacher").targets(problem), found)
