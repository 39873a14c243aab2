"""Repeat the checks of a served request from what it kept: digests, the verdict, and outputs where recordings are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from backbones.checkpoints import weights_id
from backbones.opened import open_model
from orchestrator.forget.judging import RULE, judge
from orchestrator.forget.kept_outputs import read_outputs
from orchestrator.forget.kinds import KINDS
from orchestrator.forget.lineage import OUTPUTS, OtherFormat, places_of, read_report, writer_of
from orchestrator.forget.pseudonyms import Pseudonyms
from orchestrator.forget.recordings import read_manifest
from orchestrator.forget.residue import Residue, Sought, scan
from orchestrator.forget.speech import read_speech
from orchestrator.tasks.base import SAMPLE_RATE_HZ

State = Literal["confirmed", "differs", "cannot tell"]
CLOSE = 1e-3  # of a logit: two processors round differently


@dataclass(frozen=True)
class Check:
    """One check and what came of it, as a sentence."""

    state: State
    said: str


def verify(
    folder: Path, manifest: Path | None = None, pseudonyms: Pseudonyms | None = None, root: Path | None = None
) -> list[Check]:
    """Repeat the checks of an output; nothing is changed.

    Args:
        folder: the output of `unlearn forget`.
        manifest: the training manifest, if recordings are to be classified again.
        pseudonyms: under the key of the request; needed with `manifest`.
        root: folder of the recordings.

    Raises:
        ValueError: it is no output, its report is damaged, or the manifest cannot be used.
    """
    try:
        report = read_report(folder)
    except OtherFormat as error:
        return [Check("cannot tell", f"report: cannot be checked: {error}")]
    original = places_of(folder).get("original", "unknown")
    return [
        _digest("model", folder / "model", report["model"]["child_sha256"]),
        _digest("original", Path(original), report["model"]["parent_sha256"]),
        _of_this_version("verdict", lambda: _verdict(folder, report), report),
        _of_this_version("outputs", lambda: _outputs(folder, manifest, pseudonyms, root, report), report),
    ]


def residue_of(
    folder: Path,
    manifest: Path,
    pseudonyms: Pseudonyms,
    root: Path | None,
    results: Sequence[Path],
    cache: Path | None = None,
) -> tuple[list[Residue], list[str]]:
    """List what holds the recordings of a served request now, and say what could not be searched; change nothing.

    Audio is found by the keyed digests of the report, whether or not files and rows are still there.

    Raises:
        ValueError: another key than that of the request, or the manifest cannot be used.
    """
    try:
        report = read_report(folder)
    except OtherFormat as error:
        return [], [str(error)]
    if pseudonyms.fingerprint != report["key_fingerprint"]:
        raise ValueError("This is not the key of the request; name that key: it finds the recordings in the manifest")
    recordings = read_manifest(manifest, None, root, missing_allowed=True)  # the model may be deployed elsewhere
    named = {*report["request"]["forgotten"], *report["request"]["never_trained_on"]}
    rows = [row for row, name in enumerate(recordings.ids) if pseudonyms.of("recording", str(name)) in named]
    found, audio = np.array(rows, dtype=np.int64), report["request"].get("audio")
    not_searched = []
    if pruned := len(named) - len(rows):
        not_searched.append(
            f"{pruned} of {len(named)} recordings are not in the manifest: outputs that name them by a path are "
            "not found"
        )
    gone = pruned + sum(not recordings.paths[row].is_file() for row in rows)
    if audio is None and gone:
        not_searched.append(
            f"the audio of {gone} of {len(named)} recordings is deleted, and the report keeps no digests of it: "
            "corpora and features with these alone are not found"
        )
    sought = Sought(pseudonyms.of, None if audio is None else frozenset(audio), frozenset(named))
    return scan(recordings, found, results, folder.parent, cache, sought=sought), not_searched


def exit_code(checks: list[Check]) -> int:
    """Return 3 if a check differs, 4 if one could not be made, else 0."""
    states = {check.state for check in checks}
    return 3 if "differs" in states else 4 if "cannot tell" in states else 0


def _digest(what: str, folder: Path, expected: str) -> Check:
    try:
        found = weights_id(str(folder), "main")
    except (OSError, ValueError):
        return Check("cannot tell", f"{what}: not where it was ({folder})")
    if found != expected:
        return Check("differs", f"{what}: SHA-256 is {found}, not {expected}")
    return Check("confirmed", f"{what}: SHA-256 is that of the report")


def _of_this_version(what: str, check: Callable[[], Check], report: dict[str, Any]) -> Check:
    """Make a check; where another version of the rule wrote the output, what is not confirmed cannot be checked.

    Raises:
        ValueError: the output is of this version, and damaged.
    """
    rule = report.get("rule", 0)
    try:
        found = check()
    except ValueError:
        if rule == RULE:
            raise
        found = Check("differs", "")
    if rule == RULE or found.state != "differs":
        return found
    return Check(
        "cannot tell",
        f"{what}: cannot be checked: {writer_of(report)} wrote this output by version {rule} of the rule, and this is "
        f"version {RULE}; check it with that version",
    )


def _verdict(folder: Path, report: dict[str, Any]) -> Check:
    path = folder / OUTPUTS
    if not path.is_file():
        return Check("cannot tell", f"verdict: the outputs that were kept are deleted ({OUTPUTS})")
    found = judge(read_outputs(path))[2]
    if found.verdict != report["verdict"]:
        return Check("differs", f"verdict: the kept outputs give {found.verdict!r}, not {report['verdict']!r}")
    if list(found.reasons) != report["reasons"]:
        return Check("differs", f"verdict: the kept outputs give {found.verdict!r} again, for other reasons")
    return Check("confirmed", f"verdict: the kept outputs give {found.verdict!r} again")


def _outputs(
    folder: Path, manifest: Path | None, pseudonyms: Pseudonyms | None, root: Path | None, report: dict[str, Any]
) -> Check:
    """Classify the recordings again where they are still there, and compare with the outputs that were kept."""
    if manifest is None or pseudonyms is None:
        return Check("cannot tell", "outputs: recordings not given (name their manifest with --data)")
    if pseudonyms.fingerprint != report["key_fingerprint"]:
        return Check("cannot tell", "outputs: this is not the key of the request")
    if not (folder / OUTPUTS).is_file():
        return Check("cannot tell", f"outputs: they are deleted ({OUTPUTS})")
    try:
        opened = open_model(folder / "model")
        recordings = read_manifest(manifest, opened.classes, root, missing_allowed=True)
    except ValueError as error:
        return Check("cannot tell", f"outputs: {error}")
    kept = read_outputs(folder / OUTPUTS)
    names = np.concatenate([kept.forget_ids, kept.unheard_ids]).tolist()
    rows = {
        pseudonyms.of("recording", str(name)): row
        for row, name in enumerate(recordings.ids)
        if recordings.paths[row].is_file()
    }
    gone = [name for name in names if name not in rows]
    if gone:
        return Check("cannot tell", f"outputs: recordings deleted ({len(gone)} of {len(names)})")
    with tempfile.TemporaryDirectory(prefix="unlearn-verify-") as scratch:
        chosen = recordings.at(np.array([rows[name] for name in names]))
        seconds = report["model"]["clip_samples"] / SAMPLE_RATE_HZ
        found = read_speech(opened, chosen, Path(scratch), seconds).logits(opened.load())
    child = np.concatenate(kept.logits["child"])
    if found.shape != child.shape:
        return Check("differs", f"outputs: the model has {found.shape[1]} classes, and {child.shape[1]} were kept")
    apart = KINDS[kept.target].apart(found, child)
    if not apart <= CLOSE:  # also where it is no number
        return Check("differs", f"outputs: they differ by up to {apart:.4f} from those that were kept")
    return Check("confirmed", f"outputs: {len(names)} recordings read again, outputs equal to {apart:.1e}")
