"""Tables as LaTeX, for `\\usepackage{booktabs,xcolor}`."""

from __future__ import annotations

import re

from orchestrator.report.frames.tuned import mixture
from orchestrator.report.tables.caption import caption
from orchestrator.report.tables.cells import Row, body, header
from orchestrator.report.tables.model import Table
from orchestrator.report.tables.notes import baselines, block_notes
from orchestrator.report.tables.significance import headline

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "−": "$-$",
    "–": "--", "·": r"$\cdot$", "…": r"\ldots{}", "<": "$<$", ">": "$>$",
}  # fmt: skip
_TOKEN = re.compile(r"\bD_[tfrv]\b|" + "|".join(map(re.escape, SPECIAL)))


def table_latex(table: Table) -> str:
    """Format a `table` environment in the paper's layout; the best line of each block is bold."""
    titles = header(table, latex=True)
    lines = [
        r"\begin{table}[t]", r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(' '.join([f'{table.title}.', mixture(table.rows), caption(table)]))}}}",
        rf"\label{{tab:{table.name}}}", rf"\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}", r"\toprule",
        " & ".join(titles) + r" \\",
    ]  # fmt: skip
    for block in table.blocks:
        lines += [r"\midrule", rf"\multicolumn{{{len(titles)}}}{{l}}{{\textit{{{escape(headline(block))}}}}} \\"]
        for row in body(table, block):
            lines.append(" & ".join(_set(escape(cell), place, row) for place, cell in enumerate(row.cells)) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", "", rf"\smallskip {escape(baselines(table.rows))}"]
    for block in table.blocks:
        if said := " ".join(note.text for note in block_notes(block)):
            lines += ["", rf"\smallskip \textit{{{escape(block.title)}.}} {escape(said)}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _set(cell: str, place: int, row: Row) -> str:
    if place in row.bold:
        return rf"\textbf{{{cell}}}"
    return rf"\textcolor{{gray}}{{{cell}}}" if place in row.gray else cell


def escape(text: str) -> str:
    """Escape text for LaTeX; the names of sets become mathematics."""
    return _TOKEN.sub(lambda found: SPECIAL.get(found[0], f"${found[0]}$"), text)
