"""Anybody's fine-tuned Hugging Face audio classifier: a local folder becomes a classifier, and a folder again.

Whisper, wav2vec 2.0 and HuBERT, with any number of labels, any projection, and learned sums over the layers. The
network is transformers' own, so its logits are those of plain transformers by construction.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from backbones.base import SAMPLE_RATE_HZ, SpeechClassifier
from backbones.checkpoints import quiet_loading
from backbones.heads import valid_frames
from backbones.mel_spectrogram import HOP_SAMPLES
from backbones.weight_files import require_sound_folder, require_sound_settings

ARCHITECTURES = {
    "WhisperForAudioClassification": "encoder",
    "Wav2Vec2ForSequenceClassification": "wav2vec2",
    "HubertForSequenceClassification": "hubert",
}
"""Classes of transformers that are loaded, and the attribute that holds the encoder."""

QUIET = {"encoder_layerdrop": 0.0, "layerdrop": 0.0, "apply_spec_augment": False}
"""Settings that draw at random in training; they are set while a model is trained here, and written back unchanged."""

COPIED = (
    *("preprocessor_config.json", "processor_config.json", "feature_extractor_config.json", "generation_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "normalizer.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model"),
)
"""Files of processors and tokenizers. Others may list recordings or people, and stay behind."""


class FineTunedClassifier(SpeechClassifier):
    """A classification model of transformers. The convolutions of wav2vec 2.0 and HuBERT are frozen features."""

    def __init__(self, model: Any, *, masks_padding: bool) -> None:
        """Take the model apart: `head` is its classifier, and the model without it gives what the head reads."""
        super().__init__()
        self.head = model.classifier
        model.classifier = nn.Identity()
        self.encoder_name = ARCHITECTURES[type(model).__name__]
        if self.encoder_name != "encoder":
            getattr(model, self.encoder_name).feature_extractor = nn.Identity()
        self.model = model
        self.masks_padding = masks_padding

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Convolutions or projection of the features, layers, norm, projector, classifier, in the order of the flow."""
        encoder = getattr(self.model, self.encoder_name)
        if self.encoder_name == "encoder":
            return [encoder.conv1, encoder.conv2, *encoder.layers, encoder.layer_norm, self.model.projector, self.head]
        inside = encoder.encoder
        stem = [encoder.feature_projection, inside.pos_conv_embed]
        return [*stem, *inside.layers, inside.layer_norm, self.model.projector, self.head]

    def embed(
        self, features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch projected"]:
        """`features` are log-mel frames (B, T, mels), or frames of the convolutions (B, T, C); lengths in samples."""
        turned = features.transpose(1, 2)
        if self.encoder_name == "encoder":
            found = self.model(input_features=turned)
        else:
            mask = valid_frames(lengths, int(lengths.max())).long() if self.masks_padding else None
            found = self.model(input_values=turned, attention_mask=mask)
        vectors: Tensor = found.logits
        return vectors


@dataclass(frozen=True)
class FineTuned:
    """An open folder: its settings, its feature extractor, and the classes in the order of the logits."""

    folder: Path
    config: Any
    extractor: Any
    target: ClassVar[str] = "classes"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by logit.

        Raises:
            ValueError: a class has no name.
        """
        numbers, names = range(int(self.config.num_labels)), self.config.id2label
        if lacking := [number for number in numbers if number not in names]:
            raise ValueError(
                f"{self.folder / 'config.json'} names no class {lacking[0]} of {len(numbers)}: number the labels of "
                "id2label from 0, without a gap"
            )
        return tuple(str(names[number]) for number in numbers)

    @property
    def architecture(self) -> str:
        """The class of transformers."""
        return str(self.config.architectures[0])

    @property
    def is_whisper(self) -> bool:
        """Whether features are log-mel frames of a fixed length."""
        return ARCHITECTURES[self.architecture] == "encoder"

    @property
    def fixed_samples(self) -> int | None:
        """Samples of every clip where the network takes one length only (Whisper); else None."""
        return 2 * HOP_SAMPLES * int(self.config.max_source_positions) if self.is_whisper else None

    @property
    def masks_padding(self) -> bool:
        """Whether the network gets an attention mask, as its feature extractor says."""
        return not self.is_whisper and bool(getattr(self.extractor, "return_attention_mask", False))

    def load(self, weights: Path | None = None) -> FineTunedClassifier:
        """Return the classifier in float32 on the CPU, in eval mode; its dropout is the checkpoint's own.

        Args:
            weights: another folder with weights of the encoder, such as the pretrained one; the head is then new,
                drawn from torch's global generator.

        Raises:
            ValueError: weights are missing from the folder, or have other shapes than its config.json says.
        """
        return FineTunedClassifier(self._network(weights), masks_padding=self.masks_padding).eval()

    def _network(self, weights: Path | None = None) -> Any:
        import transformers

        config = copy.deepcopy(self.config)
        for name, value in QUIET.items():
            if hasattr(config, name):
                setattr(config, name, value)
        network = getattr(transformers, self.architecture)
        with quiet_loading():
            model, info = network.from_pretrained(
                str(weights or self.folder),
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
        missing = sorted(info["missing_keys"]) + [key for key, *_ in info["mismatched_keys"]]
        new = ("projector.", "classifier.", "layer_weights") if weights else ()
        lacking = [key for key in missing if not key.startswith((*new, "encoder.embed_positions"))]
        if lacking:
            raise ValueError(
                f"{weights or self.folder} lacks {len(lacking)} weights of {self.architecture}, such as {lacking[0]}; "
                "save the whole model with save_pretrained"
            )
        return model

    def features(self, clips: Sequence[npt.NDArray[np.int16]], samples: int) -> tuple[Tensor, Tensor]:
        """Return features (B, T, width) and lengths (B,) in samples of 16 kHz clips, by the folder's own extractor.

        Each clip is prepared alone, cut to `samples` and padded with zeros to it, so that no clip depends on another.
        """
        cut = [clip[:samples].astype(np.float32) / 32768.0 for clip in clips]
        lengths = torch.tensor([len(clip) for clip in cut])
        if self.is_whisper:
            made = self.extractor(
                cut, sampling_rate=SAMPLE_RATE_HZ, padding="max_length", max_length=samples, truncation=True,
                return_tensors="pt",
            )  # fmt: skip
            return made["input_features"].float().transpose(1, 2).contiguous(), lengths
        padded = torch.zeros(len(cut), samples)
        for row, clip in enumerate(cut):
            made = self.extractor(clip, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
            padded[row, : len(clip)] = made["input_values"][0].float()
        with torch.no_grad():
            frames: Tensor = self._convolutions(padded)
            return frames.transpose(1, 2).contiguous(), lengths

    @cached_property
    def _convolutions(self) -> Any:
        return getattr(self._network(), ARCHITECTURES[self.architecture]).feature_extractor.eval()

    def save(self, classifier: SpeechClassifier, folder: Path) -> None:
        """Write the folder again with other weights: settings, labels, processor and dtype are unchanged.

        Of other files, only those of processors and tokenizers are copied.

        Raises:
            ValueError: it is this folder, which is never changed.
        """
        require_another(folder, self.folder)
        model = self._network()
        model.classifier = copy.deepcopy(classifier.head)
        for name in QUIET:
            if hasattr(self.config, name):
                setattr(model.config, name, getattr(self.config, name))
        write_again(model, _weights_of(classifier), self.config, self.folder, folder)


def open_fine_tuned(folder: Path) -> FineTuned:
    """Open a folder that `save_pretrained` wrote for audio classification; its weights are not read yet.

    Raises:
        ValueError: it is no folder, is incomplete, or holds another kind of model.
    """
    import transformers

    require_weights(folder)
    settings = require_sound_settings(folder / "config.json")
    named = settings.get("architectures") or ["none"]
    if named[0] not in ARCHITECTURES:
        raise ValueError(
            f"{folder} is no audio classifier that can be loaded: its architecture is {named[0]}; choose a model of "
            f"{', '.join(ARCHITECTURES)}"
        )
    if int(settings.get("num_labels") or len(settings.get("id2label") or {}) or 2) < 2:
        raise ValueError(f"{folder} has fewer than two labels: a classifier needs two or more")
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise ValueError(
            f"{folder} has no preprocessor_config.json, which says how audio is read; save the feature extractor of "
            "the training into it"
        )
    config = transformers.AutoConfig.from_pretrained(str(folder))
    return FineTuned(folder, config, transformers.AutoFeatureExtractor.from_pretrained(str(folder)))


def require_another(folder: Path, original: Path) -> None:
    """Raises:
    ValueError: it is the folder of the original.
    """
    if folder.resolve() == original.resolve():
        raise ValueError(f"{folder} is the folder of the original, which is never changed. Name another folder")


def write_again(network: Any, weights: Mapping[str, Tensor], config: Any, original: Path, folder: Path) -> None:
    """Write a network of transformers with other weights, in the dtype of `config`, and the original's `COPIED` files.

    Raises:
        ValueError: the network has no place for some of the weights.
    """
    if unexpected := network.load_state_dict(weights, strict=False).unexpected_keys:
        raise ValueError(f"weights that {type(network).__name__} has no place for: {', '.join(unexpected)}")
    dtype = getattr(config, "dtype", None) or torch.float32
    network = network.to(dtype=dtype if isinstance(dtype, torch.dtype) else getattr(torch, str(dtype)))
    with quiet_loading():
        network.save_pretrained(folder)
    for name in COPIED:
        if (original / name).is_file():
            shutil.copyfile(original / name, folder / name)


def require_weights(folder: Path) -> None:
    """Raises:
    ValueError: it is no local folder with settings and weights.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no model folder {folder}. Name a folder that save_pretrained wrote")
    try:
        require_sound_folder(folder)
    except FileNotFoundError as error:
        raise ValueError(f"{error}. Name a folder that save_pretrained wrote, with model.safetensors") from None


def settings_of(folder: Path) -> dict[str, Any]:
    """Return the plain config.json of a folder."""
    settings: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return settings


def _weights_of(classifier: SpeechClassifier) -> dict[str, Tensor]:
    return {
        key.removeprefix("model."): value for key, value in classifier.state_dict().items() if key.startswith("model.")
    }
