"""The dispatcher of a launch: what is left to run, and the rows of what ran. Every executor works from one."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from methods.engine.rates import resolved, without_idle_shares
from orchestrator.errors import DamagedFile, FolderFull, LeaseLost
from orchestrator.plan.cost import medians_by_kind
from orchestrator.plan.grid import Refusal
from orchestrator.plan.spec import TrialSpec
from orchestrator.results.store import Store
from orchestrator.run.assignment import Assignment, IntermediateResult
from orchestrator.run.guards.unseen_gpu import UNSEEN
from orchestrator.run.progress.observer import Launch, LaunchObserver, LaunchOutcome
from orchestrator.run.scheduling.circuit_breaker import Breaker, is_full_disk
from orchestrator.run.scheduling.trial_graph import Blocked, TrialGraph

if TYPE_CHECKING:  # Optuna comes with it, which most launches and every worker do without
    from orchestrator.run.scheduling.optuna_study import Study

READ = (
    "trial_id",
    "status",
    "package_version",
    "settings",
    "objective",
    "finished_at",
    "driver_token",
)  # columns of rows of earlier launches
INDEXED_AFTER = 250  # ended trials, or a tenth of all: the next launch does not open every row then
MOST_RERUNS = 2  # of a trial, because what it made was lost
TAKEN_OVER = "another driver has taken over this results folder; see its output"


class Dispatcher:
    """Returns the assignments that can run, records their rows, and reports them to searches and the observer."""

    def __init__(
        self,
        trials: Sequence[TrialSpec],
        studies: Mapping[str, Study],
        store: Store,
        *,
        refused: Sequence[Refusal] = (),
        should_retry: Callable[[Mapping[str, Any]], bool] = lambda row: False,
        observer: LaunchObserver | None = None,
        breaker: Breaker | None = None,
        owns_folder: Callable[[], bool] = lambda: True,
        is_late: Callable[[Mapping[str, Any]], bool] = lambda row: False,
    ) -> None:
        """Read the rows that the store has of the trials.

        Args:
            trials: in plan order.
            studies: searches, by their id.
            store: the results folder.
            refused: what cannot run, for the observer.
            should_retry: whether the trial of a failed row runs again.
            observer: is told of each trial's start and end.
            breaker: decides when to stop because of errors.
            owns_folder: whether this process is still the driver of the folder.
            is_late: whether a row was committed for a driver that had lost the folder.
        """
        self.breaker, self.owns_folder = breaker or Breaker(), owns_folder
        self.stopped = ""  # why no more trials start, although some are left
        self.reruns: dict[str, int] = {}
        self.recorded: set[str] = set()  # trials with a row of this launch
        self.not_indexed = 0
        self.store, self.studies, self.refused = store, studies, refused
        self.observer = observer or LaunchObserver()
        self.specs = {spec.trial_id: spec for spec in trials}
        rows = store.rows()
        self.medians = medians_by_kind(rows)  # seconds of finished trials of the folder
        rows = rows.loc[rows["trial_id"].isin(list(self.specs)), list(READ)]
        not_kept = _starts_without_a_model(trials, set(rows["trial_id"]), store) | store.incomplete()
        finished: dict[str, str] = {}
        self._before: dict[str, tuple[str, str]] = {}  # of a trial that runs again: when its row was written, status
        self._foreign: set[str] = set()  # trials whose row was written for another driver
        for record in rows.to_dict("records"):
            row = {str(name): value for name, value in record.items()}
            if is_late(row):
                self._withdraw(str(row["trial_id"]))
                continue
            if (row["status"] == "failed" and should_retry(row)) or (
                row["status"] == "done" and row["trial_id"] in not_kept
            ):
                self._before[str(row["trial_id"])] = (str(row["finished_at"]), str(row["status"]))
                continue
            finished[str(row["trial_id"])] = str(row["status"])
            self._tell(self.specs[str(row["trial_id"])], row)
        members = {study.study_id: [spec.trial_id for spec in study.trials] for study in studies.values()}
        self.graph = TrialGraph(trials, finished, members)
        self.num_already_done = len(finished)  # trials that ended before this launch

    def next_assignment(self) -> Assignment | None:
        """Return the next assignment that can run now, or None."""
        if self.lost_the_folder() or self.stopped:
            return None
        if self.graph.over:
            self._reopen_replaced()
        while (spec := self.graph.start_next()) is not None:
            try:
                assignment = self.assign(spec)
            except ValueError:  # a search without a result: what depends on it cannot run
                blocked = self.graph.end(spec.trial_id, "blocked")
                self.graph.blocked[spec.trial_id] = Blocked(spec.trial_id, str(spec.training.get("study")), "failed")
                self._say_blocked([spec.trial_id, *blocked])
                continue
            self.observer.started(spec)
            return assignment
        return None

    def progressed(self, trial_id: str, result: IntermediateResult) -> None:
        """Pass on what a running trial does."""
        self.observer.progressed(self.specs[trial_id], result)

    def _put_back(self, trial_id: str) -> None:
        self.graph.put_back(trial_id)
        self.observer.returned(self.specs[trial_id])

    def _say_blocked(self, trial_ids: Sequence[str]) -> None:
        for trial_id in trial_ids:
            self.observer.blocked(self.specs[trial_id])

    def launch(self) -> Launch:
        """Return what this launch has to do."""
        pending = [self.specs[trial_id] for trial_id in self.graph.pending]
        results = str(self.store.files.local_path or self.store.files.location)
        return Launch(pending, self.num_already_done, self.refused, self.medians, results)

    def outcome(self) -> LaunchOutcome:
        """Return how the launch ended."""
        blocked = [f"{b.trial_id}: needs {b.because_of}, which is {b.status}" for b in self.graph.blocked.values()]
        left = 0 if self.over and not self.stopped else len(self.graph.pending)
        refused = sum(refusal.trials for refusal in self.refused)
        return LaunchOutcome(self.graph.counts(), left, self.stopped, blocked, refused)

    def lost_the_folder(self) -> bool:
        """Return whether another driver has the results folder; if so, no more trials start."""
        if self.owns_folder():
            return False
        self.stopped = self.stopped or TAKEN_OVER
        return True

    def assign(self, spec: TrialSpec) -> Assignment:
        """Return the trial with the settings that its searches chose, and rates as numbers."""
        training, method, rule = dict(spec.training), dict(spec.method.settings), ""
        if "study" in training:
            training, _ = self.studies[training["study"]].best()
        if spec.study:
            study = self.studies[spec.study["id"]]
            chosen, rule = study.ask(spec.study["trial"]), study.objective_rule
            if study.target == "training":
                training = chosen
            else:
                method = without_idle_shares(chosen)
        return Assignment(spec, training, resolved(method, training.get("learning_rate")), rule)

    def stored_row(self, trial_id: str) -> Mapping[str, Any] | None:
        """Read the row that a trial committed for this launch, where its worker did not return it; None if none."""
        row = self.store.row(trial_id)
        if row is None or self.replaced_row(trial_id) == str(row["finished_at"]):
            return None
        if self._is_of_another_driver(row):
            self._foreign.add(trial_id)
            return None
        return row

    def replaced_row(self, trial_id: str) -> str:
        """Return when the row of an earlier launch was written that this trial replaces; "" if there is none."""
        return self._before[trial_id][0] if trial_id in self._before else ""

    def record(self, trial_id: str, row: Mapping[str, Any] | None, error: str = "") -> None:
        """Record that a trial ended with this row, which its worker returned or `stored_row` found.

        Without a row, a failed one with `error` is written, or the trial waits again because it is not to blame.
        """
        spec = self.specs[trial_id]
        try:
            if row is None and trial_id in self._foreign:
                self._withdraw(trial_id)
                self._put_back(trial_id)
                return
            if row is None and self._blameless(spec, error):
                self._put_back(trial_id)
                return
            if row is None:
                from orchestrator.run.evaluation.row import failed_row

                row = failed_row(self.assign(spec), error or "the process died without a message")
                if self._before.get(trial_id, ("", ""))[1] != "done":  # one that ran again for its model keeps its row
                    self.store.commit(row)
        except LeaseLost:
            self.stopped = self.stopped or TAKEN_OVER
            self._put_back(trial_id)
            return
        except FolderFull as full:
            self._stop_for_room(str(full))
            self._put_back(trial_id)
            return
        self._tell(spec, row)
        blocked = self.graph.end(trial_id, str(row["status"]))
        self.recorded.add(trial_id)
        self.stopped = self.stopped or self.breaker.record(spec, row)
        self.observer.finished(spec, row)
        self._say_blocked(blocked)
        self.not_indexed += 1
        if self.not_indexed >= max(INDEXED_AFTER, len(self.specs) // 10):
            self.not_indexed = 0
            with contextlib.suppress(OSError):  # the index only saves time
                self.store.compact()

    def _is_of_another_driver(self, row: Mapping[str, Any]) -> bool:
        return bool(self.store.files.driver) and row["driver_token"] != self.store.files.driver

    def _withdraw(self, trial_id: str) -> None:
        self._foreign.discard(trial_id)
        self.store.withdraw(trial_id)
        said = f"trial {trial_id} runs again: its row was written for a driver that had lost this results folder"
        warnings.warn(said, DamagedFile, stacklevel=3)

    def _reopen_replaced(self) -> None:
        """Run trials again whose rows a driver that had lost the folder replaced; with a lock, it could not."""
        if self.store.files.local_path is not None or not self.recorded:
            return
        rows = self.store.rows()
        rows = rows[rows["trial_id"].isin(list(self.recorded))]
        for trial_id in rows.loc[rows["driver_token"] != self.store.files.driver, "trial_id"]:
            if self.graph.reopen(str(trial_id)):
                self._withdraw(str(trial_id))

    def _blameless(self, spec: TrialSpec, error: str) -> bool:
        """Return whether a trial without a row is not to blame: full disk, no visible GPU, or a lost parent."""
        if error.startswith(UNSEEN):
            self.stopped = self.stopped or error
            return True
        if is_full_disk(error):
            self._stop_for_room(error.strip().splitlines()[-1])
            return True
        lost = [p for p in spec.parents.values() if p in self.specs and self.store.row(p) is None]
        if any(self.reruns.get(parent, 0) >= MOST_RERUNS for parent in lost):
            return False
        for parent in lost:
            if self.graph.reopen(parent):
                self.reruns[parent] = self.reruns.get(parent, 0) + 1
                last = (error.strip().splitlines() or ["its row is gone"])[-1]
                warnings.warn(f"trial {parent} runs again, {spec.trial_id} after it: {last}", DamagedFile, stacklevel=2)
        return bool(lost)

    def _stop_for_room(self, said: str) -> None:
        self.stopped = self.stopped or f"no room left: {said}\nMake room, then give the same command again to continue"

    def record_pruned(self, trial_id: str, objective: float | None) -> None:
        """Record that a scheduler stopped a search's trial; its process commits the row by itself."""
        if self.lost_the_folder():
            self._put_back(trial_id)
            return
        spec = self.specs[trial_id]
        row = {"status": "pruned", "objective": objective, "settings": json.dumps(dict(self.assign(spec).method))}
        self._tell(spec, row)
        blocked = self.graph.end(trial_id, "pruned")
        self.observer.finished(spec, row)
        self._say_blocked(blocked)

    def _tell(self, spec: TrialSpec, row: Mapping[str, Any]) -> None:
        if not spec.study or spec.study["id"] not in self.studies:
            return
        study = self.studies[spec.study["id"]]
        settings = json.loads(str(row["settings"]))
        objective = row["objective"] if row["status"] in ("done", "pruned") else None
        study.tell(spec.study["trial"], settings, None if objective is None else float(objective))

    @property
    def over(self) -> bool:
        """Whether no trial runs and none can start."""
        return self.graph.over


def _starts_without_a_model(trials: Sequence[TrialSpec], finished: Set[str], store: Store) -> set[str]:
    """Return trials whose models were not kept, because no request followed theirs, and are needed now."""
    if not any(spec.is_start for spec in trials):
        return set()
    kept = store.models.ids()
    found: set[str] = set()
    for spec in reversed(trials):  # the last request first: what it starts from may itself need a start
        needed = spec.parents.get("step")
        if needed and needed not in kept and (spec.trial_id not in finished or spec.trial_id in found):
            found.add(needed)
    return found
