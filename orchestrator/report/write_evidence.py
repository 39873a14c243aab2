"""Evidence of a results folder as files: evidence.md, evidence.csv (one row a trial), relearning.csv and its plots."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.evidence.outputs import Outputs, parse_outputs
from orchestrator.files import Folder
from orchestrator.report.compare import with_gaps
from orchestrator.report.evidence_table import evidence_markdown
from orchestrator.report.lines import prepare, reported
from orchestrator.report.markdown import escape
from orchestrator.report.relearning_plot import relearning_plot
from orchestrator.report.style import png
from orchestrator.report.tables import build_tables
from orchestrator.report.trained_tests import relearning_curves, trained_figures, with_trained_tests
from orchestrator.report.trial_evidence import with_evidence
from orchestrator.results import Store

LEAD = [
    "trial_id", "sweep", "task", "backbone", "unlearning", "forget_rule", "requested_forget_ratio", "forget_classes",
    "seed", "method", "superloss", "label", "mia_reference", "num_forget", "num_holdout", "difference_forget",
    "gap_mean", "mia_nonmember", "mia_auc", "mia_accuracy",
]  # fmt: skip
KEPT = 256  # parsed outputs at once
ABOUT = (
    "Definitions and limits: docs/evidence.md. Means and ± as in the report. Of one seed brackets are the 95 % "
    "interval over utterances. Italic: in this column Original and Retrain cannot be told apart, so it says nothing of "
    "forgetting. Retrain is the target of every column, not 0.5 and not 0."
)


def write_evidence(store: Store, out: Path) -> list[Path]:
    """Write the evidence that a results folder's rows and stored outputs hold; returns the files, `evidence.md` first.

    Raises:
        ValueError: there is no finished trial that forgot anything.
    """
    rows, _ = reported(with_gaps(prepare(store.rows())))
    if rows[rows["status"] == "done"].empty:
        raise ValueError("no evidence: no finished trial forgot anything; `unlearn run SWEEP --results DIR` runs some")

    @lru_cache(maxsize=KEPT)
    def read(trial_id: str) -> Outputs | None:
        content = store.files.read_bytes(f"outputs/{trial_id}.parquet")
        return None if content is None else parse_outputs(content)

    def table(name: str) -> pd.DataFrame | None:
        content = store.files.read_bytes(f"evidence/{name}.parquet")
        return None if content is None else pq.read_table(pa.BufferReader(content)).to_pandas()

    def maps(trial_id: str) -> pd.DataFrame | None:
        return table(f"{trial_id}.attribution")

    found = with_evidence(rows, read)
    known = set(found.columns)
    found = with_trained_tests(found, table, maps)
    more = trained_figures([name for name in found.columns if name not in known])
    done = found[found["status"] == "done"]
    curves = relearning_curves(done, table)
    figures = [name for name in found.columns if name not in rows.columns]
    files = {"evidence.csv": done[[*LEAD, *figures]].to_csv(index=False).encode()}
    if len(curves):
        files["relearning.csv"] = curves.to_csv(index=False).encode()
    parts = ["# Evidence of forgetting", "", ABOUT, ""]
    for one in build_tables(found):
        parts.append(evidence_markdown(one, more))
        if len(curves) and (made := relearning_plot(one, curves)):
            name = f"plots/{one.name}-relearning.png"
            files[name] = png(made)
            parts += [f"![{escape(one.title)}: relearning]({name})", ""]
    files["evidence.md"] = "\n".join(parts).encode()  # last: what it points to is there
    folder = Folder(out.as_uri())
    for name, content in files.items():
        folder.write_bytes(name, content)
    return [out / name for name in reversed(files)]
