"""Commands for removal requests: classify recordings, forget, verify, clean up. No logic here either."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli_options import console
from orchestrator.file_names import absolute_path

app = typer.Typer()

Model = Annotated[Path, typer.Argument(help="Model folder that save_pretrained wrote.")]


@app.command()
def predict(
    model: Model,
    recordings: Annotated[list[Path], typer.Argument(help="Recordings: WAV, FLAC, OGG or MP3.")],
    top: Annotated[int, typer.Option(min=1, help="Number of labels to print.")] = 3,
) -> None:
    """Print the labels and confidences that a model gives to recordings."""
    from orchestrator.forget.predict import predict_files

    for answer in predict_files(absolute_path(model), [absolute_path(path) for path in recordings], top):
        ranked = "  ".join(f"{name} {probability:.1%}" for name, probability in answer.ranked)
        console.print(f"{answer.path}: {ranked}", soft_wrap=True, highlight=False, markup=False)
