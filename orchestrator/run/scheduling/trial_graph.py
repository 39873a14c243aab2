"""Which trial may run next: a dependency graph over trials, the same for every executor."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.plan.spec import TrialSpec


@dataclass(frozen=True)
class Blocked:
    """A trial that cannot run, because a trial that it needs is not done."""

    trial_id: str
    because_of: str
    status: str


class TrialGraph:
    """Returns trials in plan order, each as soon as the trials that it needs have ended.

    A trial needs its parents to be `done`. A search's trial waits for the one before it, whatever its status, and an
    original with searched settings waits for the whole search.
    """

    def __init__(
        self, trials: Sequence[TrialSpec], finished: Mapping[str, str], studies: Mapping[str, Sequence[str]]
    ) -> None:
        """Take `trials` in plan order, the status of those in the store by id, and the ids of each study's trials."""
        self._specs = {spec.trial_id: spec for spec in trials}
        self._order = {trial_id: position for position, trial_id in enumerate(self._specs)}
        self._studies = studies
        self._waiting: dict[str, set[str]] = {}
        self._children: dict[str, list[str]] = {}
        self._hard: dict[str, set[str]] = {}
        self._ready: list[tuple[int, str]] = []
        self._running: set[str] = set()
        self._ended: dict[str, str] = {}
        self.blocked: dict[str, Blocked] = {}
        for trial_id, spec in self._specs.items():
            if trial_id in finished:
                self._ended[trial_id] = finished[trial_id]
                continue
            hard = {p for p in spec.parents.values() if p in self._specs}
            soft = self._soft_needs(spec)
            self._hard[trial_id] = hard
            self._waiting[trial_id] = hard | soft
            for need in hard | soft:
                self._children.setdefault(need, []).append(trial_id)
        for trial_id in list(self._waiting):
            for need in list(self._waiting.get(trial_id, ())):
                if need in finished:
                    self._release(trial_id, need, finished[need])
        for trial_id, needs in self._waiting.items():
            if not needs:
                heapq.heappush(self._ready, (self._order[trial_id], trial_id))

    def _soft_needs(self, spec: TrialSpec) -> set[str]:
        if spec.study:
            members = self._studies[spec.study["id"]]
            return {members[spec.study["trial"] - 1]} if spec.study["trial"] else set()
        if "study" in spec.training:
            return set(self._studies[spec.training["study"]])
        return set()

    def _release(self, trial_id: str, need: str, status: str) -> list[str]:
        """Record that a trial's need has ended; return the trials that this blocks."""
        if trial_id not in self._waiting:
            return []
        if status != "done" and need in self._hard[trial_id]:
            return self._block(trial_id, need, status)
        self._waiting[trial_id].discard(need)
        return []

    def _block(self, trial_id: str, need: str, status: str) -> list[str]:
        self._waiting.pop(trial_id, None)
        self.blocked[trial_id] = Blocked(trial_id, need, status)
        blocked = [trial_id]
        for child in self._children.get(trial_id, ()):
            if child not in self.blocked and child in self._waiting:
                if trial_id in self._hard[child]:
                    blocked += self._block(child, trial_id, "blocked")
                else:
                    self._waiting[child].discard(trial_id)
                    if not self._waiting[child]:
                        heapq.heappush(self._ready, (self._order[child], child))
        return blocked

    def start_next(self) -> TrialSpec | None:
        """Mark the first ready trial in plan order as running and return it; None if no trial is ready."""
        while self._ready:
            _, trial_id = heapq.heappop(self._ready)
            if trial_id in self._waiting and not self._waiting[trial_id]:
                del self._waiting[trial_id]
                self._running.add(trial_id)
                return self._specs[trial_id]
        return None

    def put_back(self, trial_id: str) -> None:
        """Let a running trial that ended without a result wait again."""
        self._running.discard(trial_id)
        self._wait(trial_id)

    def reopen(self, trial_id: str) -> bool:
        """Run a finished trial again, because what it made is lost; trials that need it and did not start wait for it.

        Return False if it is not finished: it waits or runs already.
        """
        if self._ended.pop(trial_id, None) is None:
            return False
        self._wait(trial_id)
        for child in self._children.get(trial_id, ()):
            if child in self._waiting and trial_id in self._hard[child]:
                self._waiting[child].add(trial_id)
        return True

    def _wait(self, trial_id: str) -> None:
        self._hard[trial_id] = {p for p in self._specs[trial_id].parents.values() if p in self._specs}
        self._waiting[trial_id] = {need for need in self._hard[trial_id] if self._ended.get(need) != "done"}
        if not self._waiting[trial_id]:
            heapq.heappush(self._ready, (self._order[trial_id], trial_id))

    def end(self, trial_id: str, status: str) -> list[str]:
        """Record that a running trial ended, with its row's status; return the trials that this blocks."""
        self._running.discard(trial_id)
        self._ended[trial_id] = status
        blocked: list[str] = []
        for child in self._children.get(trial_id, ()):
            blocked += self._release(child, trial_id, status)
            if child in self._waiting and not self._waiting[child]:
                heapq.heappush(self._ready, (self._order[child], child))
        return blocked

    @property
    def over(self) -> bool:
        """Whether no trial runs and none can start."""
        while self._ready and self._waiting.get(self._ready[0][1]) != set():
            heapq.heappop(self._ready)  # started or blocked since, or waiting again
        return not self._running and not self._ready

    @property
    def pending(self) -> list[str]:
        """Trials that neither ended nor are blocked, running ones included."""
        return [*self._running, *self._waiting]

    def counts(self) -> dict[str, int]:
        """Return the number of trials by status, with `pending`, `running` and `blocked`."""
        counts: dict[str, int] = {}
        for status in self._ended.values():
            counts[status] = counts.get(status, 0) + 1
        extra = {"running": len(self._running), "pending": len(self._waiting), "blocked": len(self.blocked)}
        return {**counts, **{name: number for name, number in extra.items() if number}}
