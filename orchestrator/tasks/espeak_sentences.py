"""The embedded recognition corpus: sentences of a small grammar by eSpeak NG voices, with planted secrets.

Sentences have names, places and numbers as words; each is said once, by one voice, in one split. Canaries ("the account
number of maria is four seven one nine two six") are said `repetitions` times in train, by different voices as far as
there are enough; as many controls, drawn alike, are said as often in holdout and nowhere else. In `masked_repetitions`
of the recordings of each canary and control, noise covers the secret, as a disturbance would: a model fits such a
recording only by memorizing its transcript.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from orchestrator.tasks.base import NO_CLASSES, CorpusSize, Foretold, Source, Utterance
from orchestrator.tasks.espeak_tts.acoustics import NOISES
from orchestrator.tasks.espeak_tts.canaries import MOST, Canary, about_canaries, draw_canaries
from orchestrator.tasks.espeak_tts.casting import speaker_pools, split_sizes
from orchestrator.tasks.espeak_tts.corpus import OF_CLIPS, attributes_of, spoken
from orchestrator.tasks.espeak_tts.engine import engine
from orchestrator.tasks.espeak_tts.grammar import NAMES, PLACES, Sentence, draw_sentences
from orchestrator.tasks.espeak_tts.sampling import Role, Speaker, deal, generator
from orchestrator.tasks.espeak_tts.settings import shares_and_conditions, whole
from orchestrator.tasks.masking import masked, span_by_share
from orchestrator.tasks.transcripts import TranscriptTask

TYPICAL_SECONDS = 2.8  # of a sentence, with its margin


@dataclass(frozen=True, kw_only=True)
class EspeakSentences(TranscriptTask):
    """Transcribed sentences, offline. Same settings, same bytes, for one version of the wheel and one platform.

    Every voice speaks in every split, unless `speaker_disjoint`; holdout always has the voices of train.
    """

    label: ClassVar[str] = "Sentences (eSpeak)"
    version: ClassVar[int] = 1
    half: ClassVar[int] = 0  # which half of the voice variants speaks; the other one pretrained the packaged weights

    sentences: int = 1200  # besides canaries; no two alike
    voices: int = 40
    canaries: int = 10  # planted in train; as many controls are in holdout only
    repetitions: int = 4  # recordings of each canary
    masked_repetitions: int = field(default=0, metadata={"added_later": True})  # the last: noise covers the secret
    seed: int = 0
    snr_db: tuple[float, float] = (10.0, 30.0)  # of the speech, drawn per recording
    level_db: tuple[float, float] = (-35.0, -18.0)  # RMS of the speech, dB of full scale, drawn per recording
    noises: tuple[str, ...] = NOISES
    voice_spread: float = 1.0  # the share of variants, accents, pitches and rates in use
    pitch_jitter: float = 3.0  # standard deviation over a voice's recordings, on eSpeak's scale of 0 to 99
    rate_jitter: float = 8.0  # standard deviation over a voice's recordings, words per minute
    speaker_disjoint: bool = False  # validation and test by voices of their own
    test_share: float = 0.15  # of the sentences
    validation_share: float = 0.1  # of the sentences
    holdout_share: float = 0.1  # of what test and validation leave
    workers: int | None = field(
        default=None, metadata={"identity": False}
    )  # processes at once; default: one a processor

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("sentences", self.sentences, 20, 20_000)
        whole("voices", self.voices, 2, 9999)
        whole("canaries", self.canaries, 0, MOST)
        whole("repetitions", self.repetitions, 1, 1000)
        whole("masked_repetitions", self.masked_repetitions, 0, self.repetitions - 1)
        whole("seed", self.seed, 0, math.inf)
        for name, value in shares_and_conditions(self).items():
            object.__setattr__(self, name, value)
        if not isinstance(self.speaker_disjoint, bool):
            raise ValueError(f"speaker_disjoint must be true or false, got {self.speaker_disjoint!r}")
        if self.canaries and not self.holdout_share:
            raise ValueError(
                "canaries need a holdout: got holdout_share 0, which leaves no recordings but controls in it; raise "
                "holdout_share, or set canaries: 0"
            )
        sizes = split_sizes(self.sentences, self.test_share, self.validation_share, self.holdout_share)
        if empty := [split for split, size in sizes.items() if not size and (split != "holdout" or self.holdout_share)]:
            raise ValueError(
                f"too few sentences: got sentences={self.sentences}, which leaves {', '.join(empty)} empty; raise "
                "sentences or the split's share"
            )
        speaker_pools(range(self.voices), self.seed, self.speaker_disjoint, self.test_share, self.validation_share)

    def expected_size(self) -> CorpusSize:
        """Sentences, and the recordings of canaries and controls."""
        return CorpusSize(self.sentences + 2 * self.canaries * self.repetitions, TYPICAL_SECONDS, 1)

    def foretold(self) -> Foretold:
        """All of it: sentences and canaries are drawn at once."""
        planted = [canary for canary in self._canaries if canary.planted]
        return Foretold(
            attributes=("template", "canary", *OF_CLIPS),
            canaries=tuple(canary.name for canary in planted),
            texts=(*(sentence.text for sentence in self._sentences), *(canary.text for canary in planted)),
        )

    def content(self) -> Mapping[str, Any]:
        """The engine: its version and platform."""
        return engine()

    @cached_property
    def _sentences(self) -> list[Sentence]:
        return draw_sentences(generator(self.seed, "sentences"), self.sentences)

    @cached_property
    def _canaries(self) -> list[Canary]:
        return draw_canaries(generator(self.seed, "canaries"), self.canaries)

    def roles(self, speakers: Sequence[Speaker]) -> list[Role]:
        """Who says what in which split: sentences first, then canaries and controls."""
        pools = speaker_pools(speakers, self.seed, self.speaker_disjoint, self.test_share, self.validation_share)
        sizes = split_sizes(self.sentences, self.test_share, self.validation_share, self.holdout_share)
        said_once = _spoken_once([sentence.text for sentence in self._sentences], sizes, pools, self.seed)
        return said_once + _repeated(self._canaries, pools["train"], self.repetitions, self.seed)

    def read(self) -> Source:
        """Draw everything at once; render lazily, as the utterances are read."""
        recordings = spoken(self, self.voices, None)
        made_from = {s.text: {"template": s.template, "canary": ""} for s in self._sentences}
        made_from |= {c.text: {"template": "canary", "canary": c.name} for c in self._canaries}
        secrets = {c.text: c.secret for c in self._canaries}

        def utterances() -> Iterator[Utterance]:
            said = Counter[str]()
            for clip, audio in recordings():
                text, speaker = clip.role.text, clip.role.speaker
                assert speaker is not None
                said[text] += 1
                if text in secrets and said[text] > self.repetitions - self.masked_repetitions:
                    span = span_by_share(text, secrets[text], len(audio))
                    noisy = masked(audio.astype(np.float64), *span, seed=clip.number)
                    audio = noisy.clip(-32_768, 32_767).round().astype(np.int16)
                yield Utterance(
                    utterance_id=f"{text.replace(' ', '-')}/{speaker.name}_{clip.number:06d}",
                    audio=audio,
                    label="",
                    speaker=speaker.name,
                    split=clip.role.split,
                    attributes={**made_from[text], **attributes_of(clip)},
                    transcript=text,
                )

        about = {"canaries": about_canaries(self._canaries), "entities": [*NAMES, *PLACES]}
        return Source(NO_CLASSES, utterances(), about=about)


def _spoken_once(
    texts: list[str], sizes: Mapping[str, int], pools: Mapping[str, list[Speaker]], seed: int
) -> list[Role]:
    """Each sentence in one split, in random order; voices are dealt evenly within each split."""
    rng = generator(seed, "roles")
    order = [texts[drawn] for drawn in rng.permutation(len(texts)).tolist()]
    roles, first = [], 0
    for split, size in sizes.items():
        speakers = deal(rng, pools[split], size)
        roles += [Role(split, "", order[first + place], speaker) for place, speaker in enumerate(speakers)]
        first += size
    return roles


def _repeated(canaries: list[Canary], speakers: list[Speaker], repetitions: int, seed: int) -> list[Role]:
    """Each canary `repetitions` times, by different voices as far as there are enough."""
    rng = generator(seed, "canary voices")
    return [
        Role("train" if canary.planted else "holdout", "", canary.text, speaker)
        for canary in canaries
        for speaker in deal(rng, speakers, repetitions)
    ]


TASKS = {"espeak_sentences": EspeakSentences}
