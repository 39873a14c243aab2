"""Outputs of the models on D_f and unheard recordings, with pseudonyms for names: what `unlearn verify` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from methods.engine.answers import CLASSES
from orchestrator.forget.comparing import Sides
from orchestrator.forget.kinds import KINDS
from orchestrator.forget.pseudonyms import Pseudonyms

PARTS = ("forget", "unheard")
MOST_GROUPS = 4  # of a recognizer's recordings, which `label` numbers as `Case.groups` has them


def write_outputs(path: Path, sides: Sides, pseudonyms: Pseudonyms) -> None:
    """Write one row a recording: pseudonyms of recording and speaker, part, label, and each model's logits.

    The file is its owner's alone (mode 600).
    """
    labels = np.concatenate([sides.forget_labels, sides.unheard_labels])
    ids = [pseudonyms.of("recording", str(name)) for name in (*sides.forget_ids, *sides.unheard_ids)]
    speakers = [
        pseudonyms.of("speaker", str(name)) if name else ""
        for name in (*sides.forget_speakers, *sides.unheard_speakers)
    ]
    shown = np.concatenate([sides.relearned_on, np.zeros(len(sides.unheard_ids), dtype=bool)])
    columns: dict[str, Any] = {
        "recording": ids,
        "speaker": speakers,
        "part": np.repeat(PARTS, [len(sides.forget_ids), len(sides.unheard_ids)]),
        "label": labels,
        "relearned_on": shown,
    }
    for model, both in sides.logits.items():
        logits = np.concatenate(both)
        columns[model] = pa.FixedSizeListArray.from_arrays(pa.array(logits.reshape(-1)), logits.shape[1])
    table = pa.table(columns)
    forgotten = "" if sides.forgotten_class is None else str(sides.forgotten_class)
    about = {"forgotten_class": forgotten, "target": sides.target, "unfair": sides.unfair}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # before there is anything to read in it
    pq.write_table(table.replace_schema_metadata(about), path, compression="zstd")


def read_outputs(path: Path) -> Sides:
    """Read what `write_outputs` wrote.

    Raises:
        ValueError: the file cannot be read, or is none that `write_outputs` wrote.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read ({str(error).splitlines()[0]}): restore it from a copy") from None
    try:
        return _sides(table)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} holds no outputs of `unlearn forget` ({error}): restore it from a copy") from None


def _sides(table: pa.Table) -> Sides:
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    forgotten, target = about["forgotten_class"], about.get("target", CLASSES)
    if target not in KINDS:
        raise KeyError(target)
    parts = table["part"].to_numpy(zero_copy_only=False).astype(str)
    at = [np.flatnonzero(parts == part) for part in PARTS]
    plain = {
        name: table[name].to_numpy(zero_copy_only=False) for name in ("recording", "speaker", "label", "relearned_on")
    }
    models = [name for name in table.column_names if name not in (*plain, "part")]
    if not len(table) or not np.isin(parts, PARTS).all() or not all(len(rows) for rows in at):
        raise ValueError(f"part is not {' and '.join(PARTS)}")
    if not {"original", "child"} <= set(models):
        raise KeyError("original, child")
    logits = {name: np.stack(table[name].to_numpy(zero_copy_only=False)) for name in models}
    classes = logits["original"].shape[1] if target == CLASSES else MOST_GROUPS
    _require_usable(plain, logits, int(forgotten or 0), classes)
    return Sides(
        forget_ids=plain["recording"][at[0]].astype(str),
        unheard_ids=plain["recording"][at[1]].astype(str),
        forget_labels=plain["label"][at[0]],
        unheard_labels=plain["label"][at[1]],
        forget_speakers=plain["speaker"][at[0]].astype(str),
        unheard_speakers=plain["speaker"][at[1]].astype(str),
        logits={name: (values[at[0]], values[at[1]]) for name, values in logits.items()},
        relearned_on=plain["relearned_on"][at[0]].astype(bool),
        forgotten_class=int(forgotten) if forgotten else None,
        target=target,
        unfair=about.get("unfair", ""),
    )


def _require_usable(plain: dict[str, Any], logits: dict[str, Any], forgotten: int, classes: int) -> None:
    """Check all that the comparisons take for granted.

    Raises:
        ValueError: logits are no finite numbers of equal width, or a label is none of their classes.
    """
    for name, values in logits.items():
        if values.ndim != 2 or values.shape != logits["original"].shape or not np.issubdtype(values.dtype, np.floating):
            raise ValueError(f"{name} has no row of numbers for each class")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has numbers that are not finite")
    labels = plain["label"]
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or max(labels.max(), forgotten) >= classes:
        raise ValueError(f"label is none of {classes} classes")
    if forgotten < 0 or plain["relearned_on"].dtype != bool:
        raise ValueError("forgotten_class or relearned_on is none")
    for name in ("recording", "speaker"):
        if not all(isinstance(value, str) for value in plain[name]):
            raise ValueError(f"{name} is no text")
