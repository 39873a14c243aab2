"""Commands for removal requests: classify recordings, forget, verify, clean up. No logic here either."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from orchestrator.cli_options import console
from orchestrator.file_names import local_path

app = typer.Typer()

Model = Annotated[Path, typer.Argument(help="Model folder that save_pretrained wrote.")]
Root = Annotated[Optional[Path], typer.Option(help="Folder of the recordings (default: the manifest's).")]
Key = Annotated[Optional[Path], typer.Option(help="Key of the pseudonyms; created if missing.")]
KnownKey = Annotated[Optional[Path], typer.Option(help="Key that the request was served with.")]
Scan = Annotated[Optional[list[Path]], typer.Option(help="Results folder in which to look for residue.")]
Purge = Annotated[bool, typer.Option("--purge", help="Remove the residue; without it, only list it (dry run).")]


@app.command()
def predict(
    model: Model,
    recordings: Annotated[list[Path], typer.Argument(help="Recordings: WAV, FLAC, OGG or MP3.")],
    top: Annotated[int, typer.Option(min=1, help="Number of labels to print.")] = 3,
    clip_seconds: Annotated[
        Optional[float], typer.Option(help="Pad or cut each recording to this (default: as `forget` did, or its own).")
    ] = None,
) -> None:
    """Print the labels and confidences that a model gives to recordings, or a recognizer's transcripts."""
    from orchestrator.forget.predict import predict_files

    for answer in predict_files(local_path(model), [local_path(path) for path in recordings], top, clip_seconds):
        ranked = answer.text or "  ".join(f"{name} {probability:.1%}" for name, probability in answer.ranked)
        length = "" if answer.read_as_seconds is None else f" (as {answer.read_as_seconds:.2f} s)"
        console.print(f"{answer.path}{length}: {ranked}", soft_wrap=True, highlight=False, markup=False)


@app.command()
def forget(
    model: Annotated[Path, typer.Option(help="Model folder that save_pretrained wrote, or an earlier output.")],
    data: Annotated[Path, typer.Option(help="Training manifest: path, label (or text), id, speaker, split.")],
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    forget_: Annotated[Optional[Path], typer.Option("--forget", help="Ids to forget: a table, or one a line.")] = None,
    speaker: Annotated[Optional[str], typer.Option(help="Forget all training recordings of this speaker.")] = None,
    label: Annotated[Optional[str], typer.Option("--class", help="Forget this class.")] = None,
    entity: Annotated[Optional[str], typer.Option(help="Of a recognizer: forget all transcripts with this.")] = None,
    canary: Annotated[Optional[str], typer.Option(help="Of a recognizer: forget this planted secret.")] = None,
    method: Annotated[str, typer.Option(help="auto, or the name of a method.")] = "auto",
    with_retrain: Annotated[bool, typer.Option("--with-retrain", help="Retrain without them as a reference.")] = False,
    base: Annotated[Optional[Path], typer.Option(help="Folder of the pretrained encoder that was fine-tuned.")] = None,
    root: Root = None,
    key: Key = None,
    learning_rate: Annotated[float, typer.Option(help="Rate at which the model was trained.")] = 1e-4,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs for which it was trained.")] = 10,
    batch_size: Annotated[int, typer.Option(min=1, help="Its batch size.")] = 32,
    limit: Annotated[
        float, typer.Option(help="Limit of a run, as a share of what retraining would process; above 0.")
    ] = 0.5,
    clip_seconds: Annotated[
        Optional[float], typer.Option(help="Seconds of each recording to use, 0.025 to 30 (default: all).")
    ] = None,
    classes_are: Annotated[
        Optional[str], typer.Option(help="people or words: whether class names are hashed (default: if in doubt).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    scan: Scan = None,
    purge: Purge = False,
    requests: Annotated[
        Optional[Path], typer.Option(help="Serve this table of requests: name, and what to forget.")
    ] = None,
) -> None:
    """Serve a removal request: unlearn recordings, a speaker or a class, and write the model and a report.

    A recognizer forgets recordings, a speaker, what contains a word, or a planted secret.

    Exit codes: 0 no evidence of memory left, 3 evidence of memory left, 4 cannot tell; 2 a mistake.
    """
    from methods.base import Training
    from orchestrator.forget.pseudonyms import default_key
    from orchestrator.forget.queue import read_requests, serve_queue
    from orchestrator.forget.request import Request
    from orchestrator.forget.serving import Options, serve

    named = (speaker, label, entity, canary)
    if requests is not None and (forget_, *named) != (None,) * 5:
        raise ValueError("--requests names what to forget in its rows. Leave out --forget and the other options")
    queued = [] if requests is None else read_requests(local_path(requests))
    options = Options(
        model=local_path(model),
        data=local_path(data),
        request=queued[0].request if queued else Request(_absolute(forget_), *named),
        out=local_path(out),
        key=_absolute(key) or default_key(),
        method=method,
        with_retrain=with_retrain,
        base=_absolute(base),
        root=_absolute(root),
        clip_seconds=clip_seconds,
        training=Training(learning_rate=learning_rate, epochs=epochs, batch_size=batch_size),
        limit=limit,
        seed=seed,
        classes_are=classes_are,
        scan=tuple(local_path(folder) for folder in scan or ()),
        purge=purge,
    )
    if queued:
        raise typer.Exit(serve_queue(options, queued, _say))
    served = serve(options, _say)
    for reason in served.decision.reasons:
        _say(f"  {reason}")
    _say(f"report: {served.folder / 'report.html'}")
    raise typer.Exit(served.decision.exit_code)


@app.command()
def verify(
    out: Annotated[Path, typer.Argument(help="Output of `unlearn forget`.")],
    data: Annotated[Optional[Path], typer.Option(help="Training manifest, to classify the recordings again.")] = None,
    key: KnownKey = None,
    root: Root = None,
    scan: Scan = None,
    purge: Purge = False,
) -> None:
    """Repeat the checks of a served request: digests, verdict, outputs; list or remove residue.

    Exit codes: 0 all confirmed, 3 something differs, 4 something cannot be checked; 2 a mistake.
    """
    from orchestrator.forget import residue, verifying
    from orchestrator.forget.pseudonyms import default_key, open_key

    folder, manifest = local_path(out), _absolute(data)
    if manifest is None and (scan or purge):
        raise ValueError("--scan and --purge need --data: the manifest says which recordings to look for")
    pseudonyms = open_key(_absolute(key) or default_key(), create=False) if manifest else None
    checks = verifying.verify(folder, manifest, pseudonyms, _absolute(root))
    for check in checks:
        _say(f"{check.state}: {check.said}")
    if manifest and pseudonyms:
        results = [local_path(path) for path in scan or ()]
        found, not_searched = verifying.residue_of(folder, manifest, pseudonyms, _absolute(root), results)
        for line in not_searched:
            _say(f"not searched: {line}")
        left = residue.purge(found) if purge else found
        for one in found:
            kept = next((r for r in left if r.path == one.path), None)
            said = "removed" if kept is None else kept.kept_because or "can be removed with --purge"
            _say(f"residue: {one.what}: {one.path} ({said})")
    raise typer.Exit(verifying.exit_code(checks))


@app.command()
def gc(
    folder: Annotated[Path, typer.Argument(help="Results folder, or a folder with outputs of `unlearn forget`.")],
    keep_days: Annotated[Optional[float], typer.Option(min=0, help="Delete what is older than this.")] = None,
    quota_gb: Annotated[Optional[float], typer.Option(min=0, help="Delete the oldest until the rest fits.")] = None,
    kind: Annotated[Optional[list[str]], typer.Option(help="outputs, logits or checkpoints (default: all).")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without this option, list only.")] = False,
) -> None:
    """Delete old outputs, logits and checkpoints of a folder, by age and quota; rows and reports are kept."""
    from orchestrator.forget import retention

    kinds, quota = tuple(kind or retention.KINDS), retention.quota_of(quota_gb)
    found = retention.to_delete(local_path(folder), kinds=kinds, keep_days=keep_days, quota_bytes=quota)
    for old in found:
        _say(f"{old.path}: {old.num_bytes / 1e6:.1f} MB, {old.age_days:.1f} days: {old.why}")
    if not retention.is_known(local_path(folder)):
        _say(f"{local_path(folder)} is no results folder and has no output of `unlearn forget`: nothing was looked at")
    freed = retention.delete(found, local_path(folder)) if delete else sum(old.num_bytes for old in found)
    _say(f"{len(found)} files, {freed / 1e6:.1f} MB {'deleted' if delete else 'can be deleted with --delete'}")


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else local_path(path)


def _say(line: str) -> None:
    console.print(line, soft_wrap=True, highlight=False, markup=False)
