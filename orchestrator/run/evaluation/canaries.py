"""Planted secrets under a trial's recognizer: exposure and extraction, each recording against alternatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from methods.base import UnlearningProblem
from methods.engine.answers import NO_TOKEN, Recognizer
from orchestrator.evidence.canaries import Canary, Group
from orchestrator.evidence.canary_tests import canary_results, canary_rows
from orchestrator.plan.spec import TrialSpec, stage_seed
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.feature_cache import clip_samples
from orchestrator.run.setup.problem import TrialSplit
from orchestrator.tasks.corpus import FULL_SCALE, Corpus

RECORDINGS = 2  # of each canary and group, at most, unless the sweep says otherwise


def canary_evidence(
    spec: TrialSpec,
    context: WorkerContext,
    corpus: Corpus,
    parts: TrialSplit,
    problem: UnlearningProblem,
    settings: Mapping[str, int] | bool = True,
) -> list[dict[str, Any]]:
    """Test recordings of each canary of D_f, of D_r and of those never trained on; no rows for a corpus without.

    Alternatives and noise depend on task and seed, never on the method.
    """
    most = RECORDINGS if isinstance(settings, bool) else settings["recordings"]
    about = corpus.info.get("canaries", {})
    if not about:
        return []
    seed = stage_seed("canaries", spec.task.title, spec.seed) % 2**32
    reader = _Reader.of(spec, context, corpus, problem)
    trained = trained_on(spec, corpus.column("canary"), parts)
    planted = {name: str(said["secret"]) for name, said in about.items() if name in trained}
    rows: list[dict[str, Any]] = []
    for name, group, row in recordings(corpus.column("canary"), list(about), parts, most):
        canary = Canary.of(name, about[name], group)
        others = [secret for other, secret in planted.items() if other != name]
        audio = corpus.audio(row).astype(np.float64) / FULL_SCALE
        rows += canary_rows(
            canary, canary_results(canary, audio, reader.losses_of, reader.transcribe, others=others, seed=seed)
        )
    return rows


def recordings(
    canaries: npt.NDArray[Any], names: list[str], parts: TrialSplit, most: int = RECORDINGS
) -> list[tuple[str, Group, int]]:
    """Return name, group and row of the recordings that are tested, the first ones of each canary in each group.

    A canary that any training of the trial's original had is no control, even if the holdout has a recording of it.
    """
    known = set(canaries[np.concatenate([parts.forget, parts.retain, parts.before])].tolist())
    groups: dict[Group, npt.NDArray[np.int64]] = {
        "forgotten": parts.forget, "kept": parts.retain, "never": parts.holdout,
    }  # fmt: skip
    return [
        (name, group, int(row))
        for name in names
        for group, rows in groups.items()
        if group != "never" or name not in known
        for row in rows[canaries[rows] == name][:most]
    ]


def trained_on(spec: TrialSpec, canaries: npt.NDArray[Any], parts: TrialSplit) -> set[str]:
    """Return the canaries that the trial's model was trained on: Retrain's are those of D_r."""
    retrained = spec.policy.trains and not spec.policy.trains_original
    own = [parts.retain] if retrained else [parts.forget, parts.retain, parts.before]
    return set(canaries[np.concatenate(own)].tolist())


class _Reader:
    """The recognizer on recordings of any length up to that of the clip."""

    def __init__(
        self, model: Recognizer, frontend: Any, samples: int, device: torch.device, normalizer: Callable[[str], str]
    ) -> None:
        self.model, self.frontend, self.samples, self.device = model, frontend, samples, device
        self.normalizer = normalizer

    @classmethod
    def of(cls, spec: TrialSpec, context: WorkerContext, corpus: Corpus, problem: UnlearningProblem) -> _Reader:
        """Return the reader of a trial's model, in eval mode."""
        problem.model.eval()
        frontend = context.backbone(spec.backbone).frontend(context.device)
        samples = clip_samples(corpus, spec.clip["seconds"])
        return cls(cast(Recognizer, problem.model), frontend, samples, context.device, corpus.normalizer)

    def features(self, recordings: Sequence[npt.NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
        """Return features and lengths of recordings, as one batch."""
        padded = torch.zeros(len(recordings), self.samples)
        for row, audio in enumerate(recordings):
            padded[row, : len(audio)] = torch.from_numpy(audio[: self.samples].astype(np.float32))
        with torch.no_grad():
            features, lengths = self.frontend(
                padded, torch.tensor([min(len(audio), self.samples) for audio in recordings])
            )
        return features.to(self.device), lengths.to(self.device)

    def losses_of(self, audio: npt.NDArray[np.float64], texts: Any) -> npt.NDArray[np.float64]:
        """Return (n,) losses of whole texts on a recording, in nats: alternatives differ in their number of tokens.

        Those above the first text's may be infinite.
        """
        tokens = self.model.tokens(list(texts)).to(self.device)
        each = self.model.alternative_losses(*self.features([audio]), tokens).double()
        found: npt.NDArray[np.float64] = (each * (tokens != NO_TOKEN).sum(dim=1)).cpu().numpy()
        return found

    def transcribe(self, recordings: Sequence[npt.NDArray[np.float64]]) -> list[str]:
        """Return the greedy transcripts of recordings, normalized as the corpus is."""
        return [self.normalizer(text) for text in self.model.transcribe(*self.features(recordings))]
