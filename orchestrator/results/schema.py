"""The columns of a row, each with its type, unit and meaning.

`SCHEMA` and the tables of docs/results.md derive from this list (`column_table.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

TEXT, INTEGER, NUMBER, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

# Topics: the headings of docs/results.md.
TRIAL, REQUEST, OUTCOME = "Trial", "Forget request", "Outcome"
SIZES, MEASURES, ATTACKS = "Sizes", "Accuracy and loss", "Membership inference"
RECOGNITION = "Recognition"
COST, SEARCH, ORIGIN = "Time, memory and budget", "Search", "Provenance"
TOPICS = (TRIAL, REQUEST, OUTCOME, SIZES, MEASURES, RECOGNITION, ATTACKS, COST, SEARCH, ORIGIN)


@dataclass(frozen=True)
class Column:
    """A column of a row."""

    name: str
    type: pa.DataType
    topic: str
    meaning: str  # in Markdown; links are relative to docs/
    unit: str = ""


SETS = {
    "forget": "D_f",
    "retain": "D_r",
    "test": "D_t",
    "validation": "D_v",
    "holdout": "the holdout set",
}

EDIT_COUNTS = {
    "words": "words of the transcripts of",
    "word_substitutions": "words of another spelling in the outputs for",
    "word_deletions": "words that are missing in the outputs for",
    "word_insertions": "words too many in the outputs for",
    "characters": "characters, with spaces, of the transcripts of",
    "character_edits": "substitutions, deletions and insertions of characters in the outputs for",
    "empty_outputs": "utterances with an empty output in",
    "looping_outputs": "utterances in whose output a phrase is repeated ([rule](evidence.md#recognizers)) in",
}
"""What is counted of a recognizer's outputs on a set; rates are quotients of sums of these."""
ERROR_RATES = {"wer": "word error rate on", "cer": "character error rate on"}

# The order is that of stored files, grouped by type: append a column to the end of its type's group.
COLUMNS = (
    Column("trial_id", TEXT, TRIAL, "id of the trial"),
    Column("sweep", TEXT, TRIAL, "sweep that ran it first; [`sweeps`](#sweeps-of-a-folder) has all of them"),
    Column("stage", TEXT, TRIAL, "`train`, `study`, `retrain`, `unlearn` or `tune`"),
    Column("task", TEXT, TRIAL, "name of the task, or its `as:`"),
    Column("task_kind", TEXT, TRIAL, "`keywords`, `speakers` or `transcripts`"),
    Column("backbone", TEXT, TRIAL, "name of the backbone, or its `as:`"),
    Column("method", TEXT, TRIAL, "name of the method; `original` for trainings"),
    Column("method_label", TEXT, TRIAL, "title of the method in tables"),
    Column("superloss", TEXT, TRIAL, "settings of SuperLoss as JSON, or empty"),
    Column("curriculum", TEXT, TRIAL, "settings of the curriculum as JSON, or empty"),
    Column("lora", TEXT, TRIAL, "settings of LoRA as JSON, or empty"),
    Column("training", TEXT, TRIAL, "title of the training of its original; `standard` by default"),
    Column("settings", TEXT, TRIAL, "settings of the method, or of the training of an original, as JSON"),
    Column("unlearning", TEXT, REQUEST, "kind of scenario; `none` for originals"),
    Column("forget_rule", TEXT, REQUEST, "rule of `sample`, request of `attribute`; `random` for the other kinds"),
    Column("forget_classes", TEXT, REQUEST, "forgotten classes"),
    Column("requests_before", TEXT, REQUEST, "what was forgotten before, in order, as JSON; empty for a first request"),
    Column(
        "sequence",
        TEXT,
        REQUEST,
        "name of the sequence, as the sweep that ran the trial planned it; empty for a request that was not in a "
        "sequence when it ran",
    ),
    Column("status", TEXT, OUTCOME, "see [status](#status)"),
    Column("stop_reason", TEXT, OUTCOME, "`finished`, `budget`, `diverged`, `pruned`, `hang` or `error`"),
    Column("note", TEXT, OUTCOME, "an explanation, such as a budget that ended before the first change"),
    Column("error", TEXT, OUTCOME, "traceback"),
    Column(
        "lock",
        TEXT,
        SEARCH,
        "rule by which the settings were chosen, with the corpus if the search used other recordings; empty if the "
        "sweep gave them",
    ),
    Column("mia_reference", TEXT, ATTACKS, "which utterances are the non-members: `holdout`, or `test`"),
    Column(
        "budget_source",
        TEXT,
        COST,
        "`retrain schedule`, `retrain seconds` or `original seconds` (with the device, if it differs), or `none`",
    ),
    Column("study_id", TEXT, SEARCH, "id of the search"),
    Column("objective_rule", TEXT, SEARCH, "what the search minimizes"),
    Column("device", TEXT, ORIGIN, "kind of GPU, or processor"),
    Column("git_commit", TEXT, ORIGIN, "commit of the checkout; ends in `-dirty` if the checkout had changes"),
    Column("package_version", TEXT, ORIGIN, "version of this package"),
    Column("torch_version", TEXT, ORIGIN, "version of torch"),
    Column("hardware", TEXT, ORIGIN, "kind of processor"),
    Column("parent_original", TEXT, TRIAL, "id of the original that it starts from"),
    Column("parent_retrain", TEXT, TRIAL, "id of the Retrain trial that it is compared with"),
    Column("parent_step", TEXT, TRIAL, "id of the trial of the previous request of a sequence, which it starts from"),
    Column(
        "recipe",
        TEXT,
        ORIGIN,
        "what the id hashes, as JSON; `unlearn plan SWEEP --results DIR --explain ID` compares with it",
    ),
    Column("original_settings", TEXT, TRIAL, "how its original was trained, as JSON"),
    Column("backbone_content", TEXT, ORIGIN, "identity of the pretrained weights"),
    Column("corpus_fingerprint", TEXT, ORIGIN, "identity of the data"),
    Column(
        "driver_token",
        TEXT,
        ORIGIN,
        "the driver that the trial ran for, an entry of `drivers.json`; identifies rows of a driver that had lost the "
        "folder",
    ),
    Column("started_at", TEXT, ORIGIN, "start, in UTC"),
    Column("finished_at", TEXT, ORIGIN, "end, in UTC"),
    Column("best_epoch", TEXT, TRIAL, "settings of the choice of the epoch as JSON; empty: the last. `note` names it"),
    Column("tuned_settings", TEXT, SEARCH, "settings that a search chose, as a JSON list; empty if there are none"),
    Column("forget_attribute", TEXT, REQUEST, "forgotten attribute with its value, of attribute unlearning"),
    Column("seed", INTEGER, TRIAL, "seed of the trial"),
    Column("original_seed", INTEGER, TRIAL, "seed of its original"),
    Column("steps", INTEGER, COST, "optimizer steps"),
    Column(
        "peak_memory_bytes",
        INTEGER,
        COST,
        "the trial's own peak, from building its model on: of tensors on the GPU, or of the process's private memory "
        "without mapped features and without what was allocated before (Linux; elsewhere the process's peak since it "
        "started)",
        "bytes",
    ),
    Column(
        "micro_batch",
        INTEGER,
        COST,
        "utterances that went through the model at once, if fewer than a batch (on a processor, or because memory was "
        "short); otherwise empty",
    ),
    Column("num_train", INTEGER, SIZES, "utterances in D"),
    Column("num_forget", INTEGER, SIZES, "utterances in D_f"),
    Column("num_retain", INTEGER, SIZES, "utterances in D_r"),
    Column("num_test", INTEGER, SIZES, "utterances in D_t"),
    Column("num_validation", INTEGER, SIZES, "utterances in D_v"),
    Column("num_holdout", INTEGER, SIZES, "utterances in the holdout set"),
    Column("num_classes", INTEGER, SIZES, "C"),
    Column("parameters", INTEGER, SIZES, "number of weights that are trained"),
    Column("study_trial", INTEGER, SEARCH, "number of the trial in its search"),
    Column("sequence_step", INTEGER, REQUEST, "which request of the sequence this is, from 1"),
    Column("sequence_steps", INTEGER, REQUEST, "how many requests the sequence has"),
    Column("num_forgotten_before", INTEGER, REQUEST, "utterances that earlier requests forgot"),
    Column("threads", INTEGER, ORIGIN, "CPU threads"),
    Column("num_unknown", INTEGER, SIZES, "wrong labels of D that were not known, and stay in D_r"),
    Column(
        "epochs_ended",
        INTEGER,
        COST,
        "epochs of its passes that ended; 0 with `stop_reason` `budget`: the budget did not allow one pass",
    ),
    Column(
        "num_triggered",
        INTEGER,
        SIZES,
        "test utterances with the trigger of a poisoned task, of other classes than its target",
    ),
    Column("num_test_attribute", INTEGER, SIZES, "utterances of D_t that have the forgotten attribute"),
    *(
        Column(f"{name}_{count}", INTEGER, RECOGNITION, f"{meaning} {of}; of recognizers")
        for name, of in SETS.items()
        for count, meaning in EDIT_COUNTS.items()
    ),
    *(
        Column(f"{name}_{measure}", NUMBER, MEASURES, f"{title} on {of}, against the labels used in training", unit)
        for name, of in SETS.items()
        for measure, title, unit in (
            ("accuracy", "accuracy", "0–1"),
            ("macro_f1", "macro-averaged F1", "0–1"),
            ("loss", "mean loss", "nats"),
        )
    ),
    Column("forget_ratio", NUMBER, REQUEST, "share of D that is forgotten, as realized", "0–1"),
    Column("requested_forget_ratio", NUMBER, REQUEST, "share of D to forget, as the sweep gives it", "0–1"),
    Column(
        "forget_true_label_accuracy", NUMBER, MEASURES, "accuracy on D_f against the labels before label noise", "0–1"
    ),
    Column("forgotten_before_accuracy", NUMBER, REQUEST, "accuracy on what earlier requests forgot", "0–1"),
    *(
        Column(
            f"{name}_accuracy_{which}_classes",
            NUMBER,
            MEASURES,
            f"accuracy on the utterances of {SETS[name]} whose class was {which}; of class unlearning",
            "0–1",
        )
        for name in ("test", "validation")
        for which in ("kept", "forgotten")
    ),
    Column(
        "test_largest_prediction_share",
        NUMBER,
        MEASURES,
        "share of the predictions on class-balanced D_t that one class takes: 1 for a constant predictor",
        "0–1",
    ),
    Column(
        "mia_nonmember",
        NUMBER,
        ATTACKS,
        "share of D_f that an SVC on the label's confidence calls non-members (SalUn's attack); Retrain's is the "
        "target",
        "0–1",
    ),
    Column(
        "mia_auc",
        NUMBER,
        ATTACKS,
        "AUC of logistic regression on the loss, D_f against non-members of the same classes, cross-validated",
        "0–1",
    ),
    Column("mia_accuracy", NUMBER, ATTACKS, "accuracy of the same attack", "0–1"),
    Column("chance_accuracy", NUMBER, MEASURES, "1 / C", "0–1"),
    Column(
        "constant_predictor_accuracy",
        NUMBER,
        MEASURES,
        "accuracy on D_t of always predicting D's most frequent class",
        "0–1",
    ),
    Column("optimization_seconds", NUMBER, COST, "charged time", "s"),
    Column("setup_seconds", NUMBER, COST, "not charged: opening corpus, features and weights", "s"),
    Column(
        "preparation_seconds",
        NUMBER,
        COST,
        "of an original, not charged: what its training spent on things kept for later unlearning. In older rows, what "
        "is now `setup_seconds`; they are read accordingly",
        "s",
    ),
    Column("evaluation_seconds", NUMBER, COST, "not charged: evaluation", "s"),
    Column("total_seconds", NUMBER, COST, "wall clock of the whole trial", "s"),
    Column("budget_seconds", NUMBER, COST, "the limit, if it is in seconds", "s"),
    Column("budget_samples", NUMBER, COST, "the limit, if it is in samples", "samples"),
    Column("budget_fraction", NUMBER, COST, "the limit as a share of Retrain's cost, as the sweep gives it"),
    Column("budget_used", NUMBER, COST, "share of the limit that was used"),
    Column("samples", NUMBER, COST, "charged samples", "samples"),
    Column("objective", NUMBER, SEARCH, "its value of what the search minimizes"),
    Column("known_share", NUMBER, REQUEST, "share of the wrong labels that is known; empty if all are", "0–1"),
    Column(
        "unknown_accuracy",
        NUMBER,
        MEASURES,
        "accuracy on the wrong labels that were not known, against the labels used in training",
        "0–1",
    ),
    Column(
        "unknown_true_label_accuracy",
        NUMBER,
        MEASURES,
        "accuracy on the same utterances against the labels before label noise",
        "0–1",
    ),
    *(
        Column(f"{name}_{rate}", NUMBER, RECOGNITION, f"{meaning} {of}; of recognizers", "0–1, or more")
        for name, of in SETS.items()
        for rate, meaning in ERROR_RATES.items()
    ),
    Column("attack_success", NUMBER, MEASURES, "share of these that are classified as the target", "0–1"),
    Column("triggered_accuracy", NUMBER, MEASURES, "share of these that are classified as they should be", "0–1"),
    Column("test_accuracy_attribute", NUMBER, MEASURES, "accuracy on D_t with the forgotten attribute", "0–1"),
    Column("test_accuracy_others", NUMBER, MEASURES, "accuracy on D_t with another value of it", "0–1"),
    Column("test_group_gap", NUMBER, MEASURES, "largest minus smallest accuracy of a group on D_t (10 or more)", "0–1"),
    Column("largest_wer", NUMBER, RECOGNITION, "largest WER on D_t of a reported original; empty: 0.25", "0–1"),
    Column(
        "collapsed",
        FLAG,
        OUTCOME,
        "whether one class takes more than 90 % of predictions on class-balanced D_v; of recognizers, whether one "
        "output, such as none at all, is that of more than 90 % of D_v",
    ),
    Column(
        "unchanged",
        FLAG,
        OUTCOME,
        "whether every weight equals the parent's, to within 1e-7 of the largest in its tensor, so that the method did "
        "nothing; null for originals, Retrain and unfinished runs",
    ),
    Column("tuning", FLAG, SEARCH, "whether the trial belongs to a search"),
)

SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])
