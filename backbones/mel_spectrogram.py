"""Log-mel spectrograms on the device of the waveform, equal to those of `WhisperFeatureExtractor`.

Source: Radford et al., 2022, arXiv 2212.04356, section 2.2; 25 ms windows every 10 ms, slaney mel filters, log10, a
floor 8 (80 dB) below the loudest point of the clip, then (x + 4) / 4.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from backbones.base import SAMPLE_RATE_HZ

WINDOW_SAMPLES = 400
HOP_SAMPLES = 160


def mel_filters(num_mels: int, device: torch.device) -> Float[Tensor, "mels bins"]:
    """Slaney-scaled triangles from 0 to 8 kHz over the bins of the spectrum."""
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        num_frequency_bins=WINDOW_SAMPLES // 2 + 1, num_mel_filters=num_mels, min_frequency=0.0, max_frequency=8000.0,
        sampling_rate=SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney",
    )  # fmt: skip
    return torch.from_numpy(filters).to(device, torch.float32).T


def log_mel(
    waveforms: Float[Tensor, "batch samples"], filters: Float[Tensor, "mels bins"]
) -> Float[Tensor, "batch frames mels"]:
    """One frame each 160 samples: `samples // 160` of them. The floor is each clip's own."""
    window = torch.hann_window(WINDOW_SAMPLES, device=waveforms.device)
    spectrum = torch.stft(waveforms, WINDOW_SAMPLES, HOP_SAMPLES, window=window, return_complex=True)
    power = (spectrum[..., :-1].abs() ** 2).contiguous()
    loudness = torch.clamp(filters @ power, min=1e-10).log10()
    loudness = torch.maximum(loudness, loudness.amax(dim=(1, 2), keepdim=True) - 8.0)
    return ((loudness + 4.0) / 4.0).transpose(1, 2).contiguous()


def pad_samples(waveforms: Float[Tensor, "batch samples"], samples: int) -> Float[Tensor, "batch padded"]:
    """Silence appended until each clip has `samples` samples."""
    return functional.pad(waveforms, (0, samples - waveforms.shape[1]))
