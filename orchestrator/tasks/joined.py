"""Several corpora with the same classes as one, in which the attribute `source` says where a recording is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from orchestrator.plugin_registry import entries, entry_of
from orchestrator.tasks.base import CorpusSize, Kind, Source, Task, Utterance

OWN = ("name", "relabel", "attributes")  # keys of a part that are not settings of its task
OF_THE_WHOLE = ("label_noise", "poison", "keep_in_train")  # which are applied to the joined corpus


@dataclass(frozen=True, kw_only=True)
class Joined(Task):
    """Corpora next to each other: real and synthetic voices, or languages that were recorded apart.

    `parts` has a task for each source: `{SOURCE: {name: TASK, relabel: {ITS LABEL: OURS}, attributes: {language: ar},
    and the task's settings}}`. Ids and speakers are named SOURCE/theirs. Each part keeps its own splits, but for the
    holdout, which is drawn from all of train.
    """

    label: ClassVar[str] = "joined"
    version: ClassVar[int] = 1

    parts: Mapping[str, Mapping[str, Any]] = field(metadata={"identity": False})  # `settings` names them without paths

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.parts, Mapping) or len(self.parts) < 2:
            raise ValueError("joined needs two or more parts: write {SOURCE: {name: TASK}, OTHER: {name: TASK}}")
        for source, part in self.parts.items():
            if not isinstance(part, Mapping) or part.get("name") not in entries("tasks") or part["name"] == "joined":
                known = ", ".join(name for name in entries("tasks") if name != "joined")
                raise ValueError(f"part {source} needs the name of a task: got {part!r}, allowed: {known}")
            if wrong := [key for key in OF_THE_WHOLE if key in part]:
                raise ValueError(f"{wrong[0]} is a setting of the joined task: got it in part {source}; move it")
        if len(kinds := {task.kind for task in self._tasks.values()}) > 1:
            raise ValueError(f"parts must have one kind of class: got {' and '.join(sorted(kinds))}")
        if kinds == {"transcripts"}:  # their holdout has controls that must not get into train
            raise ValueError("parts must have classes: got tasks with transcripts; use one of them alone")

    @cached_property
    def _tasks(self) -> dict[str, Task]:
        found = {}
        for source, part in self.parts.items():
            settings = {key: value for key, value in part.items() if key not in OWN}
            made = entry_of("tasks", str(part["name"])).factory()
            cls: type[Any] = made.func if isinstance(made, partial) else made  # type: ignore[assignment]
            preset = made.keywords if isinstance(made, partial) else {}
            allowed = [one.name for one in fields(cls)]
            if stray := [key for key in settings if key not in allowed]:
                raise ValueError(f"part {source}: {part['name']} has no setting {stray[0]}; its: {', '.join(allowed)}")
            try:
                found[source] = TypeAdapter(cls).validate_python({**preset, **settings})
            except ValidationError as error:
                wrong = error.errors()[0]
                own = str(wrong["ctx"]["error"]) if "error" in wrong.get("ctx", {}) else wrong["msg"]
                where = "".join(f"{place} " for place in wrong["loc"])
                raise ValueError(f"part {source}: {where}{own}") from None
        return found

    @property
    def kind(self) -> Kind:
        """That of every part."""
        return next(iter(self._tasks.values())).kind

    @property
    def unforgettable(self) -> tuple[str, ...]:
        """Those of any part."""
        return tuple(dict.fromkeys(name for task in self._tasks.values() for name in task.unforgettable))

    def settings(self) -> dict[str, Any]:
        """Those of the parts' tasks, without paths."""
        about = {
            source: {
                "name": part["name"],
                "version": self._tasks[source].version,
                "settings": self._tasks[source].settings(),
                "relabel": {str(old): str(new) for old, new in part.get("relabel", {}).items()},
                "attributes": dict(part.get("attributes", {})),
            }
            for source, part in self.parts.items()
        }
        return {**super().settings(), "sources": about}

    def content(self) -> Mapping[str, Any]:
        """That of each part."""
        return {source: dict(task.content()) for source, task in self._tasks.items()}

    def expected_size(self) -> CorpusSize:
        """The sum of the parts, with the longest recordings and the most classes of any."""
        sizes = [task.expected_size() for task in self._tasks.values()]
        return CorpusSize(
            sum(size.utterances for size in sizes), max(size.seconds for size in sizes), max(s.classes for s in sizes)
        )

    def read(self) -> Source:
        """All recordings, one part after another.

        Raises:
            ValueError: the parts differ in their classes.
        """
        sources = {source: task.read() for source, task in self._tasks.items()}
        renamed = {source: [self._ours(source, name) for name in read.classes] for source, read in sources.items()}
        first, classes = next(iter(renamed.items()))
        for source, others in renamed.items():
            if differ := sorted(set(classes) ^ set(others)):
                raise ValueError(
                    f"parts must have the same classes: got {', '.join(differ)} in {first} or {source} only; select "
                    "classes with `where`, or rename them with `relabel`"
                )
        skipped: list[str] = []

        def utterances() -> Iterator[Utterance]:
            for source, read in sources.items():
                known = {"source": source, **self.parts[source].get("attributes", {})}
                for one in read.utterances:
                    yield replace(
                        one,
                        utterance_id=f"{source}/{one.utterance_id}",
                        label=self._ours(source, one.label),
                        speaker=f"{source}/{one.speaker}" if one.speaker else "",
                        split="train" if one.split == "holdout" else one.split,
                        attributes={**one.attributes, **known},
                    )
                skipped.extend(f"{source}: {what}" for what in read.skipped)

        notes = [f"{source}: {note}" for source, read in sources.items() for note in read.notes]
        return Source(tuple(dict.fromkeys(classes)), utterances(), skipped, notes)

    def _ours(self, source: str, label: str) -> str:
        renamed = {str(old): str(new) for old, new in self.parts[source].get("relabel", {}).items()}
        return renamed.get(label, label)


TASKS = {"joined": Joined}
