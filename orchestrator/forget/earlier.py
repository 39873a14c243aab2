"""Requests that were served before on the same model: their recordings in a manifest, and their checks on a new child.

Recordings are found by id and by audio, each as a keyed hash. No manifest can bring a removed recording back into
training under another id, and no other recording is taken for a removed one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.evidence.removal import Decision, decide
from orchestrator.forget.comparing import Logits, Rows
from orchestrator.forget.judging import judge
from orchestrator.forget.kept_outputs import read_outputs
from orchestrator.forget.lineage import OUTPUTS, REPORT, output_folder, places_of, read_report, served_requests
from orchestrator.forget.pseudonyms import Pseudonyms
from orchestrator.forget.recordings import SHOWN, Recordings, read_manifest

Attack = Callable[[Rows, Rows], tuple[tuple[Logits, Logits], Rows] | None]


@dataclass(frozen=True)
class Earlier:
    """A request before this one, with the rows that it removed."""

    pseudonym: str
    kind: str
    rows: Rows  # of this manifest, ascending; also copies that are kept from training now: the model knew the audio
    row_of: Mapping[str, int]  # by pseudonym of a recording
    folder: Path | None  # its output; None if it is not found
    missing: int = 0  # recordings that it removed, and that this manifest does not list


def read_what_is_left(
    data: Path, classes: tuple[str, ...], root: Path | None, model: Path, pseudonyms: Pseudonyms
) -> Recordings:
    """Read a manifest; recordings that earlier requests named may be deleted, and are left out if they are.

    Raises:
        ValueError: as `read_manifest` and `served_requests`.
    """
    served = served_requests(model, pseudonyms)
    named = {name for one in served for key in ("forgotten", "never_trained_on") for name in one.get(key, ())}
    return read_manifest(data, classes, root, may_miss=lambda name: pseudonyms.of("recording", name) in named)


def rows_removed(earlier: Iterable[Earlier]) -> Rows:
    """Return all rows that these requests removed, ascending."""
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *(one.rows for one in earlier)]))


def earlier_requests(
    model: Path, recordings: Recordings, pseudonyms: Pseudonyms, near: Sequence[Path] = ()
) -> list[Earlier]:
    """Find the requests that the model has served, oldest first, and their recordings in this manifest.

    A model knows them by the file `lineage.json` in its folder, wherever the folder is. That file has no paths, which
    may name people. Outputs are found by the digest of their model, where the model's own output says that they are
    (`evidence/places.json`), next to it, or in the folders `near`.

    Raises:
        ValueError: an earlier request was written with another key, so that its recordings cannot be found; nothing
            says what it removed; a training recording has removed audio and another id; or a recording has the id of a
            removed one and other audio.
    """
    served = served_requests(model, pseudonyms)
    if not served:
        return []
    names = [pseudonyms.of("recording", str(name)) for name in recordings.ids]
    audio = np.array([pseudonyms.of("audio", str(digest)) for digest in recordings.digests])
    rows, outputs = {name: row for row, name in enumerate(names)}, _outputs_by_child(model, near)
    removed = np.isin(names, [name for one in served for name in one["forgotten"]])
    train, found = recordings.splits == "train", list[Earlier]()
    for one in served:
        here, missing = np.isin(names, one["forgotten"]), sum(name not in rows for name in one["forgotten"])
        if "audio" in one:
            _require_same_audio(recordings, np.flatnonzero(here & ~np.isin(audio, one["audio_forgotten"])))
            _require_removed(recordings, np.flatnonzero(train & ~removed & np.isin(audio, one["audio"])))
            here |= ~train & np.isin(audio, one["audio_forgotten"])
        elif missing:
            raise ValueError(
                f"The lineage of {model} keeps no digests of audio, and {missing} of {len(one['forgotten'])} removed "
                f"recordings are not in {recordings.manifest.name} by id: they may be there under other ids. List "
                "them under their ids of then"
            )
        output = outputs.get((str(one.get("child_sha256")), one["pseudonym"]))
        found.append(Earlier(one["pseudonym"], one["kind"], np.flatnonzero(here), rows, output, missing))
    return found


def _require_removed(recordings: Recordings, back: Rows) -> None:
    if len(back):
        raise ValueError(
            f"{len(back)} training recordings of {recordings.manifest.name} have the audio of recordings whose removal "
            f"was requested before: {_shown(recordings, back)}. Training would bring them back. Delete their rows, or "
            "list those that were removed under their ids of then"
        )


def _require_same_audio(recordings: Recordings, changed: Rows) -> None:
    if len(changed):
        raise ValueError(
            f"{len(changed)} recordings of {recordings.manifest.name} have the ids of recordings that were removed "
            f"before, and other audio: {_shown(recordings, changed)}. If they are others, give them ids of their own; "
            "else restore the files, or delete their rows"
        )


def _shown(recordings: Recordings, rows: Rows) -> str:
    return ", ".join(recordings.ids[rows[:SHOWN]].tolist()) + (", …" if len(rows) > SHOWN else "")


def _outputs_by_child(model: Path, near: Sequence[Path]) -> dict[tuple[str, str], Path]:
    """Return the outputs that can be found, by the digest of their model and the request."""
    own, found = output_folder(model), dict[tuple[str, str], Path]()
    candidates = [] if own is None else [own, *map(Path, places_of(own).get("outputs", []))]
    for folder in (*([] if own is None else [own.parent]), *near):
        candidates += sorted(file.parent for file in folder.glob(f"*/{REPORT}")) if folder.is_dir() else []
    for folder in candidates:
        try:
            report = read_report(folder)
        except ValueError:
            continue
        found.setdefault((report["model"]["child_sha256"], report["request"]["pseudonym"]), folder)
    return found


def still_forgotten(earlier: Earlier, child: Logits, attack: Attack) -> dict[str, Any]:
    """Judge an earlier request on another child by the same rule, against the original of that time.

    The original's outputs are those that the earlier request kept; without them the answer is `cannot tell`.

    Args:
        earlier: the request.
        child: (N, C) logits of the new child on the whole manifest.
        attack: shows the child a fifth of the first rows again, and returns its logits on both and the rows shown; None
            if its training diverged.
    """
    decision = _judged(earlier, child, attack)
    return {
        "request": earlier.pseudonym,
        "kind": earlier.kind,
        "recordings": len(earlier.rows),
        "not_in_manifest": earlier.missing,
        "verdict": decision.verdict,
        "reasons": list(decision.reasons),
    }


def _judged(earlier: Earlier, child: Logits, attack: Attack) -> Decision:
    if earlier.folder is None or not (earlier.folder / OUTPUTS).is_file():
        return decide([], f"The outputs that the earlier request kept were moved or deleted ({OUTPUTS}).")
    try:
        kept = read_outputs(earlier.folder / OUTPUTS)
    except ValueError:
        return decide([], f"The outputs that the earlier request kept cannot be read ({OUTPUTS}).")
    sides = [kept.forget_ids.tolist(), kept.unheard_ids.tolist()]
    if any(name not in earlier.row_of for side in sides for name in side):
        return decide([], "The recordings of the earlier request are not all in this manifest.")
    mine, theirs = (np.array([earlier.row_of[name] for name in side], dtype=np.int64) for side in sides)
    logits = {name: both for name, both in kept.logits.items() if name in ("original", "retrained")}
    logits["child"], shown = (child[mine], child[theirs]), np.zeros(len(mine), dtype=bool)
    if attacked := attack(mine, theirs):
        logits["relearned"], shown = attacked[0], np.isin(mine, attacked[1])
    return judge(replace(kept, logits=logits, relearned_on=shown))[2]
