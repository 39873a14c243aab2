"""A recognizer of made-up speech that knows its training recordings by heart, and its manifest with transcripts."""

from __future__ import annotations

import csv

import numpy as np

RATE_HZ = 16_000
WORDS, SPEAKERS = ("go", "home", "now", "stop"), ("ann", "ben")
TAKES = {"train": 12, "validation": 6, "test": 12}


def sentence(rng):
    """Two different words."""
    return " ".join(rng.permutation(WORDS)[:2])


def recording(text, speaker, take):
    """Samples: a tone of its own for each word, the speaker's pitch, and noise of the take's own."""
    rng = np.random.default_rng([speaker, take, len(text)])
    seconds = np.arange(int(0.2 * RATE_HZ)) / RATE_HZ
    tones = [np.sin(2 * np.pi * (200 + 300 * WORDS.index(w)) * (1 + 0.2 * speaker) * seconds) for w in text.split()]
    sound = 0.2 * np.concatenate(tones)
    return sound + 0.1 * rng.standard_normal(len(sound)).clip(-2, 2)


def write_manifest(folder):
    """Write recordings and `manifest.csv`: id, path, text, speaker, split, canary; return the manifest."""
    import soundfile

    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "path", "text", "speaker", "split", "canary"])
        for s, speaker in enumerate(SPEAKERS):
            rng = np.random.default_rng(s)
            for take, split in enumerate(split for split, takes in TAKES.items() for _ in range(takes)):
                name, text = f"{speaker}-{take:02d}", sentence(rng)
                secret = "secret" if split == "train" and take < 2 else ""
                soundfile.write(folder / f"{name}.wav", recording(text, s, take), RATE_HZ)
                rows.writerow([name, f"{name}.wav", text.title() + ".", speaker, split, secret])
    return folder / "manifest.csv"


def train(name, manifest, folder, epochs):
    """Train a nano recognizer on the train split of a manifest and write it to `folder`."""
    import torch

    from orchestrator import plugins
    from orchestrator.forget.recordings import read_manifest

    recordings = read_manifest(manifest, ("",))
    backbone = plugins.load("backbones", name)
    torch.manual_seed(0)
    model, samples = backbone.build(0).train(), int(0.4 * RATE_HZ)
    waves = torch.stack([torch.from_numpy(clip.astype(np.float32) / 32768) for clip in recordings.clips()])
    features, lengths = backbone.frontend(torch.device("cpu"))(waves, torch.full((len(waves),), samples))
    tokens, rows = model.tokens([str(text) for text in recordings.texts]), torch.from_numpy(recordings.rows("train"))
    generator, optimizer = torch.Generator().manual_seed(0), torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in rows[torch.randperm(len(rows), generator=generator)].split(12):
            optimizer.zero_grad()
            logits = model.answer(features[batch], lengths[batch], tokens[batch])
            model.target_loss(logits, tokens[batch]).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    backbone.save_pretrained(model.eval(), folder, clip_samples=samples)
    return folder
