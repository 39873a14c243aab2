"""Pretrain the three small encoders that ship with the package (`make nano`), on words and voices of their own.

The training is supervised and has several tasks: which of 199 words was said, and which of 400 voices said it. A
feature encoder of raw waveforms also predicts the log-mel spectrogram, so that it needs fewer epochs to learn a filter
bank. The corpus of eSpeak NG for pretraining shares neither words nor voice variants with those of demo and tour. It is
rendered without noise; noise, shift and signal-to-noise ratio are drawn for each batch, easy at first. The weights
without heads are written to backbones/nano/.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import backbones
from backbones.base import SpeechClassifier
from backbones.checkpoints import random_model, write_packaged
from backbones.export import transformers_names
from backbones.heads import new_linear
from backbones.hubert import Hubert
from backbones.mel_spectrogram import log_mel, mel_filters
from backbones.wav2vec2 import Wav2Vec2
from backbones.waveform_encoder import WaveformClassifier, normalize
from backbones.whisper import ARCHITECTURE, NAMES, WhisperClassifier
from orchestrator.digests import default_cache_dir
from orchestrator.run.setup.context import seed_everything
from orchestrator.tasks.base import SAMPLE_RATE_HZ
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.corpus import Corpus
from orchestrator.tasks.espeak import EspeakPretraining
from orchestrator.tasks.espeak_tts.acoustics import NOISES, noise

WIDTH, LAYERS, INNER, HEADS = 96, 2, 384, 4
# The feature encoder of wav2vec 2.0 and HuBERT: four convolutions instead of the published seven, also 50 frames/s.
CHANNELS, KERNELS, STRIDES = (32, 48, 64, 64), (20, 8, 4, 4), (10, 4, 4, 2)
MEL_BANDS = 80
INIT_STD = 0.1  # 0.02, the default of transformers, is for wide networks; a network of width 96 then learns slowly
EPOCHS = {"whisper": 8, "wav2vec2": 10, "hubert": 10}
BATCH = 64
LEARNING_RATE = 2e-3
VOICE_WEIGHT = 0.5  # of the cross-entropy of voices; that of words has weight 1
MEL_WEIGHT = 1.0  # of the mean squared error of standardized log-mel values
NOISE_CLIPS = 1_500
SHIFT_SAMPLES = 3_200  # words are shifted by up to 0.2 s
LOWEST_SNR_DB, EASIEST_SNR_DB, SNR_SPAN_DB = 3.0, 30.0, 22.0
EASING_SHARE = 0.3  # of all steps, in which the lower limit of the ratio falls from easiest to lowest


@dataclass(frozen=True)
class Clean:
    """The corpus without noise in memory, and noise to add to it."""

    audio: Tensor  # (N, samples) int16
    level_db: Tensor  # (N,) level of the word, dB relative to full scale
    words: Tensor  # (N,)
    voices: Tensor  # (N,)
    noise: Tensor  # (NOISE_CLIPS, samples) of unit RMS

    def batch(self, rows: Tensor, done: float, generator: torch.Generator) -> Tensor:
        """Return words in noise, (B, samples).

        Args:
            rows: of the corpus, (B,).
            done: share of the pretraining that is finished, 0–1.
            generator: draws shifts, noise and ratios.
        """
        samples = self.audio.shape[1]
        shifts = torch.randint(-SHIFT_SAMPLES, SHIFT_SAMPLES + 1, (len(rows),), generator=generator)
        places = (torch.arange(samples) - shifts[:, None]) % samples
        speech = (self.audio[rows].float() / 32768).gather(1, places)
        picked = torch.randint(len(self.noise), (len(rows),), generator=generator)
        low = max(LOWEST_SNR_DB, EASIEST_SNR_DB * (1 - done / EASING_SHARE))
        snr_db = low + SNR_SPAN_DB * torch.rand(len(rows), 1, generator=generator)
        return speech + 10 ** ((self.level_db[rows][:, None] - snr_db) / 20) * self.noise[picked]


def read_clean(corpus: Corpus, seed: int) -> Clean:
    """Read the corpus into tensors, and generate the noise."""
    audio = np.stack([corpus.audio(row) for row in range(len(corpus))])
    rng = np.random.default_rng(seed)
    talkers = [clip.astype(np.float64) / 32768 for clip in audio[:300]]
    noises = [noise(NOISES[n % len(NOISES)], audio.shape[1], rng, talkers) for n in range(NOISE_CLIPS)]
    _, voices = np.unique(corpus.speakers, return_inverse=True)
    return Clean(
        torch.from_numpy(audio),
        torch.from_numpy(corpus.column("level_db").astype(np.float32)),
        torch.from_numpy(corpus.labels),
        torch.from_numpy(voices),
        torch.from_numpy(np.stack(noises).astype(np.float32)),
    )


def nano_config(family: str) -> Any:
    """Return the smallest useful configuration of a family: less than half a million weights."""
    import transformers

    if family == "whisper":
        return transformers.WhisperConfig(
            d_model=WIDTH, encoder_layers=LAYERS, encoder_ffn_dim=INNER, encoder_attention_heads=HEADS,
            decoder_layers=1, decoder_attention_heads=HEADS, decoder_ffn_dim=8, vocab_size=8, pad_token_id=0,
            bos_token_id=0, eos_token_id=0, decoder_start_token_id=0, init_std=INIT_STD,
        )  # fmt: skip
    layer_norm = family == "hubert"  # so that both kinds of feature encoder are used
    kind = transformers.HubertConfig if family == "hubert" else transformers.Wav2Vec2Config
    # mask_time_prob is 0: pretraining masks no frames, so there is no mask embedding.
    return kind(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, intermediate_size=INNER, num_attention_heads=HEADS,
        conv_dim=CHANNELS, conv_kernel=KERNELS, conv_stride=STRIDES,
        feat_extract_norm="layer" if layer_norm else "group", do_stable_layer_norm=layer_norm,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, hidden_dropout=0.0, activation_dropout=0.0,
        attention_dropout=0.0, feat_proj_dropout=0.0, final_dropout=0.0, layerdrop=0.0, mask_time_prob=0.0,
        initializer_range=INIT_STD, vocab_size=32,
    )  # fmt: skip


def new_model(family: str, config: Any, num_words: int) -> SpeechClassifier:
    """Return the whole network with random weights; its head predicts words."""
    projector = new_linear(WIDTH, config.classifier_proj_size, INIT_STD)
    head = new_linear(config.classifier_proj_size, num_words, INIT_STD)
    if family == "whisper":
        return WhisperClassifier(random_model(ARCHITECTURE, config).encoder, projector, head)
    plugin = Hubert if family == "hubert" else Wav2Vec2
    base = getattr(random_model(plugin.architecture, config), family)
    return WaveformClassifier(base, projector, head, train_feature_encoder=True, spec_augment=False)


def inputs(family: str, waveforms: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    """Return the network's inputs for full clips, and their lengths."""
    lengths = torch.full((len(waveforms),), waveforms.shape[1])
    if family == "whisper":
        return log_mel(waveforms, filters), lengths // 160
    return normalize(waveforms, lengths), lengths


def standardize(model: SpeechClassifier, features: Tensor) -> None:
    """Fold mean and deviation of each mel band into the first convolution, because log-mel frames are not centered."""
    mean, deviation = features.mean((0, 1)), features.std((0, 1))
    assert isinstance(model, WhisperClassifier)
    convolution = model.stem.conv1
    with torch.no_grad():
        convolution.weight.div_(deviation[None, :, None])
        convolution.bias.sub_((convolution.weight * mean[None, :, None]).sum((1, 2)))


class MelHead(nn.Module):
    """Predict the log-mel spectrogram from the frames of the feature encoder; discarded after pretraining."""

    def __init__(self, encoder: nn.Module, filters: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(CHANNELS[-1], 2 * MEL_BANDS)  # one frame of 20 ms predicts two of 10 ms
        self.filters = filters
        self.frames = torch.empty(0)
        encoder.register_forward_hook(self._keep)

    def _keep(self, encoder: nn.Module, inputs: Any, frames: Tensor) -> None:
        self.frames = frames

    def loss(self, waveforms: Tensor) -> Tensor:
        """Return the mean squared error on the last batch of the encoder; a constant prediction reaches 1."""
        with torch.no_grad():
            mel = log_mel(waveforms, self.filters)
            mel = (mel - mel.mean((0, 1))) / mel.std((0, 1))
            target = mel[:, : mel.shape[1] // 2 * 2].reshape(len(mel), -1, 2 * MEL_BANDS)
        frames = min(target.shape[1], self.frames.shape[1])
        return functional.mse_loss(self.linear(self.frames[:, :frames]), target[:, :frames])


def pretrain(
    family: str, clean: Clean, corpus: Corpus, epochs: int, seed: int
) -> Iterator[tuple[str, SpeechClassifier]]:
    """Pretrain one family; yield a line about each epoch, and the model."""
    seed_everything(seed)
    generator = torch.Generator().manual_seed(seed)
    filters = mel_filters(MEL_BANDS, torch.device("cpu"))
    model = new_model(family, nano_config(family), len(corpus.classes))
    train, validation = (torch.from_numpy(corpus.rows(split)) for split in ("train", "validation"))
    if family == "whisper":
        standardize(model, inputs(family, clean.batch(train[:512], 1.0, generator), filters)[0])
    voice_head = nn.Linear(model.head.in_features, int(clean.voices.max()) + 1)  # type: ignore[arg-type]
    encoder = getattr(model, "feature_extractor", None)
    mel_head = None if encoder is None else MelHead(encoder, filters)
    modules = [module for module in (model, voice_head, mel_head) if module is not None]
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    steps = epochs * (len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    started, step = time.perf_counter(), 0
    for epoch in range(epochs):
        model.train()
        order = train[torch.randperm(len(train), generator=generator)]
        for first in range(0, len(train) - BATCH + 1, BATCH):
            rows = order[first : first + BATCH]
            waveforms = clean.batch(rows, step / steps, generator)
            embedded = model.embed(*inputs(family, waveforms, filters))
            loss = functional.cross_entropy(model.head(embedded), clean.words[rows])
            loss = loss + VOICE_WEIGHT * functional.cross_entropy(voice_head(embedded), clean.voices[rows])
            if mel_head is not None:
                loss = loss + MEL_WEIGHT * mel_head.loss(waveforms)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            step += 1
        model.eval()
        with torch.no_grad():
            embedded = model.embed(
                *inputs(family, clean.batch(validation, 1.0, torch.Generator().manual_seed(0)), filters)
            )
            words = (model.head(embedded).argmax(1) == clean.words[validation]).float().mean()
            voices = (voice_head(embedded).argmax(1) == clean.voices[validation]).float().mean()
        spent = time.perf_counter() - started
        yield f"{family} epoch {epoch + 1}: words {words:.3f}, voices {voices:.3f} on D_v, {spent:.0f} s", model


def write(family: str, model: SpeechClassifier, folder: Path) -> Path:
    """Write the encoder in float16, with the names that transformers uses."""
    names = NAMES if family == "whisper" else (Hubert if family == "hubert" else Wav2Vec2)(checkpoint="")._names()
    path = folder / f"{family}_nano.safetensors"
    weights = transformers_names(model.state_dict(), names)
    weights.pop("encoder.embed_positions.weight", None)  # sinusoids, computed when loading
    write_packaged(weights, nano_config(family), path)
    return path


def main() -> None:
    """Render the corpus, pretrain the chosen families, and write their weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help=f"{', '.join(EPOCHS)}; all by default")
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, help="of every family; by default each family has its own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(backbones.__file__).parent / "nano")
    arguments = parser.parse_args()
    if unknown := set(arguments.families) - set(EPOCHS):
        parser.error(f"Unknown families: {', '.join(sorted(unknown))}. Choose from: {', '.join(EPOCHS)}")
    torch.set_num_threads(1)  # the same bits on any number of cores
    task = EspeakPretraining(
        clips=arguments.clips, speakers=400, seed=arguments.seed, snr_db=(60.0, 60.0), noises=("white",),
        test_share=0.01, validation_share=0.02, holdout_share=0.0,
    )  # fmt: skip
    corpus = open_corpus(task, default_cache_dir())
    assert int(corpus.num_samples[0]) == SAMPLE_RATE_HZ
    clean = read_clean(corpus, arguments.seed)
    for family in arguments.families or EPOCHS:
        for line, model in pretrain(family, clean, corpus, arguments.epochs or EPOCHS[family], arguments.seed):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            path = write(family, model, arguments.out)
        sys.stdout.write(f"{path}: {path.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
