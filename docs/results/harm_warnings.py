"""Count how often the check of `unlearn forget` warns of a request on the originals of the sweep `malicious`.

    python docs/results/harm_warnings.py RESULTS

Requests that are chosen to harm are those of the sweep. Random ones of the same sizes, each speaker and each class are
what people who mean no harm ask for. As in `unlearn forget`, harm is measured on the original's embeddings of test and
holdout, without those of a removed speaker or class.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from orchestrator import load_sweep
from orchestrator.evidence.harm import Harm, harm_of
from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import TrialSpec
from orchestrator.results.store import open_store
from orchestrator.run.setup.checkpoints import load_weights
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.frozen import embedded
from orchestrator.tasks.corpus import Corpus

RANDOM = 100  # requests of each size, for each original
Rows = npt.NDArray[np.int64]
CACHE = Path("~/.cache/speech-unlearning").expanduser()


def rows_of(corpus: Corpus, *splits: str) -> Rows:
    """Return the rows of several splits, ascending."""
    return np.flatnonzero(np.isin(corpus.splits.astype(str), splits))


def requests(context: WorkerContext, specs: list[TrialSpec], corpus: Corpus) -> Iterator[tuple[str, Rows, Rows]]:
    """Yield what a request is, its rows of train, and the unheard rows of those who stay."""
    train, others = corpus.rows("train"), rows_of(corpus, "test", "holdout")
    for spec in specs:
        if spec.request.get("rule") == "harmful":
            (drawn,) = context.forget_sets(spec)
            size = f"{spec.request['forget_ratio']:.0%}"
            yield f"harmful, {size} of D", drawn.rows, others
            for seed in range(RANDOM):
                picked = np.random.default_rng([seed, spec.seed]).permutation(train)[: len(drawn.rows)]
                yield f"random, {size} of D", picked, others
    for name, column in (("a speaker", corpus.speakers), ("a class", corpus.labels)):
        for value in np.unique(column[train]):
            yield name, train[column[train] == value], others[column[others] != value]


def harms(context: WorkerContext, specs: list[TrialSpec]) -> Iterator[tuple[str, Harm]]:
    """Yield what the check finds of each request on the original of these trials."""
    corpus, original = context.corpus(specs[0].task), str(specs[0].starts_from)
    model = context.model(specs[0], len(corpus.classes))
    model.load_state_dict(load_weights(context.store, original))
    rows = rows_of(corpus, "train", "test", "holdout")
    vectors = embedded(model, context.features(specs[0]).evaluate, [rows], torch.device("cpu"))
    train = corpus.rows("train")
    for name, forget, others in requests(context, specs, corpus):
        mine, theirs = (vectors[np.searchsorted(rows, part)] for part in (train, others))
        picked = np.flatnonzero(np.isin(train, forget))
        found = harm_of(mine, corpus.labels[train], picked, theirs, corpus.labels[others], seed=specs[0].seed)
        if found is not None:
            yield name, found


def main(results: str, *overrides: str) -> None:
    """Print a table of warnings over the originals of all seeds."""
    grid = build_grid(load_sweep("malicious", list(overrides)).sweep)
    lines = [spec for spec in grid.trials if spec.method.name == "original" and spec.stage == "unlearn"]
    context = WorkerContext(open_store(results), CACHE, device=torch.device("cpu"))
    found: dict[str, list[Harm]] = {}
    for seed in sorted({spec.seed for spec in lines}):
        for name, harm in harms(context, [spec for spec in lines if spec.seed == seed]):
            found.setdefault(name, []).append(harm)
    print("| request | warned | of | median rise of the error | median of the largest of 50 random ones |")
    print("|---|---:|---:|---:|---:|")
    for name, own in found.items():
        rise, random = (np.median([getattr(harm, part) for harm in own]) for part in ("rise", "random"))
        print(f"| {name} | {sum(harm.much for harm in own)} | {len(own)} | {rise:.1%} | {random:.1%} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
