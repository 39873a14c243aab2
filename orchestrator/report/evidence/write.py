"""Evidence of a results folder as files: evidence.md, evidence.csv (one row a trial), more tables, and plots."""

from __future__ import annotations

from pathlib import Path

from orchestrator.evidence.roc import FEWEST_PAIRS
from orchestrator.file_names import absolute_path
from orchestrator.report.charts.relearning import relearning_charts
from orchestrator.report.charts.style import marks
from orchestrator.report.evidence.audit_columns import audit_columns
from orchestrator.report.evidence.earlier_requests import earlier_requests, earlier_requests_markdown
from orchestrator.report.evidence.folder import folder_evidence
from orchestrator.report.evidence.groups import accuracy_by_group, accuracy_by_group_markdown
from orchestrator.report.evidence.probes import probe_columns, relearning_curves
from orchestrator.report.evidence.recognition import recognition_columns
from orchestrator.report.evidence.table import evidence_markdown
from orchestrator.report.frames.scope import EVERYTHING, Selection
from orchestrator.report.tables.csv import spreadsheet_csv
from orchestrator.report.tables.markdown import escape
from orchestrator.report.tables.model import build_tables
from orchestrator.results.storage import Folder
from orchestrator.results.store import Store

LEAD = [
    "trial_id", "sweep", "sweeps", "task", "backbone", "unlearning", "forget_rule", "requested_forget_ratio",
    "forget_classes", "seed", "training", "method", "superloss", "label", "mia_reference", "num_forget", "num_holdout",
    "difference_forget", "gap_mean", "mia_nonmember", "mia_auc", "mia_accuracy",
]  # fmt: skip
ABOUT = (
    "Means and ± as in the report; with one seed, brackets are the 95 % interval over utterances. Retrain is the "
    "target of every column (not 0.5, not 0); italic: Original and Retrain are not statistically distinguishable in "
    f"this column; too few: an attack had fewer than {FEWEST_PAIRS} pairs of a member and a non-member. Definitions: "
    "docs/evidence.md."
)


def write_evidence(store: Store, out: str | Path, selection: Selection = EVERYTHING) -> list[Path]:
    """Write the evidence that a results folder's rows and stored outputs hold; return the files, `evidence.md` first.

    Raises:
        ValueError: there is no finished trial that forgot anything, or none of the selection.
    """
    found = folder_evidence(store, selection)
    curves = relearning_curves(found.done, found.read_tests)
    more = {**recognition_columns(found.figures), **audit_columns(found.figures), **probe_columns(found.figures)}
    files = {"evidence.csv": spreadsheet_csv(found.done[[*LEAD, *found.figures]])}
    if len(curves):
        files["relearning.csv"] = spreadsheet_csv(curves)
    parts = ["# Evidence of forgetting", "", ABOUT, ""]
    for one in build_tables(found.rows, found.selected.planned_seeds):
        parts.append(evidence_markdown(one, more))
        styles = marks([line for block in one.blocks for line in block.lines])
        for chart in relearning_charts([one], curves, one.name, styles):
            name = f"plots/{chart.name}.svg"
            files[name] = chart.svg_file()
            parts += [f"![{escape(one.title)}: relearning]({name})", "", escape(chart.text), ""]
    earlier = earlier_requests(found.done, found.read_outputs)
    if len(earlier):
        files["earlier_requests.csv"] = spreadsheet_csv(earlier)
        parts += ["# After a sequence of requests", "", *earlier_requests_markdown(earlier)]
    by_group = accuracy_by_group(found.done, found.read_outputs)
    if len(by_group):
        files["groups.csv"] = spreadsheet_csv(by_group)
        parts += ["# Accuracy by group", "", *accuracy_by_group_markdown(by_group)]
    files["evidence.md"] = "\n".join(parts).encode()  # last: what it points to is there
    out = absolute_path(out)
    folder = Folder(out.as_uri())
    for name, content in files.items():
        folder.write_bytes(name, content)
    return [out / name for name in reversed(files)]
