"""Checks of a grid before a launch: corpora, forget sets and networks; nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

import torch

from backbones.base import Backbone
from backbones.hub import has_sound_weights
from methods.base import Method
from methods.engine.answers import TRANSCRIPTS
from orchestrator.errors import FolderFull, first_line, type_and_first_line
from orchestrator.forgetting.requests import ForgetRequest
from orchestrator.plan.grid import Grid, RefusalKind
from orchestrator.plan.scenarios import in_short
from orchestrator.plan.spec import PlugIn, TrialSpec
from orchestrator.results.storage import NO_ROOM
from orchestrator.results.store import Store
from orchestrator.run.progress.observer import SILENT, LaunchObserver, preparation
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.feature_cache import clip_samples
from orchestrator.tasks.base import NO_CLASSES
from orchestrator.tasks.corpus import Corpus

SHOWN = 5  # ids in a reason


def check_grid(grid: Grid, store: Store, cache_dir: Path, *, build: bool, observer: LaunchObserver = SILENT) -> None:
    """Refuse the trials of a grid that cannot run.

    Args:
        grid: gets the refusals.
        store: the results folder, next to which nodes may share corpora.
        cache_dir: of corpora.
        build: whether corpora that are not in the cache are built; else what depends on them is not checked.
        observer: is told of each corpus that is built.

    Raises:
        FolderFull: no room for a corpus in the cache.
    """
    check = _Check(grid, WorkerContext(store, cache_dir, device=torch.device("cpu")), build, observer)
    for backbone in check.distinct(lambda spec: spec.backbone):
        check.network(backbone)
    for task in check.distinct(lambda spec: spec.task):
        if corpus := check.corpus(task):
            check.fits(task, corpus)
            check.forget_sets(task)


class _Check:
    """One check of a grid, which gets a refusal for each part that cannot run."""

    def __init__(self, grid: Grid, context: WorkerContext, build: bool, observer: LaunchObserver) -> None:
        self.grid, self.context, self.build, self.observer = grid, context, build, observer

    def distinct(self, of: Callable[[TrialSpec], PlugIn]) -> list[PlugIn]:
        """Return the plug-ins of trials that can run, each once."""
        return list({of(spec).key: of(spec) for spec in self.grid.runnable}.values())

    def refuse(self, what: str, reason: str, trials: Iterable[TrialSpec], kind: RefusalKind = "combination") -> None:
        """Record why the trials cannot run, and leave them out."""
        ids = [spec.trial_id for spec in trials]
        self.grid.refuse(what, reason, len(ids), kind)
        self.grid.refuse_trials(ids)

    def network(self, backbone: PlugIn) -> None:
        """Check a backbone's settings, the names and shapes of its weights, and what trials do with such a network."""
        trials = [spec for spec in self.grid.runnable if spec.backbone.key == backbone.key]
        lines = {s.method.key: s.method for s in trials if s.policy.unlearns and _looks_at_network(s.method)}
        is_changed = any(spec.lora or spec.training.get("length_buckets") for spec in trials)
        if not (lines or is_changed or backbone.settings or "@" in backbone.content):
            return  # a package default, which is sound; building it takes seconds
        name, _, commit = backbone.content.rpartition("@")
        try:
            pretrained = not name or has_sound_weights(name, commit)  # plan and check download no weights
            with torch.device("meta"):
                model = self.context.backbone(backbone).build(2, pretrained=pretrained)
        except (ValueError, OSError) as error:
            self.refuse(f"backbone {backbone.title}", first_line(error), trials, "input")
            return
        for line in lines.values():
            if reason := line.instance.reason_model_unsupported(model):
                ours = [spec for spec in trials if spec.policy.unlearns and spec.method.key == line.key]
                self.refuse(f"{line.name} on {backbone.title}", reason, ours)
        if not model.adapter_targets:
            without = "lora needs linear layers that can be adapted, and it has none; remove lora"
            if adapted := [spec for spec in trials if spec.lora]:
                self.refuse(f"lora on {backbone.title}", without, adapted)
        if not model.masks_padding and (cut := [spec for spec in trials if spec.training.get("length_buckets")]):
            reason = "its logits depend on padding, which training.length_buckets cuts off; set it to false"
            self.refuse(f"length_buckets on {backbone.title}", reason, cut)

    def corpus(self, task: PlugIn) -> Corpus | None:
        """Return a task's corpus; None if it must not be built, or cannot be used."""
        cached = has_corpus(self.context.cache_dir, task)
        if not cached and not self.build:
            return None
        reason = ""
        try:
            with nullcontext() if cached else preparation(self.observer, f"the corpus of {task.title}"):
                corpus = self.context.corpus(task)
            if len(corpus.classes) < 2 and corpus.classes != NO_CLASSES:
                reason = f"a classifier needs two classes: got {', '.join(corpus.classes) or 'none'}"
        except Exception as error:  # of any kind: recordings are read by several libraries
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                said = f"the corpus of task {task.title} does not fit into {self.context.cache_dir}"
                raise FolderFull(error.errno, said) from None
            reason = first_line(error) if isinstance(error, ValueError | OSError) else type_and_first_line(error)
        if reason:
            self.refuse(f"task {task.title}", reason, self._of(task), "input")
        return None if reason else corpus

    def _of(self, task: PlugIn) -> list[TrialSpec]:
        return [spec for spec in self.grid.runnable if spec.task.key == task.key]

    def fits(self, task: PlugIn, corpus: Corpus) -> None:
        """Check the lengths of a corpus's recordings for each backbone and clip."""
        lengths = corpus.num_samples
        shortest, longest = (str(corpus.utterance_ids[int(row)]) for row in (lengths.argmin(), lengths.argmax()))
        cells = {(spec.backbone.key, repr(spec.clip)): spec for spec in self._of(task)}
        for (key, clip), spec in cells.items():
            try:
                samples, backbone = clip_samples(corpus, spec.clip["seconds"]), self.context.backbone(spec.backbone)
                reason = backbone.unfit(int(lengths.min()), samples)
                misfit = "" if reason else _unspeakable(backbone, corpus)
            except (ValueError, OSError) as error:
                reason, misfit = first_line(error), ""
            if reason or misfit:
                ours = [s for s in self._of(task) if (s.backbone.key, repr(s.clip)) == (key, clip)]
                reason = misfit or f"{reason} (shortest utterance: {shortest!r}; longest: {longest!r})"
                self.refuse(f"{task.title} on {spec.backbone.title}", reason, ours)

    def forget_sets(self, task: PlugIn) -> None:
        """Check each forget request by drawing it for each seed."""
        by_request: dict[tuple[str, ...], list[TrialSpec]] = {}
        for spec in self._of(task):
            if spec.forget:
                keys = tuple(step.key for step in (*spec.before, spec.forget))
                by_request.setdefault((*keys, str(spec.seed)), []).append(spec)
        seeds = {spec.seed for trials in by_request.values() for spec in trials}
        failing: dict[tuple[str, str], dict[int, list[TrialSpec]]] = {}
        for trials in by_request.values():
            spec = trials[0]
            try:
                self.context.forget_sets(spec)
            except (ValueError, OSError) as error:
                steps = [in_short(ForgetRequest(**step.settings)) for step in (*spec.before, spec.forget) if step]
                what = f"{task.title}: {' > '.join(steps)}"
                failing.setdefault((what, first_line(error)), {}).setdefault(spec.seed, []).extend(trials)
        for (what, reason), by_seed in failing.items():
            which = "" if set(by_seed) == seeds else f" (seed {', '.join(map(str, sorted(by_seed)))})"
            self.refuse(f"{what}{which}", reason, [spec for trials in by_seed.values() for spec in trials])


def _unspeakable(backbone: Backbone, corpus: Corpus) -> str:
    """Return which recordings are too short for their transcripts, and what to do; empty if none is."""
    if backbone.target != TRANSCRIPTS:
        return ""
    found = backbone.unspeakable(torch.from_numpy(corpus.num_samples), [str(text) for text in corpus.texts])
    names = [str(name) for name in corpus.utterance_ids[found.numpy()]]
    if not names:
        return ""
    shown = ", ".join(map(repr, names[:SHOWN])) + (", …" if len(names) > SHOWN else "")
    return (
        f"recordings too short for their transcripts: got {len(names)} ({shown}); correct the transcripts, leave "
        "these recordings out, or use a backbone that does not need a step for each character"
    )


def has_corpus(cache_dir: Path, task: PlugIn) -> bool:
    """Return whether the task's corpus is in the cache."""
    return any((cache_dir / "corpora").glob(f"*-{task.content}"))


def _looks_at_network(method: PlugIn) -> bool:
    return type(method.instance).reason_model_unsupported is not Method.reason_model_unsupported
