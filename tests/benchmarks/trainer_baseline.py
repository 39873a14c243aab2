"""What a user would write instead: one unlearning run as a plain script around Hugging Face's `Trainer`.

One process is one run: it opens the corpus, builds the model, trains, and scores D_f, D_r, D_v and D_t. The feature
extractor works on every batch in the collator; teachers run a forward at every step. The original is trained by
`--method original` and kept on disk once a seed, which is kinder than what many scripts do. It uses nothing of this
project: the corpus is a folder of `datasets`, D_f a list of its rows, the model a transformers folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, load_from_disk
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

METHODS = ("original", "random_label", "salun", "scrub", "bad_teacher")
SPLITS = ("train", "validation", "test", "holdout")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run's command line."""

    method: str
    corpus: Path  # a saved `datasets` folder: audio (int16, 16 kHz), label, split
    model: Path  # a transformers folder: pretrained for the original, the trained original for all others
    samples: int  # every clip is padded or cut to this
    forget: Path | None = None  # JSON list of the corpus's rows
    out: Path | None = None
    seed: int = 0
    batch_size: int = 32
    learning_rate: float = 1e-5
    epochs: int = 1
    max_epochs: int = 2  # SCRUB
    saliency_share: float = 0.5  # SalUn


class Collator:
    """Examples to a padded batch of model inputs."""

    def __init__(self, extractor: Any, samples: int) -> None:
        self.extractor, self.samples = extractor, samples

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        audio = [example["audio"].astype(np.float32) / 32768 for example in examples]
        batch = self.extractor(
            audio,
            sampling_rate=16_000,
            padding="max_length",
            max_length=self.samples,
            truncation=True,
            return_tensors="pt",
        )
        for name in ("label", "is_forget"):
            batch["labels" if name == "label" else name] = torch.tensor([int(example[name]) for example in examples])
        return dict(batch)


def teacher_forward(teacher: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return teacher(**inputs).logits


def kl(teacher: torch.Tensor, student: torch.Tensor, temperature: float) -> torch.Tensor:
    return (
        functional.kl_div(
            functional.log_softmax(student / temperature, dim=-1),
            functional.softmax(teacher / temperature, dim=-1),
            reduction="batchmean",
        )
        * temperature**2
    )


class PlainTrainer(Trainer):
    """Cross-entropy on the labels as they are; the base of the others."""

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        labels, is_forget = inputs.pop("labels"), inputs.pop("is_forget")
        outputs = model(**inputs)
        loss = self.unlearning_loss(outputs.logits, labels, is_forget.bool(), inputs)
        return (loss, {"logits": outputs.logits}) if return_outputs else loss

    def unlearning_loss(self, logits: Any, labels: Any, is_forget: Any, inputs: Any) -> Any:
        return functional.cross_entropy(logits, labels)

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        labels = inputs.pop("labels")
        inputs.pop("is_forget")
        with torch.no_grad():
            logits = model(**inputs).logits
        return functional.cross_entropy(logits, labels), logits, labels


class ScrubTrainer(PlainTrainer):
    """Max steps on D_f and min steps on D_r (Kurmanji et al. 2023)."""

    teacher: Any
    ascend: bool

    def unlearning_loss(self, logits: Any, labels: Any, is_forget: Any, inputs: Any) -> Any:
        divergence = kl(teacher_forward(self.teacher, inputs), logits, 4.0)
        return -divergence if self.ascend else functional.cross_entropy(logits, labels) + 0.5 * divergence


class BadTeacherTrainer(PlainTrainer):
    """An incompetent teacher on D_f and the original on D_r; both are run on the whole batch, as in their code."""

    good: Any
    bad: Any

    def unlearning_loss(self, logits: Any, labels: Any, is_forget: Any, inputs: Any) -> Any:
        good, bad = teacher_forward(self.good, inputs), teacher_forward(self.bad, inputs)
        return kl(torch.where(is_forget[:, None], bad, good), logits, 1.0)


class SalUnTrainer(PlainTrainer):
    """Gradients are masked after the backward; AdamW without weight decay then leaves the other weights alone."""

    masks: dict[str, torch.Tensor]

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().training_step(model, inputs, *args, **kwargs)
        for name, p in model.named_parameters():
            if p.grad is not None:
                p.grad.mul_(self.masks[name])
        return loss


def saliency_masks(model: Any, trainer: PlainTrainer, share: float) -> dict[str, torch.Tensor]:
    """1 for the `share` of all weights with the largest summed gradient on D_f."""
    model.eval()
    for batch in trainer.get_train_dataloader():
        trainer.compute_loss(model, batch).backward()
    gradients = {n: p.grad.abs() if p.grad is not None else torch.zeros_like(p) for n, p in model.named_parameters()}
    model.zero_grad()
    magnitudes = torch.cat([g.flatten() for g in gradients.values()])
    threshold = magnitudes.kthvalue(max(1, round((1 - share) * len(magnitudes)))).values
    return {name: (g > threshold).float() for name, g in gradients.items()}


def load_model(folder: Path) -> Any:
    model = AutoModelForAudioClassification.from_pretrained(folder)
    if hasattr(model, "freeze_feature_encoder"):
        model.freeze_feature_encoder()
    return model


def load_data(run: Run) -> dict[str, Dataset]:
    """D_f, D_r and the splits, as NumPy; D_f's rows are marked."""
    data = load_from_disk(str(run.corpus)).select_columns(["audio", "label", "split"])
    split = np.array(data["split"])
    forget = np.array(json.loads(run.forget.read_text()) if run.forget else [], dtype=int)
    is_forget = np.isin(np.arange(len(data)), forget)
    data = data.remove_columns("split").add_column("is_forget", is_forget.astype(int)).with_format("numpy")
    sets = {name: data.select(np.flatnonzero((split == name) & ~is_forget)) for name in SPLITS}
    return {"forget": data.select(forget), "retain": sets.pop("train"), **sets}


def relabelled(forget: Dataset, num_classes: int, excluded: set[int], seed: int) -> Dataset:
    """D_f with wrong labels, drawn once."""
    rng = np.random.default_rng(seed)
    labels = [
        int(rng.choice([c for c in range(num_classes) if c != label and c not in excluded]))
        for label in forget["label"]
    ]
    return forget.with_format(None).remove_columns("label").add_column("label", labels).with_format("numpy")


def concatenated(first: Dataset, second: Dataset) -> Dataset:
    from datasets import concatenate_datasets

    columns = ["audio", "label", "is_forget"]
    parts = [part.with_format(None).select_columns(columns).cast(second.features) for part in (first, second)]
    return concatenate_datasets(parts).with_format("numpy")


def passes(run: Run, model: Any, data: dict[str, Dataset]) -> Iterator[PlainTrainer]:
    """The `Trainer`s of a run, to be trained one after another; they share one optimizer."""
    collator = Collator(AutoFeatureExtractor.from_pretrained(run.model), run.samples)
    moving = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(moving, lr=run.learning_rate, weight_decay=0.0, fused=True)

    def trainer(kind: type[PlainTrainer], over: Dataset, epochs: int, schedule: str = "constant") -> Any:
        arguments = TrainingArguments(
            output_dir=str(run.out or "trainer_output"),
            per_device_train_batch_size=run.batch_size,
            per_device_eval_batch_size=128,
            learning_rate=run.learning_rate,
            num_train_epochs=epochs,
            lr_scheduler_type=schedule,
            warmup_steps=0.1 if schedule == "linear" else 0,
            max_grad_norm=1.0,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=torch.cuda.is_available(),
            seed=run.seed,
        )
        return kind(
            model=model, args=arguments, train_dataset=over, data_collator=collator, optimizers=(optimizer, None)
        )

    forget, retain = data["forget"], data["retain"]
    if run.method == "original":
        yield trainer(PlainTrainer, retain, run.epochs, "linear")
    elif run.method in ("random_label", "salun"):
        counts = np.isin(np.array(retain["label"]), np.unique(forget["label"]))
        excluded = set() if counts.any() else {int(label) for label in np.unique(forget["label"])}  # class unlearning
        union = concatenated(relabelled(forget, model.config.num_labels, excluded, run.seed), retain)
        masks = {}
        if run.method == "salun":
            masks = saliency_masks(model, trainer(PlainTrainer, forget, 1), run.saliency_share)
        yours = trainer(SalUnTrainer if masks else PlainTrainer, union, run.epochs)
        yours.masks = masks
        yield yours
    elif run.method == "scrub":
        teacher = load_model(run.model).eval()
        for epoch in range(max(run.epochs, run.max_epochs)):
            for ascend in (True, False):
                if epoch < (run.max_epochs if ascend else run.epochs):
                    yours = trainer(ScrubTrainer, forget if ascend else retain, 1)
                    yours.teacher, yours.ascend = teacher, ascend
                    yield yours
    elif run.method == "bad_teacher":
        yours = trainer(BadTeacherTrainer, concatenated(forget, retain), run.epochs)
        yours.good = load_model(run.model).eval()
        yours.bad = AutoModelForAudioClassification.from_config(AutoConfig.from_pretrained(run.model)).eval()
        yield yours


def main(run: Run) -> dict[str, float]:
    set_seed(run.seed)
    model, data = load_model(run.model), load_data(run)
    steps, seconds, last = 0, 0.0, None
    for trainer in passes(run, model, data):
        seconds += trainer.train().metrics["train_runtime"]
        steps, last = steps + trainer.state.global_step, trainer
    assert last is not None
    found: dict[str, float] = {"steps": steps, "training_seconds": seconds}
    for name, part in data.items():
        if len(part):
            predicted = last.predict(part)
            found[f"{name}_accuracy"] = float((predicted.predictions.argmax(-1) == predicted.label_ids).mean())
    if run.out:
        run.out.mkdir(parents=True, exist_ok=True)
        (run.out / "scores.json").write_text(json.dumps(found))
        if run.method == "original":
            last.save_model(str(run.out))
            last.data_collator.extractor.save_pretrained(str(run.out))
    return found


def parsed() -> Run:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=METHODS, required=True)
    for name in ("corpus", "model"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("forget", "out"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--samples", type=int, required=True)
    for field in ("seed", "batch_size", "learning_rate", "epochs", "max_epochs", "saliency_share"):
        default = Run.__dataclass_fields__[field].default
        parser.add_argument(f"--{field.replace('_', '-')}", type=type(default), default=default)
    return Run(**vars(parser.parse_args()))


if __name__ == "__main__":
    print(main(parsed()))
