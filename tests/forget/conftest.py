"""What the tests of removal requests share: recordings of made-up words and speakers, and models trained on them."""

from __future__ import annotations

import csv

import numpy as np
import pytest

RATE_HZ = 16_000
WORDS, SPEAKERS = ("down", "left", "right", "up"), ("ann", "ben", "cas", "dee")
TAKES = {"train": 6, "validation": 3, "test": 6}


def recording(word, speaker, take):
    """Samples of a fifth of a second: the word's chord, the speaker's pitch, and noise of the take's own."""
    rng = np.random.default_rng([word, speaker, take])
    seconds = np.arange(int(0.2 * RATE_HZ)) / RATE_HZ
    pitch = 110.0 * (1 + 0.13 * speaker)
    tone = sum(np.sin(2 * np.pi * pitch * (word + 2) * h * seconds) / h for h in (1, 2, 3))
    return 0.1 * tone + 0.25 * rng.standard_normal(len(seconds)).clip(-2, 2)


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    """Return a folder of 240 recordings with `manifest.csv`: id, path, label, speaker, split."""
    import soundfile

    folder = tmp_path_factory.mktemp("commands")
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "path", "label", "speaker", "split"])
        for w, word in enumerate(WORDS):
            for s, speaker in enumerate(SPEAKERS):
                splits = [split for split, takes in TAKES.items() for _ in range(takes)]
                for take, split in enumerate(splits):
                    name = f"{word}-{speaker}-{take:02d}"
                    soundfile.write(folder / f"{name}.wav", recording(w, s, take), RATE_HZ)
                    rows.writerow([name, f"{name}.wav", word, speaker, split])
    return folder


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """Return a folder of a Whisper of the smallest size with the words as labels and clips of a fifth of a second."""
    import torch

    from orchestrator import plugins

    folder = tmp_path_factory.mktemp("models") / "untrained"
    torch.manual_seed(0)
    backbone = plugins.load("backbones", "whisper_nano")
    backbone.save_pretrained(backbone.build(len(WORDS)), folder, WORDS, clip_samples=3200)
    return folder


@pytest.fixture(scope="session")
def trained(untrained, commands, tmp_path_factory):
    """Return a folder of that model, trained on the train split until it knows the recordings by heart."""
    import torch

    from backbones.fine_tuned import open_fine_tuned
    from orchestrator.forget.recordings import read_manifest
    from orchestrator.forget.speech import read_speech

    folder = tmp_path_factory.mktemp("models") / "trained"
    opened = open_fine_tuned(untrained)
    recordings = read_manifest(commands / "manifest.csv", opened.classes)
    speech, model = read_speech(opened, recordings, tmp_path_factory.mktemp("scratch")), opened.load().train()
    rows, labels = torch.from_numpy(recordings.rows("train")), torch.from_numpy(recordings.labels)
    generator, optimizer = torch.Generator().manual_seed(0), torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(25):
        for batch in rows[torch.randperm(len(rows), generator=generator)].split(16):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(*speech.fetch(batch)), labels[batch]).backward()
            optimizer.step()
    opened.save(model.eval(), folder)
    return folder


@pytest.fixture(scope="session")
def waveforms():
    """Makes a folder of a small random wav2vec 2.0 or HuBERT with the words as labels and learned layer sums."""
    import torch
    import transformers

    def make(architecture, family, folder, *, masks=True, half=False):
        small = {
            "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
            "conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (5, 64), "num_feat_extract_layers": 2,
            "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "use_weighted_layer_sum": True,
            "classifier_proj_size": 6, "id2label": dict(enumerate(WORDS)),
        }  # fmt: skip
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(family, **small)
        model = getattr(transformers, f"{architecture}ForSequenceClassification")(config)
        (model.half() if half else model).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(return_attention_mask=masks).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def options(trained, commands, tmp_path_factory):
    """Makes options of a request on the trained model; settings override them."""
    from methods.base import Training
    from orchestrator.forget.serving import Options

    folder = tmp_path_factory.mktemp("served")

    def make(request, out, **settings):
        return Options(**{
            "model": trained, "data": commands / "manifest.csv", "request": request, "out": folder / out,
            "key": folder / "key", "training": Training(learning_rate=1e-3, epochs=25, batch_size=16), **settings,
        })  # fmt: skip

    return make


@pytest.fixture(scope="session")
def first(options):
    """Serve the request of a speaker; it has what `serve` returns."""
    from orchestrator.forget.request import Request
    from orchestrator.forget.serving import serve

    return serve(options(Request(speaker="ann"), "first"))
