"""Stored outputs of one trial: its model's outputs for each utterance, from logits, the top five or transcripts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp

ATTRIBUTE = "attribute_"  # what the names of columns with attributes of recordings begin with
CANARY = "canary"  # the attribute that names a planted secret
NO_CLASS = -1  # fills a row of `classes` whose label is among its five largest

Vector = Float[np.ndarray, " n"]
Labels = Int[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Per-example outputs of n utterances in float64; k = C classes are known, or the top five and the label.

    Of a recognizer the loss is known, per character or token of the transcript, and no distribution: p_y is exp(−loss),
    and what needs more is NaN.
    """

    utterance_ids: np.ndarray[Any, Any]  # (n,) text
    parts: np.ndarray[Any, Any]  # (n,) forget, retain, validation, test, holdout, forgotten_before
    labels: Labels
    true_labels: Labels
    label_log_probability: Vector  # log p_y, nats
    others_log_probability: Vector  # log(1 − p_y), nats
    entropy: Vector  # of p, nats
    classes: Int[np.ndarray, "n k"]  # whose probability is known; NO_CLASS where none
    log_probabilities: Float[np.ndarray, "n k"]  # of those classes; −inf under NO_CLASS
    complete: bool  # whether all classes are known
    speakers: np.ndarray[Any, Any] | None = None  # (n,) text; None, as what follows, in outputs of earlier versions
    speaker_roles: np.ndarray[Any, Any] | None = None  # (n,) text, of `speaker_roles`
    num_samples: Labels | None = None
    levels_db: Vector | None = None  # root mean square, of full scale
    groups: np.ndarray[Any, Any] | None = None  # (n,) text: values of the forgotten attribute; None if there is none
    references: np.ndarray[Any, Any] | None = None  # (n,) transcripts; None for a classifier, as what follows
    hypotheses: np.ndarray[Any, Any] | None = None  # (n,) what greedy decoding found
    attributes: np.ndarray[Any, Any] | None = None  # (n,) of dictionaries of text, such as {"accent": "en-us"}

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_distributions(self) -> bool:
        """Whether probabilities of classes are known."""
        return self.hypotheses is None

    def where(self, keep: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> Outputs:
        """Select the utterances at these places, in this order."""
        whole = ("complete",)
        return replace(self, **{k: v[keep] for k, v in vars(self).items() if k not in whole and v is not None})

    def without_canaries(self) -> Outputs:
        """Leave out recordings of canaries, from members and non-members alike, as attacks on membership do.

        A corpus repeats them and draws them from few templates: they are members of another kind than other sentences,
        recordings of one of them depend on each other, and exposure tests them.
        """
        if self.attributes is None:
            return self
        return self.where(np.array([not about.get(CANARY) for about in self.attributes], dtype=bool))

    def part(self, *names: str) -> Outputs:
        """Select the utterances of these parts."""
        return self.where(np.isin(self.parts, names))

    def at(self, utterance_ids: np.ndarray[Any, Any]) -> Outputs:
        """Select the utterances with these ids, in this order; every id must exist."""
        place = {name: number for number, name in enumerate(self.utterance_ids)}
        return self.where(np.array([place[name] for name in utterance_ids], dtype=np.int64))


def parse_outputs(table: pa.Table) -> Outputs:
    """Read outputs from the table in `outputs/<trial_id>.parquet`.

    Above 64 classes only the label's logit, logsumexp, entropy and the five largest logits are stored: log(1 − p_y) is
    then taken from p_y, and is exact to about 1e-15 of probability. Those of a recognizer have `loss` (nats),
    `reference` and `hypothesis`, and text attributes of the recordings as `attribute_NAME`.
    """
    plain = {name: table[name].to_numpy(zero_copy_only=False) for name in ("utterance_id", "part")}
    labels, true_labels = (table[name].to_numpy().astype(np.int64) for name in ("label", "true_label"))
    if "hypothesis" in table.column_names:
        found = _of_transcripts(table)
    else:
        found = _known(_logits(table), labels) if "logits" in table.column_names else _of_summary(table, labels)
    return Outputs(
        utterance_ids=plain["utterance_id"].astype(str),
        parts=plain["part"].astype(str),
        labels=labels,
        true_labels=true_labels,
        **found,
        **_about(table),
    )


def _about(table: pa.Table) -> dict[str, Any]:
    """Return what is known of the recordings themselves; nothing in outputs of earlier versions."""
    if "speaker" not in table.column_names:
        return {}
    return {
        "speakers": table["speaker"].to_numpy(zero_copy_only=False).astype(str),
        "speaker_roles": table["speaker_role"].to_numpy(zero_copy_only=False).astype(str),
        "num_samples": table["num_samples"].to_numpy().astype(np.int64),
        "levels_db": table["level_db"].to_numpy().astype(np.float64),
        "groups": table["group"].to_numpy(zero_copy_only=False).astype(str) if "group" in table.column_names else None,
    }


def _logits(table: pa.Table) -> Float[np.ndarray, "n classes"]:
    values = table["logits"].combine_chunks().values.to_numpy(zero_copy_only=False)
    wide: Float[np.ndarray, "n classes"] = values.reshape(len(table), -1).astype(np.float64)
    return wide


def _known(logits: Float[np.ndarray, "n classes"], labels: Labels) -> dict[str, Any]:
    normaliser = logsumexp(logits, axis=1)
    log_p = logits - normaliser[:, None]
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    p = np.exp(log_p)
    return {
        "label_log_probability": log_p[rows, labels],
        "others_log_probability": logsumexp(others, axis=1) - normaliser,
        "entropy": -np.sum(np.where(p > 0, p * np.where(p > 0, log_p, 0.0), 0.0), axis=1),
        "classes": np.broadcast_to(np.arange(logits.shape[1]), logits.shape),
        "log_probabilities": log_p,
        "complete": True,
    }


def _of_summary(table: pa.Table, labels: Labels) -> dict[str, Any]:
    normaliser = table["logsumexp"].to_numpy()
    top, logits = (np.stack(table[name].to_numpy(zero_copy_only=False)) for name in ("top_classes", "top_logits"))
    label_log_p = np.minimum(table["label_logit"].to_numpy() - normaliser, -1e-16)
    among = (top == labels[:, None]).any(axis=1)
    return {
        "label_log_probability": label_log_p,
        "others_log_probability": np.log(-np.expm1(label_log_p)),
        "entropy": table["entropy"].to_numpy(),
        "classes": np.column_stack([top, np.where(among, NO_CLASS, labels)]),
        "log_probabilities": np.column_stack([logits - normaliser[:, None], np.where(among, -np.inf, label_log_p)]),
        "complete": False,
    }


def _of_transcripts(table: pa.Table) -> dict[str, Any]:
    n = len(table)
    texts = {name: table[name].to_numpy(zero_copy_only=False).astype(str) for name in ("reference", "hypothesis")}
    named = {name.removeprefix(ATTRIBUTE): table[name] for name in table.column_names if name.startswith(ATTRIBUTE)}
    columns = [column.to_pylist() for column in named.values()]
    about = [dict(zip(named, values, strict=True)) for values in zip(*columns, strict=True)] or [{} for _ in range(n)]
    attributes = np.empty(n, dtype=object)
    attributes[:] = about
    return {
        "label_log_probability": -table["loss"].to_numpy().astype(np.float64),
        "others_log_probability": np.full(n, np.nan),
        "entropy": np.full(n, np.nan),
        "classes": np.full((n, 1), NO_CLASS),
        "log_probabilities": np.full((n, 1), -np.inf),
        "complete": False,
        "references": texts["reference"],
        "hypotheses": texts["hypothesis"],
        "attributes": attributes,
    }
