"""A trial's model as a Hugging Face folder in the results, for deployment after a removal request."""

from __future__ import annotations

import tempfile
from pathlib import Path

from backbones.base import SpeechClassifier
from methods.base import Classifier
from orchestrator.plan.spec import TrialSpec
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.feature_cache import clip_samples
from orchestrator.tasks.corpus import Corpus


def keep_model(context: WorkerContext, spec: TrialSpec, model: Classifier, corpus: Corpus) -> None:
    """Write `unlearned/<trial_id>/`, which transformers loads as a classifier, or as a recognizer."""
    assert isinstance(model, SpeechClassifier)
    with tempfile.TemporaryDirectory(prefix="unlearn-model-") as scratch:
        samples = clip_samples(corpus, spec.clip["seconds"])
        backbone = context.backbone(spec.backbone)
        backbone.save_pretrained(model, Path(scratch), corpus.classes, clip_samples=samples)
        folder = context.store.exported_models.path(spec.trial_id)
        for file in sorted(Path(scratch).iterdir()):
            context.store.files.upload(file, f"{folder}/{file.name}")
