"""Linear probe of a trial's model: the utterances that it is fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np

from methods.base import UnlearningProblem
from orchestrator.evidence.probing import linear_probe
from orchestrator.plan.spec import TrialSpec, stage_seed
from orchestrator.run.evaluation.embeddings import embed
from orchestrator.run.setup.feature_cache import Fetch
from orchestrator.run.setup.problem import TrialSplit
from orchestrator.tasks.corpus import Corpus

FEWEST = 10  # utterances of the forgotten class or speaker outside training


def probe(
    spec: TrialSpec, corpus: Corpus, parts: TrialSplit, problem: UnlearningProblem, fetch: Fetch
) -> list[dict[str, Any]]:
    """Return the AUC of a linear probe for what is forgotten: classes, speakers or an attribute; else no rows.

    The probe uses utterances that no model was trained on (D_v, D_t and holdout), if at least ten of them are of the
    forgotten class or speaker, or have the attribute. Otherwise, as for a speaker whose recordings are all in D, it
    uses D_f and as many utterances of D_r. `measure` is then `auc of members`: it detects membership as well as the
    speaker, so only its distance from Retrain's is evidence. Utterances without a value of the attribute are left out.
    """
    kind, known = spec.request.get("kind"), np.ones(len(corpus), dtype=bool)
    if kind == "class":
        is_forgotten = np.isin(corpus.labels, parts.request_classes)
    elif kind == "speaker":
        is_forgotten = np.isin(corpus.speakers, np.unique(corpus.speakers[parts.forget]))
    elif parts.attribute is not None:
        column = corpus.attributes[parts.attribute.name]
        is_forgotten, known = parts.attribute.holds(column), parts.attribute.groups(column) != ""
    else:
        return []
    seed = stage_seed("probe", spec.task.title, spec.seed)
    rows = np.concatenate([parts.validation, parts.test, parts.holdout])
    rows = rows[known[rows]]
    measure = "auc"
    if is_forgotten[rows].sum() < FEWEST:
        measure = "auc of members"
        retain = parts.retain[known[parts.retain]]
        others = np.random.default_rng(seed % 2**32).permutation(retain)[: len(parts.forget)]
        rows = np.concatenate([parts.forget, others])
    found = linear_probe(embed(problem, rows, fetch).astype(np.float64), is_forgotten[rows], seed=seed)
    return [{"test": "probe", "measure": measure, "value": found.auc, "utterances": found.positives + found.negatives}]
