"""Notes under a block of a table: whether there is anything to forget, the best method, and the baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import Summary, summarize, unit_name, with_spread
from orchestrator.report.tables.columns import GAP, WORD_ERRORS, quality_of
from orchestrator.report.tables.comparisons import apart_sentence
from orchestrator.report.tables.model import Block, Line, contenders, equal_to_original
from orchestrator.report.tables.significance import (
    Verdict,
    original_minus_retrain,
    seeds_sentence,
    verdict,
    within_seeds,
)

CONCLUSIONS: dict[Verdict, str] = {
    "above": ": there is something to forget",
    "below": ": Retrain {verb} D_f better than Original does; look at how both were trained",
    "noise": ": this is within noise, so {name} on D_f cannot tell forgetting from doing nothing",
    "unknown": "; too few to say whether there is anything to forget",
}


@dataclass(frozen=True)
class Note:
    """Text under a block, and what it is about."""

    kind: Literal["training", "forgettable", "best", "settings", "no retrain"]
    text: str  # sentences without markup


def block_notes(block: Block) -> list[Note]:
    """Return the notes of a block that have something to say, in the order in which they are shown."""
    found = [
        Note("training", block.against_standard),
        Note("forgettable", _anything_to_forget(block)),
        Note("best", _best(block)),
        Note("settings", _several_settings(block)),
        Note("no retrain", _without_retrain(block.rows)),
    ]
    return [note for note in found if note.text]


def _best(block: Block) -> str:
    methods = [line for line in block.lines if line.method not in REFERENCES]
    running = contenders(block.lines)
    best = [line for line in block.lines if line.best]
    left_out = "; ".join(f"{line.label} ({_why_not(line)})" for line in methods if line not in running)
    if not best:
        tied = ", ".join(line.label for line in equal_to_original(block.lines, running))
        text = f"No method is closest to Retrain: {tied} and Original have the same gap. " if tied else ""
        text += "" if tied or not left_out else "No method is called best. "
        return (text + (f"Not compared: {left_out}." if left_out else "")).strip()
    gap = best[0].summaries[GAP.column]
    labels = ", ".join(line.label for line in best)
    text = f"Closest to Retrain: {labels}, mean gap {with_spread(gap)} points{' each' if len(best) > 1 else ''}"
    text += f" (n = {gap.n} {unit_name(block.over, gap.n)})."
    text += f" {compared}" if (compared := apart_sentence(block)) else ""
    return text + (f" Not compared: {left_out}." if left_out else "")


def _why_not(line: Line) -> str:
    if line.coverage.complete:
        return "no gap to Retrain for all runs"
    return line.lost_text or f"{line.coverage.seeds_text} seeds done"


def gap_difference(block: Block, line: Line, other: Line) -> Summary:
    """Subtract another line's gap, paired by seed or backbone, in points."""
    mine, theirs = (block.means.units(one.variant, block.over)[GAP.column] for one in (line, other))
    return summarize((mine - theirs).round(DECIMALS))


def baselines(rows: pd.DataFrame) -> str:
    """Name chance and the accuracy of a model that always gives the same answer; empty if rows have neither.

    Of recognizers, the WER of a model without output.
    """
    if quality_of(rows) is WORD_ERRORS:
        return "Baseline on D_t: no output at all has a WER of 100 %."
    chance = _span(rows["chance_accuracy"])
    constant = _span(rows["constant_predictor_accuracy"])
    known = [f"chance {chance}"] if chance else []
    known += [f"always answering the most frequent class of D {constant}"] if constant else []
    return f"Baselines on D_t: {', '.join(known)}." if known else ""


def _span(values: pd.Series) -> str:  # type: ignore[type-arg]
    shown = sorted({f"{100 * value:.1f}" for value in values.dropna()}, key=float)
    return f"{shown[0]}–{shown[-1]} %" if len(shown) > 1 else f"{shown[0]} %" if shown else ""


def _anything_to_forget(block: Block) -> str:
    """Say by how much Original and Retrain differ on D_f: if they do not, accuracy there cannot show forgetting."""
    found = original_minus_retrain(block)
    if not found.n:
        return ""
    quality = quality_of(block.rows)
    text = f"{quality.difference}: {with_spread(found)} points (n = {found.n} {unit_name(block.over, found.n)})"
    if counted := seeds_sentence(within_seeds(block)):
        text += f"; {counted}"
    return f"{text}{CONCLUSIONS[verdict(block)].format(verb=quality.verb, name=quality.name)}."


def _several_settings(block: Block) -> str:
    methods = [(line.method, line.superloss) for line in block.lines if line.method not in REFERENCES]
    if len(set(methods)) == len(methods):
        return ""
    return "Some methods have several settings here: the best of these was picked on the runs that it is reported on."


def _without_retrain(rows: pd.DataFrame) -> str:
    done = rows[(rows["status"] == "done") & (rows["method"] != "retrain")]
    missing = int((~done["has_retrain"]).sum())
    return f"{missing} of {len(done)} runs have no finished Retrain on their forget set, so no gap." if missing else ""
