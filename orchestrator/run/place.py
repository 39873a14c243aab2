"""Where a trial runs: its results folder, its cache, its device, and what this process has already opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch

from backbones.base import Backbone, SpeechClassifier
from backbones.checkpoints import COMMIT
from orchestrator import plugins
from orchestrator.plan.spec import PlugIn, TrialSpec, stage_seed
from orchestrator.results import Store
from orchestrator.run.features import FeatureBank, open_features
from orchestrator.run.shared_cache import shared_cache
from orchestrator.tasks.base import Corpus
from orchestrator.tasks.forget_requests import ForgetRequest
from orchestrator.tasks.forget_sets import ForgetSet, corpus_arrays, draw


def default_cache_dir() -> Path:
    """Where corpora and features are kept: `UNLEARN_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("UNLEARN_CACHE") or platformdirs.user_cache_path("speech-unlearning")).absolute()


@dataclass
class Place:
    """One process's view; a warm worker keeps it from trial to trial."""

    store: Store
    cache_dir: Path
    device: torch.device = field(default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    cache_limit_gb: float = 50.0
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def corpus(self, task: PlugIn) -> Corpus:
        """The task's corpus, built on the first call on this machine."""
        key = ("corpus", task.content, task.name)
        plugin = plugins.load("tasks", task.name, **task.settings)
        corpus: Corpus = self._keep(key, lambda: plugin.load(self.cache_dir, self._obtain))
        return corpus

    def features(self, spec: TrialSpec) -> FeatureBank:
        """The backbone's features of the corpus."""
        corpus, clip = self.corpus(spec.task), dict(spec.clip)
        generator = torch.Generator().manual_seed(stage_seed("crops", spec.task.title, spec.seed))

        def make() -> FeatureBank:
            return open_features(
                corpus,
                self.backbone(spec.backbone),
                spec.backbone,
                clip,
                cache_dir=self.cache_dir,
                device=self.device,
                limit_gb=self.cache_limit_gb,
                generator=generator,
                obtain=self._obtain,
            )

        if clip["crop"] == "random":
            return make()
        bank: FeatureBank = self._keep(("features", spec.task.content, repr(spec.backbone.recipe()), repr(clip)), make)
        return bank

    def backbone(self, plugin: PlugIn) -> Backbone:
        """The backbone plug-in; from the hub, the commit that the plan found, whatever this node's cache has."""
        commit = plugin.content.rpartition("@")[2]
        pinned = {"revision": commit} if COMMIT.fullmatch(commit) else {}
        backbone: Backbone = plugins.load("backbones", plugin.name, **{**plugin.settings, **pinned})
        return backbone

    def model(self, spec: TrialSpec, num_classes: int, *, pretrained: bool = True) -> SpeechClassifier:
        """A new classifier on the device; its head depends on task, backbone and original seed only, so Retrain
        starts where the original did. A random one depends on the trial's seed."""
        kind, seed = ("head", spec.original_seed) if pretrained else ("random model", spec.seed)
        seed_everything(stage_seed(kind, spec.task.title, spec.backbone.title, seed))
        return self.backbone(spec.backbone).build(num_classes, pretrained=pretrained).to(self.device)

    def forget_set(self, spec: TrialSpec) -> ForgetSet | None:
        """D_f: drawn without method or ratio, so that all methods forget the same and 1 % is part of 2 %."""
        if spec.forget is None:
            return None
        request = ForgetRequest(**spec.request)
        seed = stage_seed("forget set", spec.task.title, request.kind, request.rule, spec.seed)
        task = plugins.load("tasks", spec.task.name, **spec.task.settings)
        return draw(request, corpus_arrays(self.corpus(spec.task), task.unforgettable), seed)

    def _obtain(self, path: Path, build: Callable[[], None]) -> None:
        shared = shared_cache(self.store)
        if shared is None:
            build()
        else:
            shared.obtain(path, build)

    def _keep(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    import random

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
