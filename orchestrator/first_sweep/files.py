"""The files of a first sweep: a manifest, the sweep with comments, and the schema that editors complete it with."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from orchestrator.first_sweep.survey import Survey, write_manifest
from orchestrator.plan.json_schema import sweep_json_schema

MANIFEST, SWEEP, SCHEMA = "manifest.csv", "sweep.yaml", "sweep.schema.json"
STEPS = 200  # of training, about what the smallest backbones need
EPOCHS = (5, 40)
BATCH_SIZE = 32
MANY_CLASSES = 40  # from here on a share of them is forgotten, not one
SWEEP_TEXT = """\
# yaml-language-server: $schema={schema}
# A first sweep on {what}. docs/sweeps.md describes every key; `unlearn ls` lists what there is to choose from.
name: {name}
description: {description}
tasks:
  - name: audio_folder
    as: {name}
    root: {root}
    manifest: {manifest}
    target: {target} # what a class is: keywords or speakers
backbones: [whisper_nano] # small and packaged, trains on a processor; whisper_tiny and others need their weights
unlearning:
{requests}
methods: # original and retrain are what the others are compared with
  - original
  - retrain
  - grad_ascent
  - random_label
  - scrub
seeds: [0] # more seeds give error bars: [0, 1, 2]
training: {training}
time_budget: {{fraction: 1.0, unit: samples}} # unlearning may cost as much as retraining
"""


@dataclass(frozen=True)
class Written:
    """What `write_files` wrote."""

    name: str  # of the sweep
    manifest: Path
    sweep: Path
    schema: Path


def write_files(root: Path, found: Survey, into: Path, *, force: bool = False) -> Written:
    """Write the manifest, the sweep and its schema into a folder.

    Raises:
        ValueError: one of the files is there already, and `force` is off.
    """
    written = Written(_name(root), into / MANIFEST, into / SWEEP, into / SCHEMA)
    require_absent(into, force=force)
    into.mkdir(parents=True, exist_ok=True)
    write_manifest(written.manifest, found.rows)
    written.sweep.write_text(sweep_text(root, found, written), encoding="utf-8")
    written.schema.write_text(json.dumps(sweep_json_schema(), indent=2) + "\n", encoding="utf-8")
    return written


def require_absent(into: Path, *, force: bool) -> None:
    """Refuse to overwrite, before anything is read.

    Raises:
        ValueError: see above.
    """
    if present := [name for name in (MANIFEST, SWEEP, SCHEMA) if (into / name).exists() and not force]:
        raise ValueError(
            f"{into} already has {', '.join(present)}: choose another folder with --into, or overwrite with --force"
        )


def sweep_text(root: Path, found: Survey, files: Written) -> str:
    """The sweep as text: sizes follow from the recordings."""
    train, clip = found.splits["train"], found.clip_seconds
    epochs = min(max(EPOCHS[0], -(-STEPS * BATCH_SIZE // train)), EPOCHS[1])
    cut = "" if clip is None else f", crop: center, clip_seconds: {clip}"
    requests = [f"  - {{kind: sample, forget_ratio: {0.05 if train >= BATCH_SIZE else 0.1}}} # recordings at random"]
    if len(found.classes) >= MANY_CLASSES:
        requests.append("  - {kind: class, class_share: 0.05} # whole classes")
    elif len(found.classes) > 2:
        requests.append("  - {kind: class} # all of one class, drawn by seed")
    if found.target == "keywords" and len(found.speakers) > 1:
        requests.append("  # - {kind: speaker} # all of one speaker")
    return SWEEP_TEXT.format(
        schema=files.schema.name,
        what=f"{len(found.rows)} recordings of {len(found.classes)} classes",
        name=files.name,
        description=json.dumps(f"Recordings of {root.name}", ensure_ascii=False),
        root=json.dumps(str(root), ensure_ascii=False),
        manifest=json.dumps(str(files.manifest), ensure_ascii=False),
        target=found.target,
        requests="\n".join(requests),
        training=f"{{learning_rate: 2.0e-3, epochs: {epochs}, batch_size: {BATCH_SIZE}{cut}}}",
    )


def _name(root: Path) -> str:
    """The folder's name as the name of a sweep."""
    return re.sub(r"[^a-z0-9]+", "_", root.name.lower()).strip("_")[:60] or "recordings"
