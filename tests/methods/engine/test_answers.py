"""A classifier is the special case of one step, and steps that are not an utterance's own count nowhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from methods.bad_teacher import BadTeacher
from methods.base import Scores
from methods.engine.answers import NO_STEP, NO_TOKEN, TRANSCRIPTS, logits_of, mean_over_steps, own_steps, target_of
from methods.engine.losses import cross_entropy, distillation_loss, label_loss
from methods.fine_tune import FineTune
from methods.grad_ascent import GradAscent
from methods.lotus import Lotus
from methods.npo import NegativePreference
from methods.random_label import RandomLabel, other_transcripts, wrong_targets
from methods.scrub import Scrub

STEPS, OUTPUTS, WIDTH = 6, 4, 5


class TokenPerStep(nn.Module):
    """A recognizer whose step t says token t: as many steps as tokens, which `lengths` counts."""

    target = TRANSCRIPTS
    adapter_targets = ()

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.encoder, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, OUTPUTS)

    @property
    def blocks(self):
        return [self.encoder, self.head]

    def embed(self, features, lengths):
        return self.encoder(features).mean(dim=1)

    def forward(self, features, lengths):
        logits = self.head(self.encoder(features).tanh())
        certain = torch.full((OUTPUTS,), NO_STEP).index_fill(0, torch.tensor(0), 0.0)
        own = torch.arange(logits.shape[1]) < lengths[:, None]
        return torch.where(own[..., None], logits, certain)

    def answer(self, features, lengths, targets):
        return self(features, lengths)

    def fits(self, lengths, targets):
        return lengths >= (targets != NO_TOKEN).sum(dim=1)

    def target_loss(self, logits, targets):
        each = functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none", ignore_index=NO_TOKEN)
        return each.sum(dim=1) / (targets != NO_TOKEN).sum(dim=1)


@pytest.fixture
def recognition(kit):
    """A problem of the toy recognizer; it is said to know D_f better."""
    base = kit.make_problem()
    draw = torch.Generator().manual_seed(1)
    rows = 64
    sizes = torch.randint(2, STEPS + 1, (rows,), generator=draw)
    features = torch.randn(rows, STEPS, WIDTH, generator=draw)
    tokens = torch.randint(1, OUTPUTS, (rows, STEPS), generator=draw)
    tokens[torch.arange(STEPS) >= sizes[:, None]] = NO_TOKEN

    def of(part):
        own = part.utterances % rows
        return replace(part, labels=tokens[own], fetch=lambda at: (features[at % rows], sizes[at % rows]))

    def score(model, utterances):
        return Scores(accuracy=0.9 if bool(utterances.is_forget.any()) else 0.5, loss=1.0)

    teacher = TokenPerStep().eval()
    model = TokenPerStep()
    return replace(
        base,
        model=model,
        forget=of(base.forget),
        retain=of(base.retain),
        validation=of(base.validation),
        num_classes=OUTPUTS,
        build_model=lambda weights: TokenPerStep(7 if weights == "random" else 3),
        teacher_logits=lambda batch: logits_of(teacher, batch).detach(),
        score=score,
    )


def test_a_model_that_names_no_target_is_a_classifier(kit) -> None:
    problem = kit.make_problem()
    batch = kit.whole(problem.forget)
    assert target_of(problem.model) == "classes"
    expected = label_loss(problem.model(batch.features, batch.lengths), batch.labels)
    assert torch.equal(cross_entropy(problem.model, batch), expected)


def test_steps_that_are_not_the_utterances_own_change_no_divergence() -> None:
    model = TokenPerStep()
    features = torch.randn(2, STEPS, WIDTH)
    lengths = torch.tensor([3, STEPS])
    one, other = model(features, lengths), TokenPerStep(5)(features, lengths)
    assert own_steps(one).sum(dim=1).tolist() == [3, STEPS]
    alone = distillation_loss(one[:1, :3], other[:1, :3], 2.0)
    assert torch.allclose(distillation_loss(one, other, 2.0)[:1], alone)
    assert torch.equal(distillation_loss(one, one), torch.zeros(2))


def test_the_single_value_of_a_classifier_is_its_own_mean() -> None:
    values = torch.randn(3)
    assert mean_over_steps(values, torch.randn(3, 4)) is values


def test_random_transcripts_are_others_of_the_same_length_where_there_are_any() -> None:
    pool = torch.tensor([[1, 2, 3], [3, 2, 1], [1, 1, NO_TOKEN], [2, 2, NO_TOKEN]])
    drawn = other_transcripts(pool, pool, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, pool[[1, 0, 3, 2]])
    (alone,) = other_transcripts(torch.tensor([[1, NO_TOKEN, NO_TOKEN]]), pool, torch.Generator())
    assert int((alone != NO_TOKEN).sum()) == 2


def test_random_transcripts_fit_their_recordings(recognition) -> None:
    labels = recognition.forget.labels.clone()
    labels[:, 1:] = NO_TOKEN  # one token each; the drawn ones are closest in length, and may have to be shorter
    drawn = wrong_targets(recognition, labels)
    lengths = recognition.forget.fetch(recognition.forget.utterances)[1]
    assert bool(recognition.model.fits(lengths, drawn).all())


def test_a_recording_too_short_for_every_other_transcript_is_an_error(recognition) -> None:
    recognition.retain.labels[:] = 1  # as many tokens as there are steps
    with pytest.raises(ValueError, match="too short"):
        wrong_targets(recognition, recognition.forget.labels)


def test_no_other_transcript_is_an_error() -> None:
    same = torch.ones(3, 2, dtype=torch.long)
    with pytest.raises(ValueError, match="same one"):
        other_transcripts(same, same, torch.Generator())


@pytest.mark.parametrize(
    "method",
    [
        FineTune(epochs=1), GradAscent(), RandomLabel(), Scrub(epochs=1, max_epochs=1), BadTeacher(), Lotus(),
        NegativePreference(epochs=1),
    ],
    ids=lambda method: method.label,
)  # fmt: skip
def test_methods_unlearn_a_recognizer_through_the_same_interface(method, recognition, kit) -> None:
    assert not method.reason_target_unsupported(TRANSCRIPTS)
    before = kit.weights(recognition.model)
    outcome, _ = kit.run(method, recognition)
    after = kit.weights(recognition.model)
    assert outcome.steps > 0
    assert all(torch.isfinite(value).all() for value in after.values())
    assert any(not torch.equal(before[name], after[name]) for name in before)


class LargestTensor(TorchDispatchMode):
    """Remembers the size of the largest tensor of real numbers that an operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        tensors = [t for t in torch.utils._pytree.tree_leaves(found) if isinstance(t, torch.Tensor)]
        self.elements = max([self.elements, *(t.numel() for t in tensors if t.is_floating_point())])
        return found


@pytest.mark.parametrize("method", [Lotus(batch_size=2, epochs=1), BadTeacher(batch_size=2)], ids=lambda m: m.label)
def test_nothing_larger_than_a_batch_is_kept_of_a_recognizers_distributions(method, recognition, kit) -> None:
    with LargestTensor() as largest:
        kit.run(method, recognition)
    assert 0 < largest.elements <= 2 * STEPS * max(OUTPUTS, WIDTH)


def test_what_needs_classes_says_so() -> None:
    assert "set hold_to: logits" in Scrub(hold_to="embeddings").reason_target_unsupported(TRANSCRIPTS)
    assert not Scrub(hold_to="embeddings").reason_target_unsupported("classes")
