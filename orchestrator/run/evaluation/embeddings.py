"""Embeddings of a trial's model: what the head reads of some utterances, computed in eval mode, and stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from methods.base import UnlearningProblem, UtteranceSet
from orchestrator.evidence.embeddings import Embeddings, embeddings_table
from orchestrator.evidence.speaker_roles import speaker_roles
from orchestrator.plan.spec import TrialSpec, stage_seed
from orchestrator.results.store import Store
from orchestrator.run.guards.out_of_memory import in_halves
from orchestrator.run.setup.feature_cache import Fetch
from orchestrator.run.setup.problem import TrialSplit
from orchestrator.run.setup.scoring import EVALUATION_BATCH
from orchestrator.tasks.corpus import Corpus


def keep_embeddings(
    spec: TrialSpec, store: Store, corpus: Corpus, parts: TrialSplit, problem: UnlearningProblem, fetch: Fetch
) -> list[dict[str, Any]]:
    """Write `embeddings/<trial_id>.parquet`: D_f, as many utterances of D_r, D_v, D_t, holdout, and earlier requests.

    The draw from D_r depends on task and seed, never on the method. Nothing is charged, and no id depends on it.
    """
    seed = stage_seed("embeddings", spec.task.title, spec.seed)
    drawn = np.sort(np.random.default_rng(seed % 2**32).permutation(parts.retain)[: len(parts.forget)])
    named = {
        "forget": parts.forget, "retain": drawn, "validation": parts.validation, "test": parts.test,
        "holdout": parts.holdout, "forgotten_before": parts.before,
    }  # fmt: skip
    rows = np.concatenate(list(named.values()))
    speakers = corpus.speakers.astype(str)
    trained = (speakers[part] for part in (parts.forget, parts.retain, parts.before))
    found = Embeddings(
        utterance_ids=corpus.utterance_ids[rows].astype(str),
        parts=np.repeat(list(named), [len(part) for part in named.values()]),
        speakers=speakers[rows],
        speaker_roles=speaker_roles(speakers[rows], *trained),
        labels=corpus.labels[rows],
        true_labels=corpus.true_labels[rows],
        vectors=embed(problem, rows, fetch),
    )
    store.write_table(store.embeddings.path(spec.trial_id), embeddings_table(found), compression="zstd")
    return [{"test": "embeddings", "measure": "stored", "value": None, "utterances": len(rows)}]


def embed(problem: UnlearningProblem, rows: npt.NDArray[np.int64], fetch: Fetch) -> npt.NDArray[np.float32]:
    """Return the inputs of the head (N, width), in eval mode."""
    utterances = UtteranceSet(
        utterances=torch.from_numpy(rows),
        labels=torch.zeros(len(rows), dtype=torch.long),
        is_forget=torch.zeros(len(rows), dtype=torch.bool),
        fetch=fetch,  # not the methods' own, which reads neither D_t nor the holdout
        device=problem.validation.device,
    )
    problem.model.eval()

    def embedded(size: int) -> torch.Tensor:
        with torch.no_grad():
            batches = utterances.batches(size)
            return torch.cat([problem.model.embed(b.features, b.lengths).float().cpu() for b in batches])

    found: npt.NDArray[np.float32] = in_halves(embedded, EVALUATION_BATCH[utterances.device.type]).numpy()
    return found
