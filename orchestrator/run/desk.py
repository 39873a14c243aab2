"""The desk: what a launch still has to run, and what became of what it ran. Every executor works from one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.plan.grid import Refusal
from orchestrator.plan.spec import TrialSpec
from orchestrator.results import Store
from orchestrator.run.board import Blocked, Board
from orchestrator.run.studies import Study
from orchestrator.run.trial import Assignment


class Desk:
    """Hands out assignments, reads their rows, and tells searches; holds no open file and can be pickled."""

    def __init__(
        self,
        trials: Sequence[TrialSpec],
        studies: Mapping[str, Study],
        store: Store,
        *,
        refused: Sequence[Refusal] = (),
        again: Callable[[Mapping[str, Any]], bool] = lambda row: False,
        on_settled: Callable[[TrialSpec, Mapping[str, Any]], None] = lambda spec, row: None,
    ) -> None:
        """`refused` is shown; `again` says of a failed row whether to run its trial anew;

        `on_settled` hears of each row.
        """
        self.store, self.studies, self.on_settled, self.refused = store, studies, on_settled, refused
        self.specs = {spec.trial_id: spec for spec in trials}
        rows = store.rows()
        rows = rows[rows["trial_id"].isin(list(self.specs))]
        finished: dict[str, str] = {}
        for record in rows.to_dict("records"):
            row = {str(name): value for name, value in record.items()}
            if row["status"] == "failed" and again(row):
                continue
            finished[str(row["trial_id"])] = str(row["status"])
            self._tell(self.specs[str(row["trial_id"])], row)
        members = {study.study_id: [spec.trial_id for spec in study.trials] for study in studies.values()}
        self.board = Board(trials, finished, members)
        self.found = len(finished)  # settled before this launch

    def take(self) -> Assignment | None:
        """The next assignment that can run now, or None."""
        while (spec := self.board.take()) is not None:
            try:
                return self.assign(spec)
            except ValueError:  # a search came to nothing: what depends on it cannot run
                self.board.settle(spec.trial_id, "blocked")
                self.board.blocked[spec.trial_id] = Blocked(spec.trial_id, str(spec.training.get("study")), "failed")
        return None

    def assign(self, spec: TrialSpec) -> Assignment:
        """The trial with the settings that its searches gave."""
        training, method, rule = dict(spec.training), dict(spec.method.settings), ""
        if "study" in training:
            training, _ = self.studies[training["study"]].best()
        if spec.study:
            study = self.studies[spec.study["id"]]
            asked, rule = study.ask(spec.study["trial"]), study.objective_rule
            training, method = (asked, method) if study.target == "training" else (training, asked)
        return Assignment(spec, training, method, rule)

    def settle(self, trial_id: str, error: str = "") -> str:
        """A trial ended: its row decides, not the executor. Where it left none, one is written."""
        spec = self.specs[trial_id]
        row = self.store.row(trial_id)
        if row is None:
            from orchestrator.run.rows import lost_row

            row = lost_row(self.assign(spec), error or "the process died without a message")
            self.store.commit(row)
        self._tell(spec, row)
        self.board.settle(trial_id, str(row["status"]))
        self.on_settled(spec, row)
        return str(row["status"])

    def settle_pruned(self, trial_id: str, objective: float | None) -> None:
        """A scheduler stopped a search's trial; its process commits the row on its own."""
        spec = self.specs[trial_id]
        row = {"status": "pruned", "objective": objective, "settings": json.dumps(dict(self.assign(spec).method))}
        self._tell(spec, row)
        self.board.settle(trial_id, "pruned")
        self.on_settled(spec, row)

    def _tell(self, spec: TrialSpec, row: Mapping[str, Any]) -> None:
        if not spec.study or spec.study["id"] not in self.studies:
            return
        study = self.studies[spec.study["id"]]
        settings = json.loads(str(row["settings"]))
        objective = row["objective"] if row["status"] in ("done", "pruned") else None
        study.tell(spec.study["trial"], settings, None if objective is None else float(objective))

    @property
    def over(self) -> bool:
        """Nothing runs and nothing can."""
        return self.board.over
