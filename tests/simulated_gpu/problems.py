"""A tiny unlearning problem on the simulated device or the host, with the features, teacher and scores of trials."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from simulated_gpu.counted_waits import SimulatedGpu
from torch import nn

from methods.base import Method, Training, UnlearningProblem, UtteranceSet
from methods.engine.budget import BudgetMeter
from methods.engine.loop import LoopSettings, Outcome, run_method
from orchestrator import plugins
from orchestrator.run.setup.feature_cache import features_on_device
from orchestrator.run.setup.problem import Teacher
from orchestrator.run.setup.scoring import score

TIME, BANDS, CLASSES = 16, 6, 4
SIZES = {
    "batch_size": 4,
    "forget_batch_size": 4,
    "noise_steps": 3,
    "noise_repeats": 1,
    "epochs": 1,
    "max_epochs": 1,
    "iterations": 2,
}
READING = ("on device", "ahead", "random crops", "buckets", "random crops in buckets")


class Frames(nn.Module):
    """Frames to frames."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(BANDS, 8), nn.Dropout(0.0)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.dropout(torch.relu(self.linear(features)))


class TinySpeech(nn.Module):
    """A classifier of two layers that masks padding."""

    adapter_targets = ("stem.linear",)
    masks_padding = True

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem, self.head = Frames(), nn.Linear(8, CLASSES)

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.stem, self.head]

    def embed(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        valid = torch.arange(features.shape[1], device=lengths.device) < lengths[:, None]
        frames = self.stem(features) * valid[..., None]
        return frames.sum(dim=1) / lengths[:, None]

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(features, lengths))


@dataclass(eq=False)
class CountingMeter(BudgetMeter):
    """A budget that also counts the waits in each charged block, and from each block's end to the next one's."""

    gpu: SimulatedGpu | None = None
    inside: list[int] = field(default_factory=list)
    between: list[int] = field(default_factory=list)
    _last: int | None = None

    @contextmanager
    def charging(self, examples: int = 0) -> Iterator[None]:
        if self.gpu is None or not examples:
            with super().charging(examples):
                yield
            return
        began = self.gpu.total
        try:
            with super().charging(examples):
                yield
        finally:
            now = self.gpu.total
            self.inside.append(now - began)
            if self._last is not None:
                self.between.append(now - self._last)
            self._last = now

    @property
    def waits_a_step(self) -> float:
        """The usual number in a block, or from one block's end to the next one's, whichever is more; 0 without any."""
        return max(median(counts) for counts in (self.inside or [0], self.between or [0]))


def make_problem(
    device: str, *, kind: str = "sample", reading: str = "on device", gpu: SimulatedGpu | None = None
) -> UnlearningProblem:
    """Six utterances to forget, of all classes or of the last one, twelve to keep, and eight of D_v."""
    where = torch.device(device)
    generator = torch.Generator().manual_seed(0)
    total = 26
    labels = torch.arange(total) % CLASSES
    if kind == "class":
        labels[:6], labels[6:] = CLASSES - 1, torch.arange(total - 6) % (CLASSES - 1)
    features = torch.randn(total, TIME, BANDS, generator=generator) + labels[:, None, None]
    lengths = 3 + torch.arange(total) % (TIME - 3)
    bank = features_on_device(features.numpy(), lengths, where)

    def on_host(rows: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.roll(features[rows], seed % 3, dims=1), lengths[rows]

    def part(start: int, count: int, forget: bool, *, steps: bool = True) -> UtteranceSet:
        rows = torch.arange(start, start + count)
        return UtteranceSet(
            rows,
            labels[rows],
            torch.full((count,), forget),
            bank.train if reading in ("on device", "buckets") else on_host,
            where,
            durations=lengths[rows] if "buckets" in reading else None,
            prefetch=where.type == "cuda" and reading not in ("on device", "buckets"),
            random_crops=steps and "random" in reading,
        )

    original = TinySpeech(0)
    budget = CountingMeter(gpu=gpu, synchronize=torch.cuda.synchronize if where.type == "cuda" else (lambda: None))
    with torch.no_grad():
        logits = original(features, lengths)
    return UnlearningProblem(
        model=original.to(where),
        forget=part(0, 6, True),
        retain=part(6, 12, False),
        validation=part(18, 8, False, steps=False),
        num_classes=CLASSES,
        forgotten_classes=(CLASSES - 1,) if kind == "class" else (),
        training=Training(learning_rate=1e-2, epochs=2, batch_size=4),
        budget=budget,
        generator=torch.Generator().manual_seed(0),
        build_model=lambda weights: TinySpeech(7 if weights == "random" else 3).to(where),
        teacher_logits=Teacher(lambda: (logits, 0.0), budget),
        score=score,
    )


def small(name: str, folder: str = "methods", **settings: Any) -> Method:
    """The plug-in with batches of four."""
    names = {f.name for f in fields(plugins.plugin_class(folder, name))}
    return plugins.load(folder, name, **{k: v for k, v in SIZES.items() if k in names}, **settings)


def run(method: Method, problem: UnlearningProblem, **settings: Any) -> Outcome:
    """Run a method to its end; for one that `needs` a kind of training, after that training."""
    torch.manual_seed(0)
    knobs = {name: settings.pop(name) for name in ("superloss", "forget_curriculum", "lora") if name in settings}
    if method.requires_training:
        trained = replace(
            problem,
            retain=problem.forget + problem.retain,
            artifacts_to_store={},
            budget=BudgetMeter(),
            warmed_up={True, False},
        )
        trained.model = copy.deepcopy(problem.model)
        kind = plugins.load(
            "trainings", method.requires_training, **({"features": 0} if "head" in method.requires_training else {})
        )
        list(run_method(kind, trained, settings=LoopSettings(), outcome=Outcome()))
        problem.model.load_state_dict(trained.model.state_dict())
        problem.original_artifacts = {name: value.cpu() for name, value in trained.artifacts_to_store.items()}
    outcome = Outcome()
    for _ in run_method(method, problem, settings=LoopSettings(**settings), outcome=outcome, **knobs):
        pass
    return outcome


def weights(problem: UnlearningProblem) -> dict[str, np.ndarray[Any, Any]]:
    """On the host."""
    return {name: value.detach().cpu().numpy() for name, value in problem.model.state_dict().items()}
