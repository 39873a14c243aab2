"""Print the import structure of each room (package): its parts, and the arrows, floors and circles between them.

    python tests/benchmarks/import_graph.py [FOLDER]     # of a checkout; this one when omitted

A part is a module, or a room inside with all that it contains. An arrow is a part that imports another of the
same room. Floors are the parts of the longest chain of imports, with a circle as one. A circle is a set of parts
that import each other.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grimp
import networkx as nx

PACKAGES = ("orchestrator", "methods", "backbones")


def room_graph(graph: grimp.ImportGraph, room: str) -> nx.DiGraph[str]:
    """Return the imports between the parts of a room, as an arrow from the importer to what it imports."""
    parts = graph.find_children(room)
    inside = {module: part for part in parts for module in (part, *graph.find_descendants(part))}
    arrows = nx.DiGraph()
    arrows.add_nodes_from(parts)
    for module, part in inside.items():
        for imported in graph.find_modules_directly_imported_by(module):
            if inside.get(imported, part) != part:
                arrows.add_edge(part, inside[imported])
    return arrows


def measure(arrows: nx.DiGraph[str]) -> tuple[int, int, int, list[set[str]]]:
    """Return the numbers of parts, arrows and floors, and the circles."""
    circles = [found for found in nx.strongly_connected_components(arrows) if len(found) > 1]
    floors = nx.dag_longest_path_length(nx.condensation(arrows), weight=None) + 1 if arrows else 0
    return len(arrows), arrows.number_of_edges(), floors, circles


def main(folder: Path) -> None:
    """Print a line for each room with more than two parts."""
    sys.path.insert(0, str(folder))
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    print(f"{'room':32}{'parts':>8}{'arrows':>8}{'floors':>8}{'circles':>9}")
    for room in sorted(module for module in graph.modules if len(graph.find_children(module)) > 2):
        parts, arrows, floors, circles = measure(room_graph(graph, room))
        named = "; ".join(" ⇄ ".join(sorted(part.rpartition(".")[2] for part in circle)) for circle in circles)
        print(f"{room:32}{parts:8}{arrows:8}{floors:8}{len(circles):9}  {named}".rstrip())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
