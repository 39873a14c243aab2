"""What `unlearn init` says of the recordings, and which commands come next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from orchestrator.first_sweep.files import Written
from orchestrator.first_sweep.survey import Survey, Watch
from orchestrator.tasks.base import SPLITS, Utterance

SHOWN = 12  # classes by name


def summary_tables(found: Survey, written: Written) -> list[Table | str]:
    """The recordings as a table, their problems, the files, and the next commands."""
    table = Table(title="recordings", show_header=False)
    seconds = np.asarray(found.seconds)
    splits = ", ".join(f"{name} {found.splits[name]}" for name in SPLITS if found.splits[name])
    lines = {
        "listed by": found.basis,
        "clips": f"{len(found.rows)} ({splits})",
        "classes": f"{len(found.classes)} ({_counts(found.classes)})",
        "speakers": str(len(found.speakers)) if found.speakers else "not known",
        "seconds": f"{seconds.sum():,.1f} in all; {seconds.min():.2f} shortest, {np.median(seconds):.2f} median, "
        f"{seconds.max():.2f} longest",
        "sample rates": ", ".join(f"{rate} Hz ({number})" for rate, number in found.rates_hz.most_common()),
    }
    for name, value in lines.items():
        table.add_row(name, escape(value))
    if found.clip_seconds is not None:
        table.add_row("clips are cut to", f"{found.clip_seconds} s, from the center (training.crop)")
    sweep, results = shlex.quote(str(written.sweep)), escape(shlex.quote(f"results/{written.name}"))
    return [
        table,
        *(f"[yellow]problem:[/yellow] {escape(problem)}" for problem in found.problems),
        *(f"wrote {escape(str(path))}" for path in (written.manifest, written.sweep, written.schema)),
        "next:",
        f"  unlearn plan {escape(sweep)}",
        f"  unlearn run {escape(sweep)} --results {results}",
        f"  unlearn report {results}",
    ]


def progress(console: Console) -> Watch:
    """A progress bar through the recordings, where the output is a terminal."""

    def watch(read: Iterable[Utterance], total: int) -> Iterable[Utterance]:
        return track(read, "reading recordings", total, console=console, disable=not console.is_terminal)

    return watch


def _counts(counted: Counter[str]) -> str:
    shown = ", ".join(f"{name} {number}" for name, number in sorted(counted.items())[:SHOWN])
    return shown + (", …" if len(counted) > SHOWN else "")
