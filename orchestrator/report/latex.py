"""Tables as LaTeX, for `\\usepackage{booktabs}`."""

from __future__ import annotations

import re

from orchestrator.report.captions import caption
from orchestrator.report.layout import body, header
from orchestrator.report.remarks import baselines, remarks
from orchestrator.report.tables import Table

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "−": "$-$",
    "–": "--", "·": r"$\cdot$", "…": r"\ldots{}", "<": "$<$", ">": "$>$",
}  # fmt: skip
_TOKEN = re.compile(r"\bD_[tfrv]\b|" + "|".join(map(re.escape, SPECIAL)))


def table_latex(table: Table) -> str:
    """A `table` environment in the paper's layout; the best line of each block is bold."""
    titles = header(table, latex=True)
    lines = [
        r"\begin{table}[t]", r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(table.title)}. {escape(caption(table))}}}",
        rf"\label{{tab:{table.name}}}", rf"\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}", r"\toprule",
        " & ".join(titles) + r" \\",
    ]  # fmt: skip
    for block in table.blocks:
        lines += [r"\midrule", rf"\multicolumn{{{len(titles)}}}{{l}}{{\textit{{{escape(block.title)}}}}} \\"]
        for row in body(table, block):
            cells = [escape(cell) for cell in row.cells]
            lines.append(
                " & ".join(rf"\textbf{{{c}}}" if place in row.bold else c for place, c in enumerate(cells)) + r" \\"
            )
    lines += [r"\bottomrule", r"\end{tabular}", "", rf"\smallskip {escape(baselines(table.rows))}"]
    for block in table.blocks:
        if said := " ".join(remarks(block)):
            lines += ["", rf"\smallskip \textit{{{escape(block.title)}.}} {escape(said)}"]
    return "\n".join([*lines, r"\end{table}", ""])


def escape(text: str) -> str:
    """Text for LaTeX; the names of the sets become mathematics."""
    return _TOKEN.sub(lambda found: SPECIAL.get(found[0], f"${found[0]}$"), text)
