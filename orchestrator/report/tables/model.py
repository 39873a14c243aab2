"""The paper's tables as values: blocks of lines with their means, for renderers to print."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.sequences import RequestSequence, is_later_request, sequences
from orchestrator.report.frames.summary import BlockMeans, Coverage, Summary, Unit, summarize
from orchestrator.report.frames.training_cost import STANDARD, against_standard
from orchestrator.report.frames.tuned import title_note
from orchestrator.report.tables.columns import GAP, SECONDS, Measure, quality_of

KIND_TITLES = {
    "sample": "Sample Unlearning",
    "class": "Class Unlearning",
    "speaker": "Speaker Unlearning",
    "mislabeled": "Unlearning of mislabeled utterances",
    "poisoned": "Unlearning of poisoned utterances",
    "ids": "Unlearning of listed utterances",
    "attribute": "Attribute Unlearning",
    "entity": "Entity Unlearning",
    "canary": "Canary Unlearning",
}
IN_MEANS = ("collapsed", "unchanged")
"""Flags of runs that finished, and so are in the means."""
FLAGS = ("diverged", "failed", "blocked", "pruned", *IN_MEANS)


@dataclass(frozen=True)
class Line:
    """One row of a table."""

    variant: str  # its key in the rows
    label: str
    method: str
    superloss: bool
    summaries: dict[str, Summary]  # by column of the rows, in the rows' units
    units: int  # how many seeds or backbones its means are over
    coverage: Coverage
    flags: dict[str, int]  # runs by what went wrong with them
    best: bool = False  # its gap is the smallest, alone or with others

    @property
    def gap(self) -> float:
        """Mean gap to Retrain in points, rounded so that ties are ties; NaN where there is none."""
        return round(self.summaries[GAP.column].mean, DECIMALS)

    def has(self, measure: Measure) -> bool:
        """Return whether any of its runs has this measure."""
        return self.summaries[measure.column].n > 0

    @property
    def flags_text(self) -> str:
        """`1 diverged, 2 collapsed`."""
        return ", ".join(f"{number} {flag}" for flag, number in self.flags.items() if number)

    @property
    def lost_text(self) -> str:
        """The same of runs that did not finish."""
        return ", ".join(f"{n} {flag}" for flag, n in self.flags.items() if n and flag not in IN_MEANS)


@dataclass(frozen=True)
class Block:
    """Lines that share their forget sets, and so may be compared with each other."""

    kind: str  # sample, class, ...
    title: str
    training: str  # title of the kind of training of its originals
    against_standard: str  # what that kind costs, in a sentence; empty for standard training
    over: Unit
    lines: tuple[Line, ...]
    means: BlockMeans
    rows: pd.DataFrame
    request: int = 0  # its number in a sequence; 0 outside


@dataclass(frozen=True)
class Table:
    """One table of the report."""

    name: str  # of its files, without their ending
    title: str
    task: str
    backbones: tuple[str, ...]
    columns: tuple[Measure, ...]
    blocks: tuple[Block, ...]
    rows: pd.DataFrame
    sequence: str = ""  # whose requests the blocks are, in their order
    by_ratio: bool = False  # a block a forget ratio


def build_tables(rows: pd.DataFrame, planned_seeds: Mapping[str, Collection[int]] | None = None) -> list[Table]:
    """Build all tables by task: averaged over backbones, for each backbone, sample unlearning by ratio, and sequences.

    A table that would repeat the first (one backbone, one ratio), or whose runs are all first requests of sequences, is
    left out.

    Args:
        rows: of `gaps.with_gaps`, as `select.reported` returns them.
        planned_seeds: by task, seeds that are expected even if no row has them yet.
    """
    tables = []
    for task, of_task in rows.groupby("task"):
        seeds = (planned_seeds or {}).get(str(task), ())
        in_turn = sequences(of_task)
        alone = of_task[~is_later_request(of_task)]
        if not set(alone["trial_id"]) <= {trial_id for one in in_turn for trial_id in one.rows["trial_id"]}:
            tables += _tables(str(task), alone, seeds)
        for one in in_turn:
            name = (str(task), "sequence", one.name)
            tables += _over_and_of_backbones(name, f"{task}, sequence {one.name}", one.rows, seeds, one)
    return tables


def _tables(task: str, rows: pd.DataFrame, seeds: Collection[int]) -> list[Table]:
    """Build the tables of requests outside sequences."""
    tables = _over_and_of_backbones((task,), task, rows, seeds)
    sample = rows[rows["unlearning"] == "sample"]
    if sample["requested_forget_ratio"].nunique() > 1:
        title = f"{task}, sample unlearning by ratio, {_over(rows)}"
        tables.append(_table((task, "sample", "by-ratio"), title, sample, seeds, by_ratio=True))
    return tables


def _over_and_of_backbones(
    name: tuple[str, ...],
    title: str,
    rows: pd.DataFrame,
    seeds: Collection[int],
    sequence: RequestSequence | None = None,
) -> list[Table]:
    """Build a table averaged over backbones, and one for each if there are several."""
    tables = [_table(name, f"{title}, {_over(rows)}", rows, seeds, sequence=sequence)]
    backbones = sorted(rows["backbone"].unique())
    for backbone in backbones if len(backbones) > 1 else ():
        own = rows[rows["backbone"] == backbone]
        tables.append(_table((*name, backbone), f"{title}, {backbone}", own, seeds, sequence=sequence))
    return tables


def _over(rows: pd.DataFrame) -> str:
    return "averaged over backbones" if rows["backbone"].nunique() > 1 else str(rows["backbone"].iloc[0])


def _table(
    name: tuple[str, ...],
    title: str,
    rows: pd.DataFrame,
    planned_seeds: Collection[int],
    *,
    by_ratio: bool = False,
    sequence: RequestSequence | None = None,
) -> Table:
    keys = ["training", "unlearning", "forget_rule", *(["requested_forget_ratio"] if by_ratio else [])]
    order = {kind: place for place, kind in enumerate(KIND_TITLES)}
    found = [part for _, part in rows.groupby(["training", "request"] if sequence else keys, dropna=False)]
    found.sort(
        key=lambda part: (
            part["training"].iloc[0] != STANDARD,
            part["training"].iloc[0],
            0 if sequence else order.get(part["unlearning"].iloc[0], len(order)),
        )
    )
    blocks = tuple(_block(part, planned_seeds, rows, sequence.steps if sequence else 0) for part in found)
    shown = quality_of(rows).shown
    present = {m.column for b in blocks for m in shown if m.applies_to(b.kind) for ln in b.lines if ln.has(m)}
    columns = tuple(m for m in shown if m.column in present or m is GAP)
    columns = tuple(_readable_time(blocks) if m is SECONDS else m for m in columns)
    backbones, of = tuple(sorted(rows["backbone"].unique())), sequence.name if sequence else ""
    title, task = title + title_note(rows), str(rows["task"].iloc[0])
    return Table(file_name(*name), title, task, backbones, columns, blocks, rows, of, by_ratio)


def _rules(rows: pd.DataFrame) -> set[str]:
    return set(rows.loc[rows["unlearning"] == "sample", "forget_rule"])


def _block(rows: pd.DataFrame, planned_seeds: Collection[int], of_table: pd.DataFrame, steps: int) -> Block:
    sample_rules, training = _rules(of_table), str(rows["training"].iloc[0])
    kind, rule = str(rows["unlearning"].iloc[0]), str(rows["forget_rule"].iloc[0])
    means = BlockMeans.of(rows, [m.column for m in quality_of(of_table).tidy], planned_seeds)
    over: Unit = "backbones" if rows["backbone"].nunique() > 1 else "seeds"
    lines = [_line(part, means, over) for _, part in rows.groupby("variant", sort=False)]
    lines.sort(key=lambda ln: int(rows.loc[rows["variant"] == ln.variant, "order"].iloc[0]))
    best = {line.variant for line in best_lines(lines)}
    lines = [replace(ln, best=ln.variant in best) for ln in lines]
    named = rule != "random" or len(sample_rules) > 1 if kind == "sample" else rule not in ("", "random")
    details = [rule] if named else []
    ratios = sorted(rows["requested_forget_ratio"].dropna().unique())
    details.append(
        f"{_percentages(ratios if kind == 'sample' else rows['forget_ratio'], listed=kind == 'sample')} of D"
    )
    lead = [] if training == STANDARD else [training]
    request = int(rows["request"].iloc[0]) if steps else 0
    turn = f", request {request} of {steps}" if steps else ""
    title = f"{KIND_TITLES.get(kind, kind)}{turn} ({'; '.join([*(f'training {t}' for t in lead), *details])})"
    note = against_standard(of_table, training, over)
    return Block(kind, title, training, note, over, tuple(lines), means, rows, request)


def _percentages(ratios: Iterable[float], *, listed: bool) -> str:
    """`1 %, 5 %` where up to four are listed, else `1–10 %`; rounded to a tenth."""
    shown = sorted({round(100 * ratio, 1) for ratio in ratios if not np.isnan(ratio)})
    if not shown:
        return "an unknown share"
    if len(shown) == 1 or (listed and len(shown) <= 4):
        return ", ".join(f"{share:g} %" for share in shown)
    return f"{shown[0]:g}–{shown[-1]:g} %"


def _line(rows: pd.DataFrame, means: BlockMeans, over: Unit) -> Line:
    line, method = str(rows["variant"].iloc[0]), str(rows["method"].iloc[0])
    units = means.units(line, over)
    summaries = {m.column: summarize(units[m.column].to_numpy()) for m in quality_of(rows).tidy}
    if method == "original":
        summaries[SECONDS.column] = summarize([])  # nothing was unlearned, as the paper's "NA" says
    flags = {flag: int((rows["status"] == flag).sum()) for flag in FLAGS}
    done = rows[rows["status"] == "done"]
    flags["collapsed"] = int(done["collapsed"].sum())
    flags["unchanged"] = int(done["unchanged"].sum()) if "unchanged" in rows and method not in REFERENCES else 0
    label, superloss = str(rows["label"].iloc[0]), bool(rows["superloss"].iloc[0])
    return Line(line, label, method, superloss, summaries, len(units), means.coverage(line), flags)


def contenders(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that may be called best: complete, with a gap for as many units as any line has.

    A run that diverged, failed or is missing excludes its line: the mean would be over the easier rest.
    """
    methods = [line for line in lines if line.method not in REFERENCES]
    most = max((line.summaries[GAP.column].n for line in methods), default=0)
    return [line for line in methods if most and line.coverage.complete and line.summaries[GAP.column].n == most]


def best_lines(lines: Sequence[Line]) -> list[Line]:
    """Return the contenders with the smallest mean gap: several if they tie, none if it is Original's gap."""
    running = contenders(lines)
    smallest = min((line.gap for line in running), default=float("nan"))
    best = [line for line in running if line.gap == smallest]
    return [] if equal_to_original(lines, best) else best


def equal_to_original(lines: Sequence[Line], some: Sequence[Line]) -> list[Line]:
    """Return the lines whose mean gap equals that of Original, which forgot nothing, over as many runs."""
    doing_nothing = {(line.gap, line.summaries[GAP.column].n) for line in lines if line.method == "original"}
    return [line for line in some if (line.gap, line.summaries[GAP.column].n) in doing_nothing]


def _readable_time(blocks: Sequence[Block]) -> Measure:
    """Choose seconds, minutes or hours by the longest mean of the table."""
    means = [line.summaries[SECONDS.column].mean for block in blocks for line in block.lines]
    longest = float(np.nanmax(means)) if not np.isnan(means).all() else 0.0
    title, seconds = (
        ("Time (h)", 3600) if longest >= 7200 else ("Time (min)", 60) if longest >= 600 else ("Time (s)", 1)
    )
    return replace(SECONDS, title=title, latex=title, scale=1 / seconds, digits=1 if longest / seconds >= 10 else 2)
