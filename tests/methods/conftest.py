"""The smallest problem that can fail: two layers, four features, three classes, in float64."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from methods.base import Scores, Training, UnlearningProblem, UtteranceSet
from methods.engine.budget import BudgetMeter
from methods.engine.loop import LoopSettings, Outcome, run_method
from methods.engine.losses import label_loss

FEATURES, CLASSES = 4, 3


class TwoLayers(nn.Module):
    """A `methods.base.Classifier` without any backbone."""

    adapter_targets = ("body",)

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.body = nn.Linear(FEATURES, 5, dtype=torch.float64)
        self.head = nn.Linear(5, CLASSES, dtype=torch.float64)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.5)

    @property
    def blocks(self):
        return [self.body, self.head]

    def embed(self, features, lengths):
        return torch.tanh(self.body(features))

    def forward(self, features, lengths):
        return self.head(self.embed(features, lengths))


def make_sets(seed: int = 0, forget: int = 6, retain: int = 10, validation: int = 8):
    generator = torch.Generator().manual_seed(seed)
    total = forget + retain + validation
    features = torch.randn(total, FEATURES, generator=generator, dtype=torch.float64)
    labels = torch.arange(total) % CLASSES

    def fetch(rows):
        return features[rows], torch.ones(len(rows), dtype=torch.long)

    def part(start, count, is_forget):
        rows = torch.arange(start, start + count)
        return UtteranceSet(rows, labels[rows], torch.full((count,), is_forget), fetch)

    return part(0, forget, True), part(forget, retain, False), part(forget + retain, validation, False)


def score(model, utterances):
    with torch.no_grad():
        logits = torch.cat([model(b.features, b.lengths) for b in utterances.batches(64)])
    loss = label_loss(logits, utterances.labels)
    return Scores(float((logits.argmax(-1) == utterances.labels).double().mean()), float(loss.mean()))


def make_problem(seed: int = 0, limit: float | None = None, unit: str = "samples", **sizes) -> UnlearningProblem:
    forget, retain, validation = make_sets(seed, **sizes)
    original = TwoLayers(seed)
    teacher = copy.deepcopy(original).eval()
    budget = BudgetMeter(limit=limit, unit=unit)

    def teacher_logits(batch):
        budget.charge(seconds=0.0, samples=0.0)
        with torch.no_grad():
            return teacher(batch.features, batch.lengths)

    problem = UnlearningProblem(
        model=original,
        forget=forget,
        retain=retain,
        validation=validation,
        num_classes=CLASSES,
        forgotten_classes=(),
        training=Training(learning_rate=1e-2, epochs=2, batch_size=4),
        budget=budget,
        generator=torch.Generator().manual_seed(seed),
        build_model=lambda weights: TwoLayers(7 if weights == "random" else 3),
        teacher_logits=teacher_logits,
        score=score,
    )
    problem.teacher = teacher
    return problem


def run(method, problem, **settings):
    outcome = Outcome()
    modifiers = {name: settings.pop(name, None) for name in ("superloss", "forget_curriculum", "lora", "best_epoch")}
    epochs = settings.pop("epochs", None)
    settings.setdefault("clip_norm", 1e9)
    progress = list(
        run_method(method, problem, settings=LoopSettings(**settings), epochs=epochs, outcome=outcome, **modifiers)
    )
    return outcome, progress


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def adamw_first_step(model, loss, learning_rate, weight_decay=0.0):
    """The first AdamW step by hand: every moment is its gradient's, so the step is lr · g / (|g| + ε)."""
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    expected = {}
    for (name, p), g in zip(model.named_parameters(), gradients, strict=True):
        kept = p.detach() * (1 - learning_rate * weight_decay)
        expected[name] = kept if g is None else kept - learning_rate * g / (g.abs() + 1e-8)
    return expected


def training_problem():
    problem = make_problem()
    problem.artifacts_to_store = {}
    return problem


def whole(utterances):
    return next(utterances.batches(1000))


def assert_same(problem, expected):
    for name, value in weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10)


class FrameNet(nn.Module):
    """A `methods.base.Classifier` on frames: the mean over the valid ones, one hidden layer, classes."""

    adapter_targets = ("body",)

    def __init__(self, width: int, classes: int, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.body, self.head = nn.Linear(width, 64), nn.Linear(64, classes)

    @property
    def blocks(self):
        return [self.body, self.head]

    def embed(self, features, lengths):
        valid = (torch.arange(features.shape[1]) < lengths[:, None])[..., None]
        return torch.relu(self.body((features * valid).sum(dim=1) / lengths[:, None]))

    def forward(self, features, lengths):
        return self.head(self.embed(features, lengths))


FITTED = {}  # originals and retrained models of `planted`, which are alike in all tests


def planted(kind: str) -> UnlearningProblem:
    """A problem whose original knows D_f by heart: a class, wrong labels, or utterances like the others (a sample).

    `problem.accuracy(model)` gives (on D_f, on unseen utterances of kept classes); `problem.retrained` is Retrain.
    """
    classes, width, forget, total = 5, 12, 18, 240
    generator = torch.Generator().manual_seed(3)
    centers = torch.randn(classes, width, generator=generator)
    true = torch.arange(total) % classes
    features = centers[true][:, None] + torch.randn(total, 1, width, generator=generator) * 0.8
    features = features + torch.randn(total, 6, width, generator=generator) * 0.3
    trained, labels = torch.arange(total) < total // 2, true.clone()
    chosen = (true == 0) & trained if kind == "class" else (torch.arange(total) < forget)
    if kind == "mislabeled":
        labels[chosen] = (true[chosen] + 1 + torch.arange(int(chosen.sum())) % (classes - 1)) % classes

    def fetch(rows):
        return features[rows], torch.full((len(rows),), 6)

    def part(keep):
        rows = keep.nonzero().flatten()
        return UtteranceSet(rows, labels[rows], chosen[rows], fetch)

    def fitted(name, utterances):
        if (kind, name) in FITTED:
            return copy.deepcopy(FITTED[kind, name])
        model = FrameNet(width, classes)
        batch, adam = whole(utterances), torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(120):
            adam.zero_grad()
            label_loss(model(batch.features, batch.lengths), batch.labels).mean().backward()
            adam.step()
        FITTED[kind, name] = copy.deepcopy(model)
        return model

    unseen = ~trained & ((true != 0) | (kind != "class"))
    original, budget = fitted("original", part(trained)), BudgetMeter()
    teacher = copy.deepcopy(original).eval()
    problem = UnlearningProblem(
        model=original,
        forget=part(chosen),
        retain=part(trained & ~chosen),
        validation=part(unseen & (torch.arange(total) % 2 == 0)),
        num_classes=classes,
        forgotten_classes=(0,) if kind == "class" else (),
        training=Training(learning_rate=1e-2, epochs=20),
        budget=budget,
        generator=torch.Generator().manual_seed(0),
        build_model=lambda weights: FrameNet(width, classes, 7 if weights == "random" else 0),
        teacher_logits=lambda batch: teacher(batch.features, batch.lengths).detach(),
        score=score,
    )
    problem.retrained = fitted("retrained", problem.retain)

    def accuracy(model):
        with budget.uncounted():
            return tuple(score(model, utterances).accuracy for utterances in (problem.forget, part(unseen)))

    problem.accuracy = accuracy
    return problem


@pytest.fixture
def kit():
    """The tools above, for tests that cannot import each other's modules."""

    class Kit:
        pass

    Kit.make_problem, Kit.make_sets, Kit.run = staticmethod(make_problem), staticmethod(make_sets), staticmethod(run)
    Kit.weights, Kit.adamw_first_step, Kit.TwoLayers = staticmethod(weights), staticmethod(adamw_first_step), TwoLayers
    Kit.score, Kit.replace = staticmethod(score), staticmethod(replace)
    Kit.training_problem = staticmethod(training_problem)
    Kit.whole, Kit.assert_same = staticmethod(whole), staticmethod(assert_same)
    Kit.planted = staticmethod(planted)
    return Kit
