"""Evidence as tables: a line's mean over seeds or backbones, by the rules of the report, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.evidence.roc import FEWEST_PAIRS, Z975
from orchestrator.report.evidence.relative import relative_sanity
from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.summary import NOTHING, BlockMeans, Summary, summarize, with_spread
from orchestrator.report.frames.tuned import mixture
from orchestrator.report.tables.columns import quality_of
from orchestrator.report.tables.markdown import escape, grid_markdown
from orchestrator.report.tables.model import Block, Line, Table
from orchestrator.report.tables.significance import headline, is_within_noise


@dataclass(frozen=True)
class Column:
    """One column of an evidence table."""

    name: str  # of the rows' column
    title: str
    digits: int = 3
    scale: float = 1.0
    interval: str = ""  # prefix of `…_low` and `…_high`: of one trial's own interval, shown where there is one value
    against_retrain: bool = False  # Retrain is what it measures from, so it has none of its own
    counts: bool = False  # it says how much was measured, and nothing of forgetting
    pairs: str = ""  # the column that counts the pairs of a member and a non-member that it is measured on


TOO_FEW = "too few"


def _attack(name: str, title: str) -> Column:
    return Column(f"{name}_auc", title, interval=name, pairs="attack_pairs")


ATTACK_COLUMNS = (
    _attack("loss", "loss"), _attack("entropy", "entropy"), _attack("modified_entropy", "modified entropy"),
    Column("mia_auc", "regression on the loss", pairs="attack_pairs"), _attack("rmia", "RMIA"),
    Column("ulira_auc", "U-LiRA", interval="ulira", pairs="ulira_utterances"),
    Column("attack_pairs", "pairs", 0, counts=True),
)  # fmt: skip
GROUPS = {
    "Membership attacks on D_f, AUC": ATTACK_COLUMNS,
    "Share of D_f found, and called non-member, in %": (
        Column("loss_tpr_at_1_percent", "loss, FPR 1 %", 1, 100, pairs="attack_pairs"),
        Column("rmia_tpr_at_1_percent", "RMIA, FPR 1 %", 1, 100, pairs="attack_pairs"),
        Column("loss_tpr_at_0.1_percent", "loss, FPR 0.1 %", 1, 100, pairs="attack_pairs"),
        Column("rmia_tpr_at_0.1_percent", "RMIA, FPR 0.1 %", 1, 100, pairs="attack_pairs"),
        Column("mia_nonmember", "SVC: non-member", 1, 100),
    ),
    "Distance to Retrain on D_f, and one number for all": (
        Column("js_retrain", "JS (nats)", 4, against_retrain=True), Column("ks_retrain", "KS", against_retrain=True),
        Column("js_retrain_test", "JS on D_t", 4, against_retrain=True),
        Column("streisand_wasserstein", "confidence W1", against_retrain=True),
        Column("streisand_shift", "confidence shift", against_retrain=True),
        Column("streisand_below", "below Retrain's 5 %", against_retrain=True), Column("zrf", "ZRF"),
        Column("tow", "ToW", against_retrain=True), Column("cgum", "CGUM", against_retrain=True),
    ),
}  # fmt: skip
"""Tables of one block, in this order, each with those of its columns that any line has."""


def evidence_markdown(table: Table, more: dict[str, tuple[Column, ...]]) -> str:
    """Write a task's evidence: for each block Original − Retrain on D_f, then its tables.

    Args:
        table: of rows of `trial.with_evidence`.
        more: further tables, as `GROUPS`: those of tests that train.
    """
    parts = [f"## {escape(table.title)}", "", *([escape(mixed), ""] if (mixed := mixture(table.rows)) else [])]
    for block in table.blocks:
        parts += [f"### {escape(headline(block))}", ""]
        groups = {**GROUPS, **more}
        columns = [column for group in groups.values() for column in group if column.name in block.rows]
        means = BlockMeans.of(block.rows, [column.name for column in columns])
        for title, group in groups.items():
            parts += _grid(title, [column for column in group if column in columns], block, means)
        parts += [*(f"- {escape(sentence)}" for sentence in (*sanity(block), *relative_sanity(block))), ""]
    return "\n".join(parts)


def _grid(title: str, columns: Sequence[Column], block: Block, means: BlockMeans) -> list[str]:
    shown, cells = column_cells(columns, block, means)
    if not shown:
        return []
    rows = [[escape(line.label), *cells[line.variant], line.coverage.seeds_text] for line in block.lines]
    titles = [escape(title), *(escape(column.title) for column in shown), "Seeds"]
    return [grid_markdown(titles, rows), ""]


def column_cells(
    columns: Sequence[Column], block: Block, means: BlockMeans
) -> tuple[list[Column], dict[str, list[str]]]:
    """Return the columns that any line has, and each line's cells in Markdown.

    Cells are italic in columns in which Original and Retrain are not statistically distinguishable.

    Args:
        columns: columns of the block's rows.
        block: of a table of rows with evidence.
        means: of these columns.
    """
    units = {line.variant: means.units(line.variant, block.over) for line in block.lines}
    summaries = {
        (line.variant, column.name): summarize(units[line.variant][column.name].to_numpy())
        for line in block.lines
        for column in columns
    }
    shown = [
        f for f in columns if any(summaries[line.variant, f.name].n or _few(f, block, line) for line in block.lines)
    ]
    gray = {f.name: is_within_noise(difference(block, means, f)) or few_utterances(block, f) for f in shown}
    cells = {}
    for line in block.lines:
        texts = [_cell(column, summaries[line.variant, column.name], block, line) for column in shown]
        cells[line.variant] = [
            f"*{t}*" if gray[f.name] and t not in (NOTHING, TOO_FEW) else t for t, f in zip(texts, shown, strict=True)
        ]
    return shown, cells


def _cell(column: Column, summary: Summary, block: Block, line: Line) -> str:
    if column.against_retrain and line.method == "retrain":
        return "target"
    if not summary.n and _few(column, block, line):
        return TOO_FEW
    text = with_spread(summary, column.digits, column.scale)
    if summary.n == 1 and column.interval:
        own = block.rows[(block.rows["variant"] == line.variant) & block.rows[column.name].notna()]
        if len(own) == 1:
            low, high = (float(own[f"{column.interval}_{end}"].iloc[0]) for end in ("low", "high"))
            text += f" [{low:.{column.digits}f}, {high:.{column.digits}f}]"
    return text


def _few(column: Column, block: Block, line: Line) -> bool:
    """Whether a line has runs whose pairs are too few for the column."""
    if column.pairs not in block.rows:
        return False
    pairs = block.rows.loc[block.rows["variant"] == line.variant, column.pairs]
    return bool(((pairs > 0) & (pairs < FEWEST_PAIRS)).any())


def difference(block: Block, means: BlockMeans, column: Column) -> Summary:
    """Subtract Retrain from Original in a column, unit by unit; no values if either is missing."""
    lines = {line.method: line.variant for line in reversed(block.lines) if line.method in ("original", "retrain")}
    if len(lines) < 2 or column.against_retrain or column.counts:
        return summarize([])
    values = [means.units(lines[method], block.over)[column.name] for method in ("original", "retrain")]
    return summarize((values[0] - values[1]).round(DECIMALS + 2).to_numpy())  # fractions, not points


def few_utterances(block: Block, column: Column) -> bool:
    """Tell whether Original − Retrain is within 1.96 standard errors that follow from the number of utterances alone.

    Two seeds may agree by chance where each AUC is over 20 utterances. The two models are attacked on the same
    utterances, so the true error is smaller and the test is conservative. If an attack has no value for
    Retrain (RMIA without another reference), chance takes its place.
    """
    if not column.interval or column.against_retrain or "original" not in set(block.rows["method"]):
        return False
    (original, error), (retrained, other_error) = (_pooled(block, column, m) for m in ("original", "retrain"))
    return bool(abs(original - retrained) < Z975 * np.hypot(error, other_error))


def _pooled(block: Block, column: Column, method: str) -> tuple[float, float]:
    """Return the mean AUC of a method's runs and its standard error; chance if there is none."""
    rows = block.rows[(block.rows["method"] == method) & block.rows[column.name].notna()]
    if rows.empty:
        return 0.5, 0.0
    errors = (rows[f"{column.interval}_high"] - rows[f"{column.interval}_low"]) / (2 * Z975)
    return float(rows[column.name].mean()), float(np.sqrt((errors**2).sum()) / len(rows))


def sanity(block: Block) -> list[str]:
    """Count runs in which the loss attack is at chance on Retrain, and above it on Original."""
    rows = block.rows[block.rows["status"] == "done"]
    if "loss_auc" not in rows:
        return []
    measured = rows[rows["loss_auc"].notna()]
    retrained = measured[measured["method"] == "retrain"]
    at_chance = int(((retrained["loss_low"] <= 0.5) & (retrained["loss_high"] >= 0.5)).sum())
    original = measured[(measured["method"] == "original") & (measured["difference_forget"] > 0)]
    above = int((original["loss_low"] > 0.5).sum())
    said = []
    if len(retrained):
        said.append(f"Loss attack on Retrain: {at_chance} of {len(retrained)} runs have an interval that contains 0.5.")
    if len(original):
        said.append(
            f"Loss attack on Original, where it {quality_of(rows).verb} more of D_f than Retrain: {above} of "
            f"{len(original)} runs have an interval above 0.5."
        )
    return said
