"""Noise of an utterance depends on the pass and the utterance, not on its batch."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from methods.engine.answers import NO_STEP, TRANSCRIPTS
from methods.engine.random_draws import gumbel_noise

STEPS, OUTPUTS = 5, 4


class Said(nn.Linear):
    target = TRANSCRIPTS


def logits_of_lengths(*lengths: int) -> torch.Tensor:
    found = torch.randn(len(lengths), STEPS, OUTPUTS)
    for row, own in enumerate(lengths):
        found[row, own:] = torch.tensor([0.0, *[NO_STEP] * (OUTPUTS - 1)])
    return found


def test_a_recognizers_noise_is_the_same_in_any_batch_and_another_in_the_next_pass(kit) -> None:
    problem = replace(kit.make_problem(), model=Said(2, 2))
    batch = kit.whole(problem.forget)
    first, second = (gumbel_noise(problem, batch.utterances) for _ in range(2))
    logits = logits_of_lengths(5, 3, 5, 2, 5, 5)
    whole = first(batch, logits)
    alone = [first(part, logits[at : at + 1]) for at, part in enumerate(batch.parts(1))]
    assert torch.equal(torch.cat(alone), whole)
    assert not torch.equal(second(batch, logits), whole)
    assert len({tuple(row[0].tolist()) for row in whole}) == len(batch)
    assert not whole[1, 3:].any()
    assert whole[1, :3].all()


def test_noise_of_recognizers_is_standard_gumbel(kit) -> None:
    problem = replace(kit.make_problem(forget=400), model=Said(2, 2))
    batch = kit.whole(problem.forget)
    noise = gumbel_noise(problem, batch.utterances)(batch, logits_of_lengths(*[STEPS] * 400)).double()
    assert abs(float(noise.mean()) - 0.5772) < 0.06  # Euler's constant; the standard error is 0.014
    assert abs(float(noise.var()) - torch.pi**2 / 6) < 0.2


def test_a_classifiers_noise_is_one_draw_of_the_problems_generator(kit) -> None:
    problem, again = kit.make_problem(), kit.make_problem().generator
    batch = kit.whole(problem.forget)
    logits = problem.model(batch.features, batch.lengths)
    expected = -torch.empty(len(batch), logits.shape[1]).exponential_(generator=again).log()
    assert torch.equal(gumbel_noise(problem, batch.utterances)(batch, logits), expected.to(logits.dtype))
