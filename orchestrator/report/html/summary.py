"""The first three sentences of the page: what was run, what is closest to Retrain, and whether that can be told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.evidence.paired import FEWEST
from orchestrator.report.build import Report
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import with_spread
from orchestrator.report.tables.columns import GAP
from orchestrator.report.tables.comparisons import comparisons
from orchestrator.report.tables.model import Block, Table, equal_to_original
from orchestrator.report.tables.significance import verdict
from orchestrator.results.statuses import STATUSES

MOST_NAMED = 4  # blocks that are named one by one


def summary(report: Report) -> list[str]:
    """Write the three sentences."""
    blocks = [(table, block) for table in first_tables(report.tables) for block in table.blocks]
    return [_run(report), _closest(blocks), _distinguishable([block for _, block in blocks])]


def first_tables(tables: Iterable[Table]) -> list[Table]:
    """Return the first table of each task and of each sequence: their means over backbones."""
    found: dict[tuple[str, str], Table] = {}
    for table in tables:
        found.setdefault((table.task, table.sequence), table)
    return list(found.values())


def _run(report: Report) -> str:
    lines = report.lines
    methods = lines.loc[~lines["method"].isin(REFERENCES), "label"].nunique()
    sizes = [
        _count(methods, "method variant"),
        _count(lines["backbone"].nunique(), "backbone"),
        _count(lines["task"].nunique(), "task"),
        _count(lines["unlearning"].nunique(), "kind of forget set", "kinds of forget sets"),
        _count(lines["seed"].nunique(), "seed"),
    ]
    counts = report.selected.rows["status"].value_counts()
    ended = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
    return f"{_listed(sizes)} were run: {len(report.selected.rows)} trials, {ended}."


def _closest(blocks: Sequence[tuple[Table, Block]]) -> str:
    several = len({table.task for table, _ in blocks}) > 1
    found, winners = [], dict[str, int]()
    for table, block in blocks:
        best = [line for line in block.lines if line.best]
        for line in best:
            winners[line.label] = winners.get(line.label, 0) + 1
        where = f"{table.task}, {_short(block)}" if several else _short(block)
        if best:
            names = " and ".join(line.label for line in best)
            found.append(f"{names} in {where} (gap {with_spread(best[0].summaries[GAP.column])} points)")
        elif equal_to_original(block.lines, [line for line in block.lines if line.method not in REFERENCES]):
            found.append(f"none in {where}, where doing nothing is as close")
        else:
            found.append(f"none in {where}, where no method is complete")
    if len(found) <= MOST_NAMED:
        return f"Closest to Retrain: {'; '.join(found)}."
    most = sorted(winners.items(), key=lambda item: (-item[1], item[0]))[:3]
    named = ", ".join(f"{label} in {times}" for label, times in most) or "no method"
    return f"Closest to Retrain in the {len(found)} blocks below: {named}."


def _distinguishable(blocks: Sequence[Block]) -> str:
    tested, apart, detectable = 0, 0, []
    for block in blocks:
        second = min((one for one in comparisons(block) if one.tested), key=lambda one: one.found.mean, default=None)
        if second is not None:
            tested, apart = tested + 1, apart + second.apart
            detectable.append(second.found.detectable)
    nothing = sum(verdict(block) == "noise" for block in blocks)
    forgot = (
        f"; in {nothing} of {len(blocks)} Original and Retrain do not differ on D_f by more than noise, so nothing can "
        "be seen to be forgotten there"
        if nothing
        else ""
    )
    if not tested:
        return (
            f"With fewer than {FEWEST} seeds or backbones behind a mean, no difference between methods can be tested, "
            f"so the order of methods is not evidence{forgot}."
        )
    power = f" (differences under {min(detectable):.1f} to {max(detectable):.1f} points could not have been seen)"
    return (
        f"The closest method is statistically distinguishable from the second at 95 % in {apart} of {tested} "
        f"{'block' if tested == 1 else 'blocks'}{power}{forgot}."
    )


def _short(block: Block) -> str:
    head, _, rest = block.title.partition(" (")
    kind = head.replace("Unlearning of ", "").replace(" Unlearning", " unlearning")
    return f"{kind[:1].lower()}{kind[1:]}" + (f" ({rest}" if rest else "")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + f" and {parts[-1]}"
