"""Pretrain the small CTC recognizer that ships with the package (`make nano-ctc`), on sentences and voices of its own.

It starts from the packaged encoder of words, whose convolutions stay frozen. The sentences come from the grammar of
`espeak_sentences`, without planted secrets, by the half of the voice variants that no task of a sweep uses. Encoder and
head of characters are written to backbones/nano/.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

import backbones
from backbones.checkpoints import load_config, packaged_weights, write_packaged
from backbones.ctc import HubertCtc, Wav2Vec2Ctc
from backbones.ctc_recognizer import CtcRecognizer
from backbones.ctc_text import CHARACTERS
from backbones.export import transformers_names
from orchestrator.digests import default_cache_dir
from orchestrator.evidence import wer
from orchestrator.run.setup.context import seed_everything
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.corpus import Corpus
from orchestrator.tasks.espeak_sentences import EspeakSentences

FAMILIES = {"wav2vec2": Wav2Vec2Ctc, "hubert": HubertCtc}
SENTENCES, VOICES, SEED = 4_000, 300, 14
EPOCHS = 24
BATCH = 16
SORTED_BATCHES = 16  # batches whose utterances are sorted by length, so that little of a batch is padding
LEARNING_RATE = 4e-3
AT_ONCE = 32  # clips in the frontend


@dataclass(frozen=True, kw_only=True)
class PretrainingSentences(EspeakSentences):
    """The sentences of the recognition corpus by the other half of the voice variants."""

    half: ClassVar[int] = 1


@dataclass(frozen=True)
class Prepared:
    """Frames of the frozen convolutions for the whole corpus, and what is said."""

    frames: Tensor  # (N, T, channels), each clip padded to the longest
    lengths: Tensor  # (N,) own frames
    targets: Tensor  # (N, longest) characters
    texts: list[str]

    def batch(self, rows: Tensor, extra: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return frames, lengths and targets of `rows`.

        Args:
            rows: of the corpus, (B,).
            extra: share of the padding after the longest of them that is kept, 0–1: a corpus is padded to its longest
                recording, and a recognizer must be used to any amount of it.
        """
        longest = int(self.lengths[rows].max())
        cut = longest + round(extra * (self.frames.shape[1] - longest))
        return self.frames[rows, :cut], self.lengths[rows], self.targets[rows]


def prepare(backbone: Wav2Vec2Ctc, corpus: Corpus, model: CtcRecognizer) -> Prepared:
    """Run the frontend over the corpus."""
    frontend = backbone.frontend(torch.device("cpu"))
    samples, frames, lengths = int(max(corpus.num_samples)), [], []
    for first in range(0, len(corpus), AT_ONCE):
        clips = [corpus.audio(row).astype(np.float32) / 32768 for row in range(len(corpus))[first : first + AT_ONCE]]
        padded = torch.zeros(len(clips), samples)
        for row, clip in enumerate(clips):
            padded[row, : len(clip)] = torch.from_numpy(clip)
        made = frontend(padded, torch.tensor([len(clip) for clip in clips]))
        frames.append(made[0])
        lengths.append(made[1])
    texts = [str(text) for text in corpus.column("text")]
    return Prepared(torch.cat(frames), torch.cat(lengths), model.tokens(texts), texts)


def batches(rows: Tensor, lengths: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the rows of an epoch's batches, (BATCH,) each: shuffled, and of similar length within each."""
    shuffled = rows[torch.randperm(len(rows), generator=generator)]
    sorted_parts = [part[lengths[part].argsort()] for part in torch.split(shuffled, BATCH * SORTED_BATCHES)]
    found = [batch for part in sorted_parts for batch in torch.split(part, BATCH) if len(batch) == BATCH]
    for place in torch.randperm(len(found), generator=generator).tolist():
        yield found[place]


def word_error_rate(model: CtcRecognizer, prepared: Prepared, rows: Tensor) -> float:
    """Return the WER of greedy decoding on some rows, as a fraction."""
    model.eval()
    found = [text for part in torch.split(rows, AT_ONCE) for text in model.transcribe(*prepared.batch(part, 1.0)[:2])]
    said = [prepared.texts[row] for row in rows.tolist()]
    return wer.edits(said, found, [str(row) for row in rows.tolist()]).total().wer


def pretrain(
    model: CtcRecognizer, prepared: Prepared, corpus: Corpus, epochs: int, seed: int
) -> Iterator[tuple[str, CtcRecognizer]]:
    """Train the recognizer; yield a line about each epoch, and the model."""
    generator = torch.Generator().manual_seed(seed)
    train, validation = (torch.from_numpy(corpus.rows(split)) for split in ("train", "validation"))
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    steps = epochs * sum(1 for _ in batches(train, prepared.lengths, generator))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    started = time.perf_counter()
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for rows in batches(train, prepared.lengths, generator):
            extra = float(torch.rand((), generator=generator)) ** 2
            frames, lengths, targets = prepared.batch(rows, extra)
            loss = model.target_loss(model.answer(frames, lengths, targets), targets).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * epochs / steps
        rate, spent = word_error_rate(model, prepared, validation), time.perf_counter() - started
        yield f"epoch {epoch + 1}: loss {total:.3f} nats a character, WER {rate:.3f} on D_v, {spent:.0f} s", model


def write(backbone: Wav2Vec2Ctc, model: CtcRecognizer, folder: Path) -> Path:
    """Write encoder and head in float16, with the names that transformers uses."""
    config = load_config(backbone.checkpoint, backbone.revision, backbone.family)
    config.vocab_size = len(CHARACTERS)
    path = folder / f"{backbone.family}_nano_ctc.safetensors"
    trained = transformers_names(model.state_dict(), backbone._names())
    write_packaged({**packaged_weights(backbone.checkpoint), **trained}, config, path)  # convolutions of the start
    return path


def main() -> None:
    """Render the corpus, pretrain the chosen families, and write their weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help=f"{', '.join(FAMILIES)}; wav2vec2 by default")
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=Path(backbones.__file__).parent / "nano")
    parser.add_argument("--cache", type=Path, default=default_cache_dir())
    arguments = parser.parse_args()
    if unknown := set(arguments.families) - set(FAMILIES):
        parser.error(f"Unknown families: {', '.join(sorted(unknown))}. Choose from: {', '.join(FAMILIES)}")
    torch.set_num_threads(1)  # the same bits on any number of cores
    task = PretrainingSentences(
        sentences=arguments.sentences, voices=VOICES, canaries=0, seed=arguments.seed, test_share=0.01,
        validation_share=0.03, holdout_share=0.0,
    )  # fmt: skip
    corpus = open_corpus(task, arguments.cache)
    for family in arguments.families or ["wav2vec2"]:
        seed_everything(arguments.seed)
        backbone = FAMILIES[family](checkpoint=f"packaged:{family}_nano")
        model = backbone.build()
        prepared = prepare(backbone, corpus, model)
        for line, _ in pretrain(model, prepared, corpus, arguments.epochs, arguments.seed):
            sys.stdout.write(f"{family} {line}\n")
            sys.stdout.flush()
            path = write(backbone, model, arguments.out)
        sys.stdout.write(f"{path}: {path.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
