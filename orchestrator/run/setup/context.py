"""What a worker process needs to run trials: results folder, cache, device, and what it has already opened."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from backbones.base import SAMPLE_RATE_HZ, Backbone
from backbones.hub import COMMIT
from methods.base import Classifier
from orchestrator import plugins
from orchestrator.evidence.harm import harmful_order
from orchestrator.forgetting.requests import ForgetRequest
from orchestrator.forgetting.sets import ForgetSet, corpus_arrays, draw
from orchestrator.plan.memory import MICRO_BATCH_GFLOP
from orchestrator.plan.originals import training_kind_of
from orchestrator.plan.spec import PlugIn, TrialSpec, stage_seed
from orchestrator.results.store import Store
from orchestrator.run.guards.out_of_memory import FoundSize, release
from orchestrator.run.setup.arithmetic import uses_tf32
from orchestrator.run.setup.feature_cache import FeatureReader, are_cached, clip_samples, open_features
from orchestrator.run.setup.frozen import embedded
from orchestrator.run.setup.shared_cache import shared_cache
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.corpus import Corpus

FEATURES_SHARE = 0.3  # of the device memory that is free when they are opened
LEASE_SECONDS = 30.0  # between two checks that the driver still has the folder


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a trial may use of the machine; not part of its recipe."""

    hang_seconds: float | None = None  # without a batch, after which the trial fails
    micro_batch: int | None = None  # utterances that go through a model at once, at most
    gpu_share: float = 1.0  # of the GPU that this process has

    @property
    def memory_share(self) -> float:
        """The share of the GPU's memory for this process; where processes share a GPU, CUDA itself needs some."""
        return 1.0 if self.gpu_share >= 1 else 0.95 * self.gpu_share


@dataclass
class WorkerContext:
    """The context of one process, which a warm worker keeps from trial to trial."""

    store: Store
    cache_dir: Path
    device: torch.device = field(default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    cache_limit_gb: float = 50.0
    limits: Limits = Limits()
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False)
    _banks: dict[Any, FeatureReader] = field(default_factory=dict, repr=False)  # the one used last at the end
    _looked: float = field(default=-math.inf, repr=False)  # at the lease

    def __post_init__(self) -> None:
        if self.device.type == "cuda" and self.limits.memory_share < 1:
            torch.cuda.set_per_process_memory_fraction(self.limits.memory_share, torch.cuda.current_device())

    @property
    def scratch(self) -> Path:
        """A folder for files that do not outlive the process."""
        return self.cache_dir / "scratch"

    def require_lease(self) -> None:
        """Check that the driver still has the results folder; called at each batch.

        Raises:
            LeaseLost: another driver has the folder.
        """
        if time.monotonic() - self._looked >= LEASE_SECONDS:
            with self.store.files.changing():
                self._looked = time.monotonic()

    def corpus(self, task: PlugIn) -> Corpus:
        """Return the task's corpus, which the first call on this machine builds."""
        key = ("corpus", task.content, task.name)
        plugin = plugins.load("tasks", task.name, **task.settings)  # a new one, which reads the files again
        corpus: Corpus = self._keep(
            key, lambda: open_corpus(plugin, self.cache_dir, self._obtain, task.content or None)
        )
        return corpus

    def missing(self, spec: TrialSpec) -> str:
        """Name what this trial makes first for all others on this machine; an empty text where all is there."""
        if spec.clip["crop"] == "random" or self._features_key(spec) in self._banks:
            return ""
        return "" if are_cached(spec, self.cache_dir) else f"features of {spec.task.title} for {spec.backbone.title}"

    def _features_key(self, spec: TrialSpec) -> tuple[Any, ...]:
        tf32 = uses_tf32(spec.loop, self.device)
        return spec.task.content, repr(spec.backbone.recipe()), repr(dict(spec.clip)), tf32

    def features(self, spec: TrialSpec) -> FeatureReader:
        """Return the backbone's features of the corpus."""
        corpus, clip = self.corpus(spec.task), dict(spec.clip)
        tf32 = uses_tf32(spec.loop, self.device)

        def make() -> FeatureReader:
            return open_features(
                corpus,
                self.backbone(spec.backbone),
                spec.backbone,
                clip,
                cache_dir=self.cache_dir,
                device=self.device,
                limit_gb=self.cache_limit_gb,
                seed=stage_seed("crops", spec.task.title, spec.seed),
                tf32=tf32,
                obtain=self._obtain,
                has_room=self._has_room,
            )

        if clip["crop"] == "random":
            return make()
        key = self._features_key(spec)
        bank = self._banks.pop(key) if key in self._banks else make()
        self._banks[key] = bank  # at the end
        return bank

    def drop_features(self) -> bool:
        """Free the device memory of all kept features; return whether there were any."""
        found = [key for key, bank in self._banks.items() if bank.on_device]
        for key in found:
            del self._banks[key]
        release()
        return bool(found)

    def max_micro_batch(self, spec: TrialSpec) -> int | None:
        """Return the largest number of utterances per forward pass; None for whole batches.

        It is the sweep's setting; otherwise, on a CPU, the number beyond which larger batches are not faster. SuperLoss
        takes whole batches, since it needs all losses of a batch first, and parts would need two forward passes.
        """
        if self.limits.micro_batch is not None or self.device.type != "cpu" or spec.superloss:
            return self.limits.micro_batch
        seconds = clip_samples(self.corpus(spec.task), spec.clip["seconds"]) / SAMPLE_RATE_HZ
        return max(1, int(MICRO_BATCH_GFLOP / self.backbone(spec.backbone).train_gflop(seconds)))

    def known_micro_batch(self, spec: TrialSpec) -> FoundSize:
        """Return the micro-batch with which trials like this one fit in memory, on this kind of device."""
        return FoundSize.of(
            self.cache_dir,
            backbone=spec.backbone.recipe(),
            clip_samples=clip_samples(self.corpus(spec.task), spec.clip["seconds"]),
            precision=spec.loop["precision"],
            device=device_name(self.device),
            memory_share=self.limits.memory_share,
        )

    def _has_room(self, num_bytes: int) -> bool:
        """Return whether the device has room for features of this size; drop the least recently used for it."""
        kept = {key: bank.device_bytes for key, bank in self._banks.items() if bank.on_device}
        room = self._room_bytes(sum(kept.values()))
        if num_bytes > room:
            return False
        for key in list(kept):
            if sum(kept.values()) + num_bytes <= room:
                break
            del self._banks[key], kept[key]
            release()
        return True

    def _room_bytes(self, kept: int = 0) -> int:
        """Return the device memory for features, the bytes that they `kept` included; the rest is for training."""
        if self.device.type != "cuda":
            return 0
        free, total = torch.cuda.mem_get_info(self.device)
        ours = int(self.limits.memory_share * total) - torch.cuda.memory_reserved(self.device)
        return int(FEATURES_SHARE * max(0, min(free, ours) + kept))

    def backbone(self, plugin: PlugIn) -> Backbone:
        """Return the backbone; from the hub, with the commit of the plan, whatever this node's cache has."""
        commit = plugin.content.rpartition("@")[2]
        pinned = {"revision": commit} if COMMIT.fullmatch(commit) else {}
        backbone: Backbone = plugins.load("backbones", plugin.name, **{**plugin.settings, **pinned})
        return backbone

    def model(self, spec: TrialSpec, num_classes: int, *, pretrained: bool = True) -> Classifier:
        """Return a new classifier on the device.

        Its head depends on task, backbone and original seed only, so that Retrain starts from the same weights as the
        original. A random model depends on the trial's seed.
        """
        kind, seed = ("head", spec.original_seed) if pretrained else ("random model", spec.seed)
        seed_everything(stage_seed(kind, spec.task.title, spec.backbone.title, seed))
        built = self.backbone(spec.backbone).build(num_classes, pretrained=pretrained).to(self.device)
        return training_kind_of(spec).classifier(built, num_classes)

    def forget_sets(self, spec: TrialSpec) -> list[ForgetSet]:
        """Return D_f of the requests before this trial's and of its own, last; empty while training the original.

        The seed depends on neither method, ratio nor position in the sequence: all methods forget the same utterances,
        1 % is a part of 2 %, and a second request of 1 % is the rest of it.
        """
        if spec.forget is None:
            return []
        arrays = corpus_arrays(self.corpus(spec.task), spec.task.instance.unforgettable)
        if any(plugin.settings.get("rule") == "harmful" for plugin in (*spec.before, spec.forget)):
            arrays = replace(arrays, harmful=self._harmful(spec))
        found: list[ForgetSet] = []
        for plugin in (*spec.before, spec.forget):
            request = ForgetRequest(**plugin.settings)
            seed = stage_seed("forget set", spec.task.title, request.kind, request.rule, spec.seed)
            found.append(draw(request, arrays, seed))
            arrays = arrays.without(found[-1].rows)
        return found

    def _harmful(self, spec: TrialSpec) -> Callable[[int], npt.NDArray[np.int64]]:
        """Return what ranks D by the harm of its removal, in the pretrained encoder that the original starts from."""
        corpus = self.corpus(spec.task)
        train, test = corpus.rows("train"), corpus.rows("test")

        def embeddings() -> npt.NDArray[np.float32]:
            return embedded(
                self.model(spec, len(corpus.classes)), self.features(spec).evaluate, [train, test], self.device
            )

        key = ("embeddings", *self._features_key(spec), spec.original_seed)
        vectors = self._keep(key, embeddings)

        def order(count: int) -> npt.NDArray[np.int64]:
            mine, theirs = vectors[: len(train)], vectors[len(train) :]
            found: npt.NDArray[np.int64] = train[
                harmful_order(mine, corpus.labels[train], theirs, corpus.labels[test], count)
            ]
            return found

        return order

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


def device_name(device: torch.device) -> str:
    """Return the class of a device, as rows name it: a GPU's model, or the CPU's architecture."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    import platform

    return f"cpu {platform.machine()}"


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    import random

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
