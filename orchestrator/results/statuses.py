"""The statuses of a trial: what each means, and what to do."""

from __future__ import annotations

STATUSES = {
    "done": "finished; a diverged run does not appear here",
    "diverged": "the loss became NaN or infinite: lower the learning rate, or tune it with `unlearn tune`",
    "failed": "an error in a method, a backbone or a corpus: read `error`; `unlearn run --retry failed` runs it again",
    "pruned": "a search stopped it early",
    "blocked": "a trial that it depends on did not finish: fix the parent trial first",
}
"""Every status that `unlearn status` shows, with its meaning and what to do."""
