"""Pretrain the small CTC recognizer that ships with the package (`make nano`), on sentences and voices of its own.

It starts from the packaged encoder of words, whose convolutions stay frozen. The sentences come from the grammar of
`espeak_sentences`, without planted secrets, by the half of the voice variants that no task of a sweep uses. In the
first stage few sentences are seen often, so that the network learns to align them; in the second, twice as many
others are seen a few times each, and the rate falls. Encoder and head of characters are written to backbones/nano/; the
packaged ones were rounded to float16 between the stages too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

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
from orchestrator.run.setup.feature_cache import waveforms
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.corpus import Corpus
from orchestrator.tasks.espeak_sentences import EspeakSentences

FAMILIES = {"wav2vec2": Wav2Vec2Ctc, "hubert": HubertCtc}
BATCH = 16
WARMUP_SHARE = 0.1  # of a cycle, in which the rate rises
SORTED_BATCHES = 16  # batches whose utterances are sorted by length, so that little of a batch is padding
AT_ONCE = 32  # clips in the frontend


class Stage(NamedTuple):
    """Epochs over a corpus of its own under one cycle of the rate, of which the last ones may be left out."""

    seed: int
    sentences: int
    voices: int
    validation_share: float
    learning_rate: float  # the largest
    epochs: int  # of the whole cycle
    last: int  # epoch that is trained


STAGES = (
    Stage(seed=14, sentences=4_000, voices=300, validation_share=0.03, learning_rate=4e-3, epochs=24, last=12),
    Stage(seed=15, sentences=9_000, voices=1_000, validation_share=0.01, learning_rate=3e-3, epochs=3, last=3),
)


@dataclass(frozen=True, kw_only=True)
class PretrainingSentences(EspeakSentences):
    """The sentences of the recognition corpus by the other half of the voice variants."""

    half: ClassVar[int] = 1


def stage_corpus(stage: Stage) -> PretrainingSentences:
    """Return the corpus of a stage."""
    return PretrainingSentences(
        sentences=stage.sentences, voices=stage.voices, canaries=0, seed=stage.seed, test_share=0.01,
        validation_share=stage.validation_share, holdout_share=0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """Frames of the frozen convolutions for the whole corpus, and what is said."""

    frames: Tensor  # (N, T, channels) float16, each clip padded to the longest
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
        return self.frames[rows, :cut].float(), self.lengths[rows], self.targets[rows]


def prepare(backbone: Wav2Vec2Ctc, corpus: Corpus, model: CtcRecognizer) -> Prepared:
    """Run the frontend over the corpus."""
    frontend = backbone.frontend(torch.device("cpu"))
    samples, frames, lengths = int(max(corpus.num_samples)), [], []
    for rows in torch.split(torch.arange(len(corpus)), AT_ONCE):
        made = frontend(*waveforms(corpus, rows.numpy(), samples, "first"))
        frames.append(made[0].half())
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


def pretrain(model: CtcRecognizer, prepared: Prepared, corpus: Corpus, stage: Stage) -> Iterator[str]:
    """Train the recognizer; yield a line about each epoch."""
    generator = torch.Generator().manual_seed(stage.seed)
    train, validation = (torch.from_numpy(corpus.rows(split)) for split in ("train", "validation"))
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=stage.learning_rate, weight_decay=0.01, fused=True)
    steps = sum(1 for _ in batches(train, prepared.lengths, generator))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, stage.learning_rate, total_steps=stage.epochs * steps, pct_start=WARMUP_SHARE
    )
    started = time.perf_counter()
    for epoch in range(stage.last):
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
            total += loss.item() / steps
        rate, spent = word_error_rate(model, prepared, validation), time.perf_counter() - started
        yield f"epoch {epoch + 1}: loss {total:.3f} nats a character, WER {rate:.3f} on D_v, {spent:.0f} s"


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
    parser.add_argument("--out", type=Path, default=Path(backbones.__file__).parent / "nano")
    parser.add_argument("--cache", type=Path, default=default_cache_dir())
    arguments = parser.parse_args()
    if unknown := set(arguments.families) - set(FAMILIES):
        parser.error(f"Unknown families: {', '.join(sorted(unknown))}. Choose from: {', '.join(FAMILIES)}")
    torch.set_num_threads(1)  # the same bits on any number of cores
    corpora = [open_corpus(stage_corpus(stage), arguments.cache) for stage in STAGES]
    for family in arguments.families or ["wav2vec2"]:
        seed_everything(STAGES[0].seed)
        backbone = FAMILIES[family](checkpoint=f"packaged:{family}_nano")
        model = backbone.build()
        for number, (stage, corpus) in enumerate(zip(STAGES, corpora, strict=True), start=1):
            for line in pretrain(model, prepare(backbone, corpus, model), corpus, stage):
                sys.stdout.write(f"{family} stage {number} {line}\n")
                sys.stdout.flush()
                path = write(backbone, model, arguments.out)
        sys.stdout.write(f"{path}: {path.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
