"""Write the tables of docs/ that are made from the code: keys of sweeps, columns of rows, search spaces.

`python -m orchestrator.docs_tables PAGE…` (`make docs-tables`) writes each table between its markers, such as
`<!-- keys: sweep -->` and `<!-- /keys -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from orchestrator.plan.key_tables import KEYS, key_table
from orchestrator.results.column_table import column_table
from orchestrator.run.search_spaces import space_table

TABLES: Mapping[str, Callable[[], str]] = {
    **{f"keys: {name}": partial(key_table, name) for name in KEYS},
    "columns: row": column_table,
    "spaces: methods": space_table,
}
MARKED = re.compile(r"(<!-- (?P<name>(?P<kind>\w+): \w+) -->\n).*?(<!-- /(?P=kind) -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """Return a page in Markdown with the table of each pair of markers made anew.

    Raises:
        KeyError: there is no table of that name.
    """
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found['name']]()}\n{found[4]}", page)


def main(paths: list[str]) -> None:
    """Write the tables of these pages."""
    for path in map(Path, paths):
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
