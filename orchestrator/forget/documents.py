"""Write what people read of a served request: `report.json`, `report.html` and the model card."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from orchestrator.forget.charts import comparison_chart
from orchestrator.results.storage import Folder

TEMPLATES = Path(__file__).parent / "templates"
CARD_KEYS = ("license", "license_name", "license_link", "language", "base_model", "datasets", "tags")
CLASSIFIES, RECOGNIZES = "audio-classification", "automatic-speech-recognition"  # pipelines of the hub
LOADERS = {
    "WhisperForConditionalGeneration": ("AutoModelForSpeechSeq2Seq", RECOGNIZES),
    "Wav2Vec2ForCTC": ("AutoModelForCTC", RECOGNIZES),
    "HubertForCTC": ("AutoModelForCTC", RECOGNIZES),
}
"""By architecture: transformers' class that loads it, and its pipeline; others are classifiers."""
MARKS = re.compile(r"[\\`*_\[\]#!|~@:]")  # of Markdown, each of which a backslash makes plain
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def write_documents(report: Mapping[str, Any], folder: Path, parent: Path) -> None:
    """Write `report.json`, `report.html`, and `model/README.md`, which keeps the parent's license and language.

    Each is written to another name and renamed, so that none is ever half-written.
    """
    texts = {
        folder / "report.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        folder / "report.html": page(report),
        folder / "model" / "README.md": card(report, parent),
    }
    for path, text in texts.items():
        Folder(path.parent.as_uri()).write_bytes(path.name, text.encode())


def page(report: Mapping[str, Any]) -> str:
    """Return the report as one HTML file without script; every value is escaped."""
    chart = comparison_chart(report["evidence"]["after"])
    return _environment(escape=True).get_template("report.html.j2").render(report=report, chart=chart)


def card(report: Mapping[str, Any], parent: Path) -> str:
    """Return the model card: metadata that the Hugging Face hub reads, and what was done to the model."""
    import yaml

    kept = {key: value for key, value in _metadata(parent).items() if key in CARD_KEYS}
    loader, pipeline = LOADERS.get(report["model"]["architecture"], ("AutoModelForAudioClassification", CLASSIFIES))
    tags = [tag for tag in kept.pop("tags", []) or [] if tag not in ("machine-unlearning", pipeline)]
    metadata = {
        **kept,
        "library_name": "transformers",
        "pipeline_tag": pipeline,
        "tags": [pipeline, "machine-unlearning", *tags],
    }
    text = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)
    return _environment(escape=False).get_template("card.md.j2").render(loader=loader, report=report, metadata=text)


def as_markdown(text: object) -> str:
    """Return a text as Markdown that shows it as it is: neither HTML nor Markdown in it has an effect."""
    return MARKS.sub(r"\\\g<0>", " ".join(str(text).split())).translate(ENTITIES)


def _metadata(parent: Path) -> dict[str, Any]:
    """The metadata of the parent's card; empty if it has none that can be read."""
    import yaml

    try:
        text = (parent / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    if not text.startswith("---\n") or "\n---" not in text[4:]:
        return {}
    try:
        found = yaml.safe_load(text[4 : text.index("\n---", 4)])
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _environment(*, escape: bool) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=escape, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["markdown"] = as_markdown
    made.filters["percent"] = lambda value: "–" if value is None else f"{100 * value:.1f} %"
    made.filters["number"] = lambda value: "–" if value is None else f"{value:.3f}"
    made.filters["interval"] = lambda pair: "–" if pair[0] is None else f"{pair[0]:.3f} to {pair[1]:.3f}"
    return made
