"""A live display in a terminal or a notebook: what is prepared, what runs, a bar, and the time that is left."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.plan.duration import exact
from orchestrator.run.progress.display import SHOWN, LaunchDisplay, PlainDisplay
from orchestrator.run.progress.eta import Remaining
from orchestrator.run.progress.observer import Launch, LaunchOutcome

PER_SECOND = 4  # redraws
STALE_SECONDS = 0.5  # after which the time that is left is computed anew


class LiveDisplay(LaunchDisplay):
    """Draws a region below the lines; what else is printed, warnings among it, appears above the region."""

    def __init__(self, console: Console, **settings: Any) -> None:
        super().__init__(console, **settings)
        self._live = Live(console=console, get_renderable=self.region, refresh_per_second=PER_SECOND, transient=True)
        self._left, self._left_at = Remaining(0.0, measured=True), -math.inf

    def preparing(self, what: str) -> None:
        """Show it."""
        self._live.start()
        super().preparing(what)

    def planned(self, launch: Launch) -> None:
        """Show the bar."""
        super().planned(launch)
        self._left_at = -math.inf
        self.tick()
        self._live.start()

    def ready(self, slots: int) -> None:
        """Show how much is left."""
        super().ready(slots)
        self.tick()

    def ended(self, outcome: LaunchOutcome | None) -> None:
        """Take the region away."""
        self._live.stop()
        super().ended(outcome)

    def tick(self) -> None:
        """Compute the time that is left: here, because another thread draws."""
        if self.clock() - self._left_at >= STALE_SECONDS:
            self._left, self._left_at = self.remaining(), self.clock()

    def region(self) -> RenderableType:
        """What is drawn below the lines."""
        now = self.clock()
        lines = [f"preparing {what} ({exact(now - since)})" for what, since in list(self.preparations.items())]
        running = list(self.running.values())
        lines += [self.running_line(trial) for trial in running[:SHOWN]]
        if len(running) > SHOWN:
            lines.append(f"and {len(running) - SHOWN} more")
        shown: list[RenderableType] = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
        if self.launch:
            bar = Table.grid(padding=(0, 1), expand=False)
            left = Remaining(max(0.0, self._left.seconds - (now - self._left_at)), self._left.measured)
            bar.add_row(
                ProgressBar(total=max(1, self.num_trials), completed=self.num_ended, width=24),
                f"{self.num_ended}/{self.num_trials}",
                f"{exact(now - self.began)} elapsed,",
                str(left),
            )
            shown += [Text(self.by_stage(), style="dim"), bar]
        return Group(*shown)


def launch_display(console: Console | None = None, **settings: Any) -> LaunchDisplay:
    """Choose a live display where the console can redraw, in a terminal or a notebook, and plain lines elsewhere.

    A notebook redraws with `ipywidgets`. Settings are those of `LaunchDisplay`.
    """
    console = console or Console()
    if console.is_jupyter:
        redraws = find_spec("ipywidgets") is not None
    else:
        redraws = console.is_terminal and not console.is_dumb_terminal
    return LiveDisplay(console, **settings) if redraws else PlainDisplay(console, **settings)
