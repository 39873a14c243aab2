"""Follow a run from its results folder alone, from another shell or machine: counts, what runs, what ended."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeGuard

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.plan.duration import exact, in_words
from orchestrator.results.curves import read_curve
from orchestrator.results.statuses import STATUSES
from orchestrator.results.store import Store
from orchestrator.results.sweep_records import recorded_sweeps, records_of

SHOWN = 8  # running trials, and trials that ended last
LOCAL_SECONDS, REMOTE_SECONDS = 2.0, 10.0  # between two looks at the folder
PLAIN_SECONDS = 30.0  # between two lines with counts where nothing ended
SILENT_SECONDS = 60.0  # without a heartbeat, after which a driver counts as gone
PARTS = (("forget", "D_f"), ("validation", "D_v"), ("test", "D_t"))


@dataclass(frozen=True)
class View:
    """What the folder says at one moment."""

    title: str
    num_trials: int | None  # None while the sweep is prepared: its record is written after that
    counts: Mapping[str, int]  # rows by status
    running: tuple[str, ...]  # lines
    fresh: tuple[str, ...]  # lines of trials that ended since the last look, oldest first
    driver: str  # empty if no driver has the folder
    left: str  # estimate of the time left, empty if unknown

    @property
    def num_ended(self) -> int:
        """Trials with a row."""
        return sum(self.counts.values())

    @property
    def is_complete(self) -> bool:
        """Whether every planned trial has a row."""
        return self.num_trials is not None and self.num_ended >= self.num_trials

    def summary(self) -> str:
        """Return the counts in one line."""
        if self.num_trials is None:
            return "preparing: no trial is planned yet"
        counts = ", ".join(f"{self.counts[status]} {status}" for status in STATUSES if self.counts.get(status))
        parts = [f"{self.title}: {self.num_ended} of {self.num_trials} trials ended", f"({counts})" if counts else ""]
        return " ".join(part for part in parts if part) + (f"; {self.left} left" if self.left else "")


@dataclass
class Watch:
    """A follower of one results folder, which reads only what changed since its last look."""

    store: Store
    sweep: str | None = None  # all of the folder if None
    clock: Callable[[], float] = time.time
    _rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _looked: bool = False
    _known: dict[str, int] = field(default_factory=dict)  # last changes of the rows' files

    def look(self) -> View:
        """Read the folder.

        Raises:
            ValueError: nothing was run on this folder, or not this sweep.
        """
        records = [record for record in recorded_sweeps(self.store.files) if not record.replaced]
        if self.sweep is not None:
            records = records_of(records, self.sweep)
        driver = self._driver()  # before the rows: one that is gone has written all of them
        if not records and driver is not None and self.clock() - driver["beat"] <= SILENT_SECONDS:
            return View("preparing", None, Counter(), (), (), _driver_line(driver, self.clock()), "")
        if not records:
            what = f"sweep {self.sweep!r}" if self.sweep else "sweep"
            if not self.sweep and (orphans := len(self.store.row_files.ids())):
                raise ValueError(
                    f"{self.store.files.shown} has {orphans} rows, but no record of the sweep that planned them. "
                    "`unlearn run SWEEP --results DIR` writes it again; `unlearn report` needs none."
                )
            raise ValueError(
                f"No {what} was run on {self.store.files.shown}. Run one: `unlearn run SWEEP --results DIR`."
            )
        planned = {trial for record in records for trial in record.trials}
        fresh = self._update()
        ended = [self._rows[trial_id] for trial_id in fresh if trial_id in planned] if self._looked else []
        self._looked = True
        rows = [row for trial_id, row in self._rows.items() if trial_id in planned]
        return View(
            title=", ".join(sorted({record.title for record in records})),
            num_trials=len(planned),
            counts=Counter(str(row["status"]) for row in rows),
            running=tuple(self._running(planned, driver)) if driver else (),
            fresh=tuple(row_line(row) for row in sorted(ended, key=lambda r: str(r["finished_at"]))),
            driver=_driver_line(driver, self.clock()) if driver else "",
            left=self._left(rows, len(planned) - len(rows), driver) if driver else "",
        )

    def _update(self) -> list[str]:
        """Read rows that are new or changed; return their ids."""
        changes = self.store.row_files.modified()
        fresh = [trial_id for trial_id, at in changes.items() if self._known.get(trial_id) != at]
        if not self._known and fresh:  # the index has most of them
            rows = self.store.rows()
            found = dict(zip(rows["trial_id"], rows.to_dict("records"), strict=True))
        else:
            found = {trial_id: row for trial_id in fresh if (row := self.store.row(trial_id)) is not None}
        self._rows = {trial_id: row for trial_id, row in {**self._rows, **found}.items() if trial_id in changes}
        self._known = changes
        return [trial_id for trial_id in fresh if trial_id in self._rows]

    def _driver(self) -> Mapping[str, Any] | None:
        """Return `driver.json` with the time of the last heartbeat; None if no driver has the folder."""
        content = self.store.files.read_bytes("driver.json")
        found = None
        with suppress(ValueError):
            found = json.loads(content or b"null")
        if not isinstance(found, dict):
            return None
        beat = self.store.files.modified_ns("driver.json")
        return {**found, "beat": self.clock() if beat is None else beat / 1e9}

    def _running(self, planned: set[str], driver: Mapping[str, Any]) -> Iterator[str]:
        since = _number(driver.get("since_seconds"))
        changes = self.store.curves.modified()
        ids = [t for t, at in changes.items() if t in planned and t not in self._rows and not at / 1e9 < since]
        for trial_id in sorted(ids, key=lambda trial_id: changes[trial_id], reverse=True)[:SHOWN]:
            if points := read_curve(self.store, trial_id):
                yield f"{points[-1]['title'] or trial_id}: {_point(points[-1])}"

    def _left(self, rows: list[Mapping[str, Any]], missing: int, driver: Mapping[str, Any]) -> str:
        """Estimate the time left from the trials that ended since the driver started."""
        since = _number(driver.get("since_seconds"))
        ended = sum(_seconds(row["finished_at"]) >= since for row in rows)
        return f"about {in_words((self.clock() - since) / ended * missing)}" if ended and missing else ""


def row_line(row: Mapping[str, Any]) -> str:
    """Say in one line how a trial ended."""
    ratio = row.get("requested_forget_ratio")
    scenario = "train" if row["unlearning"] == "none" else str(row["unlearning"])
    scenario += f" {ratio:g}" if _is_number(ratio) else ""
    found = [
        f"{title} {100 * row[f'{name}_accuracy']:.1f} %" for name, title in PARTS if _is_number(row[f"{name}_accuracy"])
    ]
    seconds = row.get("total_seconds")
    found += [exact(float(seconds))] if _is_number(seconds) else []
    title = f"{row['task']} {row['backbone']} {scenario} {row['method']} seed {row['seed']}"
    return f"{row['status']:8} {title}" + (f" ({', '.join(found)})" if found else "")


def _point(point: Mapping[str, Any]) -> str:
    parts = [f"epoch {point['epoch']}"] if point["epoch"] else ["start"]
    if point["budget_used"]:
        parts.append(f"{100 * point['budget_used']:.0f} % of the budget")
    parts += [
        f"{title} {100 * point[name]:.1f} %"
        for part, title in PARTS
        if _is_number(point.get(name := f"{part}_accuracy"))
    ]
    return ", ".join(parts)


def _driver_line(driver: Mapping[str, Any], now: float) -> str:
    silent = max(0.0, now - driver["beat"])
    said = f"process {driver.get('pid', '?')} on {driver.get('host', '?')}, last heartbeat {exact(silent)} ago"
    return f"{said}: it seems to have ended" if silent > SILENT_SECONDS else said


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else math.inf


def _seconds(text: Any) -> float:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(text).timestamp()
    return -math.inf


def follow(
    store: Store,
    console: Console,
    sweep: str | None = None,
    every: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show a run until every planned trial has a row, the driver ends, or Ctrl-C; a terminal is redrawn.

    Raises:
        ValueError: nothing was run on this folder, or not this sweep.
    """
    watch, pause = Watch(store, sweep), every or (LOCAL_SECONDS if store.files.local_path else REMOTE_SECONDS)
    view, driven = watch.look(), False
    live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
    said_at = -math.inf
    with suppress(KeyboardInterrupt), live or nullcontext():
        while True:
            for line in view.fresh:
                console.print(Text(line), soft_wrap=True)
            if live:
                live.update(region(view), refresh=True)
            elif not view.is_complete and (view.fresh or watch.clock() - said_at >= PLAIN_SECONDS):
                console.print(Text(view.summary()), soft_wrap=True)
                said_at = watch.clock()
            if view.is_complete or (driven and not view.driver):
                break
            driven = driven or bool(view.driver)
            sleep(pause)
            view = watch.look()
    console.print(Text(ending(view)), soft_wrap=True)


def region(view: View) -> RenderableType:
    """Draw a view for a terminal."""
    bar = Table.grid(padding=(0, 1), expand=False)
    bar.add_row(ProgressBar(total=max(1, view.num_trials or 1), completed=view.num_ended, width=24), view.summary())
    driver = f"driver: {view.driver}" if view.driver else "no driver works on this folder"
    lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in view.running]
    return Group(*lines, Text(driver, style="dim"), bar)


def ending(view: View) -> str:
    """Say how things are when the watch ends."""
    missing = (view.num_trials or 0) - view.num_ended
    if view.is_complete:
        return f"{view.summary()}: complete"
    state = f"driver: {view.driver}" if view.driver else "no driver works on this folder; `unlearn run` continues it"
    without = f"; {missing} without a row" if view.num_trials else ""
    return f"{view.summary()}{without}. {state[0].upper()}{state[1:]}"
