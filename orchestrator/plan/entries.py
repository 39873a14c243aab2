"""Entries of `tasks` and `backbones` in a sweep become plug-ins; `tune_on` names the recordings of searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from backbones.weight_files import DamagedWeights
from orchestrator import plugins
from orchestrator.plan.plug_in_keys import BackboneEntry, TaskEntry
from orchestrator.plan.scenarios import ABSENT, Scenario, removed_ids
from orchestrator.plan.spec import PlugIn
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.plan.tuned_settings import Lock
from orchestrator.tasks.base import Task

Refuse = Callable[[str, str], None]
"""Takes what cannot be used and the reason."""


class TaskLoader:
    """Creates the tasks of one plan; what several of them read from disk is read once."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []

    def load(self, name: str, settings: Mapping[str, Any]) -> Task:
        """Create a task.

        Raises:
            ValueError: an unknown task or setting, or a setting out of range.
        """
        task: Task = plugins.load("tasks", name, **settings)
        for other in self._tasks:
            task.reuse(other)
        self._tasks.append(task)
        return task


def task_plugin(entry: TaskEntry, scenarios: Sequence[Scenario], refuse: Refuse, loader: TaskLoader) -> PlugIn:
    """Return the plug-in of a task; refuse it, with an absent content, if its data are missing.

    Raises:
        ValueError: an unknown task or setting, or a setting out of range.
    """
    settings = entry.settings
    task = loader.load(entry.name, settings)
    if removed := removed_ids(scenarios, entry.title):
        settings = {**settings, "keep_in_train": [*task.keep_in_train, *removed]}
        task = loader.load(entry.name, settings)
    try:
        content = task.fingerprint()
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        refuse(f"task {entry.title}", str(error))
        content = ABSENT
    made = PlugIn(
        kind="tasks",
        name=entry.name,
        alias=entry.alias,
        settings=settings,
        identity=task.settings(),
        version=task.version,
        content=content,
    )
    return made.carrying(task)


def backbone_plugin(entry: BackboneEntry, refuse: Refuse) -> PlugIn:
    """Return the plug-in of a backbone; refuse it, with an absent content, if its weights are missing or damaged.

    Raises:
        ValueError: an unknown backbone or setting, or a setting out of range.
    """
    backbone = plugins.load("backbones", entry.name, **entry.settings)
    try:
        content = backbone.weights_id()
    except (FileNotFoundError, PermissionError, DamagedWeights) as error:
        refuse(f"backbone {entry.title}", str(error))
        content = ABSENT
    paths = ("checkpoint", "revision")  # `content` identifies the weights
    identity = {f.name: getattr(backbone, f.name) for f in fields(backbone) if f.name not in paths}
    made = PlugIn(
        kind="backbones",
        name=entry.name,
        alias=entry.alias,
        settings=entry.settings,
        identity=identity,
        version=backbone.version,
        content=content,
    )
    return made.carrying(backbone)


def require_lock_of_these_recordings(
    sweep: Sweep, lock: Lock, scenarios: Sequence[Scenario], loader: TaskLoader
) -> None:
    """Check that the settings of a lock file were chosen on the recordings that the sweep names for searches.

    Raises:
        ValueError: they were chosen on others, or `tune_on` changes no recording of its task.
    """
    chosen: dict[str, set[str]] = {}
    for choice in lock.choices:
        chosen.setdefault(choice.task, set()).add(choice.corpus)
    for entry in sweep.tasks:
        if entry.tune_on is None:
            continue
        own, other = (task_plugin(one, scenarios, _ignore, loader).content for one in (entry, entry.for_tuning))
        if ABSENT in (own, other):
            continue
        if own == other:
            raise ValueError(
                f"tune_on of {entry.title} must name other recordings: got {entry.tune_on}, which changes nothing; "
                "name other speakers, takes or seeds"
            )
        if wrong := chosen.get(entry.title, {other}) - {other}:
            raise ValueError(
                f"the lock file chose settings for {entry.title} on other recordings than tune_on names: got corpus "
                f"{', '.join(sorted(name or 'of the task itself' for name in wrong))}, tune_on is {other}; "
                "give `unlearn tune` again"
            )


def _ignore(what: str, reason: str) -> None:
    """Refuse nothing: whoever uses the task says why it cannot be used."""
