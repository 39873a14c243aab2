"""A removal request on one page: measure, unlearn, check, attack, write. The input is never changed.

Everything is written to a scratch folder next to the output, which is renamed at the end: an interrupted run leaves
nothing that looks finished.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from backbones.base import SpeechClassifier
from backbones.checkpoints import weights_id
from backbones.fine_tuned import require_weights
from backbones.opened import open_model
from methods.base import Training
from orchestrator.evidence.removal import Decision
from orchestrator.forget.before import before_unlearning, measured
from orchestrator.forget.choosing import Unlearned, choose_method, require_method, sides_of, unlearn
from orchestrator.forget.clock import Clock
from orchestrator.forget.comparing import Logits, Rows, Sides, fair_strata, named_after_relearning
from orchestrator.forget.documents import write_documents
from orchestrator.forget.earlier import (
    Earlier,
    earlier_requests,
    read_what_is_left,
    rows_removed,
    still_forgotten,
)
from orchestrator.forget.harm import harm_to_others, warning_of
from orchestrator.forget.judging import judge
from orchestrator.forget.kept_outputs import write_outputs
from orchestrator.forget.lineage import model_folder, served_requests, write_lineage, write_places
from orchestrator.forget.problem import JUDGED, Case, require_unheard, retrained
from orchestrator.forget.pseudonyms import open_key
from orchestrator.forget.relearned import after_relearning
from orchestrator.forget.report import Facts, report_of
from orchestrator.forget.request import Request, asked_of, resolve, without_earlier
from orchestrator.forget.residue import Sought, as_rows, purge, scan
from orchestrator.forget.scratch import scratch_folder
from orchestrator.forget.speech import read_speech, require_clip_seconds, require_finite, require_finite_weights

MODEL, OUTPUTS, REPORT = "model", "evidence/outputs.parquet", "report.json"
SEEDS = 2**63  # what random generators take
LARGEST = 2**31  # epochs and recordings of a batch


@dataclass(frozen=True, kw_only=True)
class Options:
    """What an operator says: the model, its manifest, the request, where to write, and how the model was trained."""

    model: Path
    data: Path
    request: Request
    out: Path
    key: Path
    method: str = "auto"
    with_retrain: bool = False
    base: Path | None = None  # folder of the pretrained encoder
    root: Path | None = None  # of the recordings
    clip_seconds: float | None = None
    training: Training = field(default_factory=Training)  # how the model was trained: rates and limits are shares of it
    limit: float = 0.5  # of each run of a method, as a share of what retraining would process
    seed: int = 0
    scan: tuple[Path, ...] = ()  # results folders in which residue is looked for
    purge: bool = False  # whether to remove the residue that is found
    classes_are: str | None = None  # people or words; None: people if in doubt

    def __post_init__(self) -> None:
        """Raises:
        ValueError: a number that is out of its bounds.
        """
        training, seconds = self.training, self.clip_seconds
        for name, value in (("--limit", self.limit), ("--learning-rate", training.learning_rate)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be above 0; got {value:g}")
        for name, count in (("--epochs", training.epochs), ("--batch-size", training.batch_size)):
            if not 1 <= count < LARGEST:
                raise ValueError(f"{name} must be 1 or more, and below 2**31; got {count}")
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"--seed must be 0 or more, and below 2**63; got {self.seed}")
        require_method(self.method, self.base)
        if seconds is not None:
            require_clip_seconds(seconds)
        if self.classes_are not in (None, "people", "words"):
            raise ValueError(f"--classes-are must be people or words; got {self.classes_are!r}. Leave it out if unsure")


@dataclass(frozen=True)
class Served:
    """The result of a request: the verdict, the report, and where it was written."""

    decision: Decision
    report: dict[str, Any]
    folder: Path


def serve(options: Options, say: Callable[[str], None] = lambda line: None) -> Served:
    """Serve a removal request, from the model and its manifest to the child, the card and the report.

    Args:
        options: what the operator says.
        say: receives lines of progress, in which recordings and people are pseudonyms.

    Raises:
        ValueError: a mistake of the operator; nothing was written.
    """
    started, clock = time.time(), Clock()
    out = options.out
    if out.exists():
        raise ValueError(f"{out} exists already. Name another --out: a result is never overwritten")
    if options.with_retrain and options.base is None:
        raise ValueError(
            "--with-retrain needs --base: the folder of the pretrained encoder that the model started from"
        )
    if options.base is not None:
        require_weights(options.base)
    for folder in options.scan:
        if not folder.is_dir():
            raise ValueError(f"There is no results folder {folder}. Name folders that exist with --scan")
    parent = model_folder(options.model)
    opened = open_model(parent)
    require_method(options.method, options.base, opened.target)
    pseudonyms = open_key(options.key)
    recordings = read_what_is_left(options.data, opened.classes, options.root, options.model, pseudonyms)
    resolved = resolve(options.request, recordings, opened.classes)
    earlier = earlier_requests(options.model, recordings, pseudonyms, near=(out.parent,))
    removed = rows_removed(earlier)
    resolved = without_earlier(resolved, recordings, removed)
    require_unheard(resolved, recordings)
    for number, one in enumerate(earlier, start=1):
        if one.missing:
            say(f"earlier request {number} of {len(earlier)}: {one.missing} of its recordings are not in this manifest")
    original = require_finite_weights(opened.load())
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(out) as scratch:
        with clock("reading"):
            say(f"reading {len(recordings)} recordings; {len(resolved.everything)} are to be forgotten")
            speech = read_speech(opened, recordings, scratch, options.clip_seconds)
            logits = require_finite("the model", speech.logits(original))
        case = Case(
            opened=opened,
            recordings=recordings,
            resolved=resolved,
            speech=speech,
            original=original,
            original_logits=logits,
            training=options.training,
            seed=options.seed,
            base=options.base,
            forgotten_before=removed,
        )
        method = choose_method(options.method, case)
        before = before_unlearning(case)
        harm = harm_to_others(case)
        if harm and harm.much:
            say(warning_of(harm))
        waits = bool(before.unfair) and options.with_retrain
        say("memory is measured against the retrained model, once there is one" if waits else before.said)
        result = scratch / "result"
        (result / MODEL).mkdir(parents=True)
        unlearned, sides, child_logits = _steps(case, method, options, result / MODEL, clock, say)
        found, unfair, decision = judge(sides)
        if waits:
            before = measured(found, unfair)
            say(before.said)
        with clock("checking earlier requests"):
            again = _still_forgotten(earlier, case, result / MODEL, child_logits, say)
        with clock("writing"):
            write_outputs(result / OUTPUTS, sides, pseudonyms)
            rows = np.union1d(resolved.everything, resolved.never_trained)
            sought = Sought(pseudonyms.of, {pseudonyms.of("audio", str(one)) for one in recordings.digests[rows]})
            residue = scan(recordings, rows, options.scan, out.parent, skip=(scratch,), sought=sought)
            facts = Facts(
                case=case,
                limit=options.limit,
                pseudonyms=pseudonyms,
                unlearned=unlearned,
                child_logits=child_logits,
                before=before.comparisons,
                before_unfair=before.unfair,
                before_said=before.said,
                after=found,
                decision=decision,
                parent_sha256=weights_id(str(parent), "main"),
                child_sha256=weights_id(str(result / MODEL), "main"),
                earlier=again,
                residue=residue,
                seconds=clock.seconds,
                started_at=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
                with_retrain="retrained" in sides.logits,
                named_after_relearning=named_after_relearning(sides),
                relearned="relearned" in sides.logits,
                asked=asked_of(options.request),
                served=served_requests(options.model, pseudonyms),
                classes_are=options.classes_are,
                harm=harm,
            )
            report = report_of(facts)
            write_lineage(result / MODEL, report["lineage"], pseudonyms, speech.samples)
            write_places(result, parent.absolute(), [one.folder.absolute() for one in earlier if one.folder])
            write_documents(report, result, parent)
        os.replace(result, out)
    if options.purge:  # last: what was found is on record, whatever happens now
        left = purge(residue)
        kept = {one.path for one in left}
        report["residue"] = as_rows(left, [one for one in residue if one.path not in kept])
        write_documents(report, out, parent)
    say(_residue_said(report["residue"]))
    say(f"verdict: {decision.verdict}")
    return Served(decision, report, out)


def _residue_said(rows: list[dict[str, Any]]) -> str:
    removed = sum(row["removed"] for row in rows)
    free = sum(not row["removed"] and not row["kept_because"] for row in rows)
    said = f"residue: {len(rows)} found, {removed} removed, {len(rows) - removed - free} to be left or checked by hand"
    return f"{said}, {free} that --purge can remove (dry run)" if free else said


def _steps(
    case: Case,
    method: str,
    options: Options,
    folder: Path,
    clock: Clock,
    say: Callable[[str], None],
) -> tuple[Unlearned, Sides, Logits]:
    """Unlearn, attack by relearning and, if requested, retrain; return the child and all outputs.

    The child is written to `folder` and read again: what is judged are the weights as they are stored, rounded to the
    parent's data type.
    """
    rows, models = case.unheard(*JUDGED), dict[str, tuple[Logits, Logits]]()

    def both(model: Any) -> tuple[Logits, Logits]:
        return case.speech.logits(model, case.forget), case.speech.logits(model, rows)

    models["original"] = case.original_logits[case.forget], case.original_logits[rows]
    if options.with_retrain and not fair_strata(sides_of(case, rows, {}))[1]:
        say("no model is retrained: unheard recordings of the same class and speaker are a fair reference")
    elif options.with_retrain:
        with clock("retraining"):
            models["retrained"] = both(retrained(case, say))
            require_finite("the retrained model", np.concatenate(models["retrained"]))
    with clock("unlearning"):
        unlearned = unlearn(case, method, options.limit, say)
    with clock("checking"):
        assert isinstance(unlearned.model, SpeechClassifier)
        case.opened.save(unlearned.model, folder)
        child = open_model(folder).load()
        child_logits = require_finite("the unlearned model", case.speech.logits(child))
        models["child"] = child_logits[case.forget], child_logits[rows]
        say("relearning attack")
        shown, attacked = None, after_relearning(case, child, case.forget, rows)
        if attacked is None:
            say("relearning attack: failed, its training diverged")
        else:
            models["relearned"], shown = attacked[0], np.isin(case.forget, attacked[1])
    return unlearned, sides_of(case, rows, models, shown), child_logits


def _still_forgotten(
    earlier: list[Earlier], case: Case, folder: Path, child_logits: Logits, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Judge each earlier request on the child in this folder, with a relearning attack of its own."""
    child, found = open_model(folder).load() if earlier else None, list[dict[str, Any]]()

    def attack(mine: Rows, theirs: Rows) -> tuple[tuple[Logits, Logits], Rows] | None:
        assert child is not None
        return after_relearning(case, child, mine, theirs)

    for number, one in enumerate(earlier, start=1):
        say(f"earlier request {number} of {len(earlier)}: checking again")
        found.append(still_forgotten(one, child_logits, attack))
    return found
