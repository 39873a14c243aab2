"""Recognizers too weak to say anything about forgetting: their rows are not reported, and the page says why."""

from __future__ import annotations

import pandas as pd

LARGEST_WER = 0.25  # of an original on D_t that is reported, in rows that do not name their backbone's

SAME_ORIGINAL = ("task", "backbone", "training", "original_seed", "original_settings", "corpus_fingerprint")
"""What rows have in common whose original is the same."""


def without_weak_recognizers(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows whose original is good enough, and a sentence for each task and backbone that lost some.

    What forgetting does to a model that transcribes little cannot be seen. How little is a property of the backbone
    (`largest_wer`). Rows of classifiers, and those without a finished original, all stay.

    Args:
        rows: as `select.prepare` returns them.
    """
    trained = rows[rows["stage"] == "train"].set_index("trial_id")["test_wer"]
    own = rows["trial_id"].where(rows["stage"] == "train", rows["parent_original"])
    wer = own.map(trained.to_dict()).astype("float64")  # text, where there are no rows
    wer = wer.fillna(wer.groupby([rows[name] for name in SAME_ORIGINAL]).transform("max"))  # Retrain names no original
    largest = rows["largest_wer"].fillna(LARGEST_WER)
    weak = wer > largest
    said = [
        f"Not reported: {len(of)} runs on {task} with {backbone}, whose original has a WER of "
        f"{100 * wer[of.index].max():.1f} % on D_t; this backbone is reported up to "
        f"{100 * largest[of.index].min():.0f} %. Train it for more epochs, on more "
        "utterances, or use a larger backbone."
        for (task, backbone), of in rows[weak].groupby(["task", "backbone"])
    ]
    return rows[~weak].reset_index(drop=True), tuple(said)
