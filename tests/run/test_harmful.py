"""Requests by rule harmful: the same for every method, nested, and more harmful than random ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from orchestrator import load_sweep
from orchestrator.evidence.harm import harm_of
from orchestrator.plan.grid import build_grid
from orchestrator.results.store import open_store
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.frozen import embedded

KEYS = ["unlearning=[{kind: sample, forget_ratio: [0.05, 0.2], rule: harmful}]", "backbones=[whisper_nano]"]


@pytest.fixture(scope="module")
def specs(tmp_path_factory, write_small):
    path = write_small(tmp_path_factory.mktemp("harmful"))
    return [spec for spec in build_grid(load_sweep(path, KEYS).sweep).trials if spec.forget]


@pytest.fixture(scope="module")
def context(tmp_path_factory, cache_dir):
    return WorkerContext(open_store(tmp_path_factory.mktemp("r")), cache_dir, device=torch.device("cpu"))


def test_all_methods_forget_the_same_and_the_smaller_request_is_a_part_of_the_larger(specs, context) -> None:
    by_ratio = {}
    for spec in specs:
        (drawn,) = context.forget_sets(spec)
        by_ratio.setdefault(spec.request["forget_ratio"], set()).add(tuple(drawn.rows))
    ((small,), (large,)) = (by_ratio[ratio] for ratio in (0.05, 0.2))
    assert set(small) < set(large)


def test_the_request_harms_the_test_set_much_more_than_random_ones(specs, context) -> None:
    spec = next(spec for spec in specs if spec.request["forget_ratio"] == 0.2)
    corpus, (drawn,) = context.corpus(spec.task), context.forget_sets(spec)
    train, test = corpus.rows("train"), corpus.rows("test")
    model = context.model(spec, len(corpus.classes))
    x = embedded(model, context.features(spec).evaluate, [train, test], torch.device("cpu"))
    forget = np.flatnonzero(np.isin(train, drawn.rows))
    mine, theirs = x[: len(train)], x[len(train) :]
    assert harm_of(mine, corpus.labels[train], forget, theirs, corpus.labels[test], seed=0).much
