"""Commands that come before a sweep runs: `init`, `schema` and `launcher`. No logic here either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from orchestrator.cli_options import Results, absolute_location, console
from orchestrator.file_names import absolute_path

app = typer.Typer()

Recordings = Annotated[Path, typer.Argument(help="Folder of recordings.", metavar="DIR")]
Manifest = Annotated[Optional[Path], typer.Option(help="Table that lists the recordings: path, label, speaker, split.")]
Pattern = Annotated[Optional[str], typer.Option(help="Regular expression for file names: (?P<label>…)_(?P<speaker>…).")]
Column = Annotated[Optional[str], typer.Option(help="Column or group that holds it; the likeliest name when unset.")]


@app.command("init")
def init_sweep(
    recordings: Recordings,
    into: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(),
    manifest: Manifest = None,
    pattern: Pattern = None,
    label_from: Column = None,
    speaker_from: Column = None,
    target: Annotated[str, typer.Option(help="What a class is: keywords or speakers.")] = "keywords",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there already.")] = False,
) -> None:
    """Look at a folder of recordings, and write a manifest and a first sweep for it."""
    from orchestrator.first_sweep.start import start_sweep
    from orchestrator.first_sweep.summary import progress, summary_tables

    found, written = start_sweep(
        absolute_path(recordings),
        absolute_path(into),
        manifest=absolute_path(manifest) if manifest else None,
        pattern=pattern,
        label_from=label_from,
        speaker_from=speaker_from,
        target=target,
        force=force,
        watch=progress(console),
    )
    for part in summary_tables(found, written):
        console.print(part, soft_wrap=isinstance(part, str), highlight=False)


@app.command()
def schema(
    output: Annotated[Optional[Path], typer.Option(help="File to write; standard output when unset.")] = None,
) -> None:
    """Print the JSON schema of sweep files, with the installed plug-ins, for completion in editors."""
    from orchestrator.plan.json_schema import sweep_json_schema

    text = json.dumps(sweep_json_schema(), indent=2, ensure_ascii=False)
    if output is None:
        typer.echo(text)
        return
    target: Any = absolute_path(output)
    target.write_text(text + "\n", encoding="utf-8")
    console.print(f"schema: {target}", soft_wrap=True)


@app.command()
def launcher(
    kind: Annotated[str, typer.Argument(help="ray, kuberay, slurm or slurm-plain.")],
    sweep: Annotated[str, typer.Argument(help="Sweep file, or the name of one that ships with the package.")],
    results: Results,
    nodes: Annotated[int, typer.Option(help="Number of worker nodes.")] = 2,
    cpus: Annotated[int, typer.Option(help="CPUs per node.")] = 8,
    gpus: Annotated[int, typer.Option(help="GPUs per node.")] = 0,
    memory_gib: Annotated[int, typer.Option(help="Memory per node, in GiB.")] = 32,
    hours: Annotated[float, typer.Option(help="Time limit, in hours.")] = 24.0,
    image: Annotated[
        str, typer.Option(help="Container image (ray and kuberay).", show_default="speech-unlearning:VERSION")
    ] = "",
) -> None:
    """Print a file that starts a sweep on a cluster: a Ray cluster file, a KubeRay RayJob or a SLURM script."""
    from orchestrator.deploy.manifests import Job, manifest

    sizes: dict[str, Any] = {"nodes": nodes, "cpus": cpus, "gpus": gpus, "memory_gib": memory_gib, "hours": hours}
    typer.echo(
        manifest(kind, Job(sweep=sweep, results=str(absolute_location(results)), image=image, **sizes)), nl=False
    )
