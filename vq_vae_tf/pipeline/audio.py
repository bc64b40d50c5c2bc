"""Audio: the pipeline's side of the modality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from vq_vae_tf import config as config_lib
from vq_vae_tf.build_audio import build_audio_vqvae
from vq_vae_tf.codes import MANIFEST, open_codes
from vq_vae_tf.config import Config
from vq_vae_tf.evaluation.codebook import code_counts, codebook_use
from vq_vae_tf.evaluation.phoneme_report import phoneme_numbers, phoneme_section
from vq_vae_tf.evaluation.phonemes import PhonemeScores
from vq_vae_tf.evaluation.report import Number, Report, Section, counted
from vq_vae_tf.evaluation.sections import PERPLEXITY, codebook_section
from vq_vae_tf.evaluation.sounds import Sound, Sounds, log_spectral_distance, spectrogram_figure
from vq_vae_tf.modalities.audio.folder import open_folder
from vq_vae_tf.modalities.audio.source import AudioData
from vq_vae_tf.modalities.audio.tfds_source import open_tfds
from vq_vae_tf.modalities.audio.wav import wav_bytes, write_wav
from vq_vae_tf.pipeline.audio_summaries import audio_summaries
from vq_vae_tf.pipeline.loading import load_prior, load_vqvae, trained_pair
from vq_vae_tf.pipeline.metadata import export_metadata
from vq_vae_tf.pipeline.modality import Draw, Modality, SampleRequest
from vq_vae_tf.pipeline.phonemes import check_phones, score_phonemes
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.sampling import check_top_k
from vq_vae_tf.pipeline.scoring import check_writable, closing_sections, measure_prior, page_facts, write_scores
from vq_vae_tf.pipeline.speaking import decoder, drawn_sounds
from vq_vae_tf.serving.audio import export_audio_model
from vq_vae_tf.training.loop import Summarize
from vq_vae_tf.vqvae import VQVAE

SHOWN = 8
"""Originals and reconstructions in the report, spread over the speakers."""
SHOWN_AS = (
    "Pieces of {seconds:.3g} s of the split {split}. Spectrograms: time to the right, 0 to {top:g} kHz upwards, 60 dB "
    "from dark to light."
)


class AudioModality(Modality):
    """Waveforms `[time]`, float32 in [-1, 1], by speaker."""

    sample_flags: ClassVar[tuple[str, ...]] = ("seconds",)

    def open_data(self, config: Config) -> AudioData:
        """See `Modality`."""
        data = _opened(config, config.data.dataset, config.audio.audio_holdout, config.data.validation_size)
        return replace(data, telling=config.audio.said_weight > 0)

    def facts(self, data: AudioData) -> dict[str, Any]:
        """See `Modality`."""
        words = {"words": data.words} if data.telling else {}
        return {"name": data.name, "rate": data.rate, "window": data.window, "class_names": data.class_names, **words}

    def known(self, facts: Mapping[str, Any]) -> AudioData:
        """See `Modality`."""
        words = tuple(facts.get("words", ()))
        sizes = (facts["name"], facts["rate"], facts["window"], tuple(facts["class_names"]))
        return AudioData(*sizes, recordings={}, telling=bool(words), known_words=words)

    def open_other(self, run: Run, dataset: str) -> AudioData:
        """Sounds of another folder, at the rate of the run's; a tenth of them is called test."""
        return _opened(config_lib.replace(run.config, max_examples=0, strict=False), dataset, "hash", 0)

    def example_shape(self, data: AudioData) -> tuple[int, ...]:
        """See `Modality`."""
        return (data.window,)

    def build_vqvae(self, config: Config, data: AudioData, precision: str = "float32") -> VQVAE:
        """See `Modality`."""
        return build_audio_vqvae(config, len(data.class_names), precision, len(data.words) if data.telling else 0)

    def summaries(self, data: AudioData) -> Summarize:
        """See `Modality`."""
        return audio_summaries(data)

    def evaluate(self, run: Run) -> str:
        """See `Modality`."""
        split, size = run.config.evaluation.eval_split, run.config.evaluation.eval_batch_size
        run.data.split(split)
        check_writable(run)
        check_phones(run.data, split)
        vqvae, digest = load_vqvae(run)
        prior = load_prior(run)
        decode, rate, distances = decoder(vqvae), run.data.rate, []
        encode = tf.function(vqvae.encode, reduce_retracing=True, autograph=False)
        rows = _spread(run.data, split, SHOWN)
        shown: list[tuple[np.ndarray, np.ndarray]] = []
        coded, first = [], 0
        for batch in run.data.examples(split, size):
            codes, x = encode(batch), batch["x"].numpy()
            coded.append({"codes": codes.numpy()})
            made = decode(codes, batch["label"]).numpy()
            distances.append(log_spectral_distance(x, made))
            here = rows[(rows >= first) & (rows < first + len(x))] - first
            shown += zip(x[here], made[here], strict=True)
            first += len(x)
        counts = code_counts(coded, vqvae.quantizer.num_codes, vqvae.quantizer.num_codebooks)
        use = codebook_use(counts)
        scores: dict[str, Any] = {
            "split": split,
            "num_examples": sum(map(len, distances)),
            "log_spectral_distance_db": float(np.concatenate(distances).mean()),
            "perplexity": use.perplexity,
            "codes_in_use": use.codes_in_use,
            "code_bits_per_second": float(np.log2(use.num_codes) * rate / vqvae.encoder.hop),
        }
        if prior is not None and (run.codes / MANIFEST).exists():
            scores["prior_bits_per_code"] = measure_prior(
                prior, open_codes(run.codes, digest), split, size
            ).bits_per_code
        phonemes = score_phonemes(run.data, vqvae, split, run.config.run.seed)
        if phonemes is not None:
            scores["phonemes"] = phoneme_numbers(phonemes)
        draw = Draw(run.config.run.seed, run.config.evaluation.temperature)
        drawn = drawn_sounds(run, vqvae, prior, draw) if prior else {}
        named = list(zip(_names(run.data, split, rows), shown, strict=True))
        write_scores(run, scores, _report(run, scores, counts, named, drawn, phonemes))
        told = f"log-spectral distance {scores['log_spectral_distance_db']:.2f} dB, perplexity {use.perplexity:.1f}"
        if phonemes is not None:
            told += f", phoneme accuracy {phonemes.accuracy:.1%}"
        return f"{told}; open {run.report}"

    def sample(self, run: Run) -> str:
        """A WAV file a speaker: vqvae/, prior/ -> samples/*.wav."""
        if sorted(run.samples.glob("samples-*.wav")):
            return f"already in {run.samples}"
        draw = Draw(run.config.run.seed, run.config.evaluation.temperature)
        return self.draw(run, SampleRequest((draw,), output=run.samples / "samples.wav"))

    def draw(self, run: Run, request: SampleRequest) -> str:
        """Writes one WAV file a speaker and temperature; `output` gives the folder and the beginning of the names."""
        vqvae, prior = trained_pair(run)
        check_top_k(request.draws, prior)
        given = request.output or run.samples / f"seed-{request.draws[0].seed}.wav"
        count, seconds = 0, (request.options or {}).get("seconds", 0.0)
        for draw in request.draws:
            for name, x in drawn_sounds(run, vqvae, prior, draw, request.classes, seconds).items():
                suffix = f"-{draw.temperature:g}" if len(request.draws) > 1 else ""
                write_wav(given.with_name(f"{given.stem}-{name or 'any'}{suffix}.wav"), x, run.known.rate)
                count += 1
        return f"{counted(count, 'sound')} in {given.parent}"

    def export(self, run: Run) -> Path:
        """See `Modality`; compared on sounds of the test split."""
        vqvae, _ = load_vqvae(run)
        first = next(iter(run.data.examples("test" if run.data.sizes.get("test") else "train", 2)))
        return export_audio_model(
            vqvae,
            load_prior(run),
            run.exports,
            run.config.export.export_name,
            version=run.config.export.export_version or None,
            sounds=first["x"].numpy(),
            rate=run.data.rate,
            num_speakers=len(run.data.class_names),
            metadata=export_metadata(run),
        )


def _opened(config: Config, dataset: str, holdout: str, validation_size: int) -> AudioData:
    audio, data = config.audio, config.data
    if not dataset.startswith("folder:"):
        sizes = (audio.sample_rate, audio.window, holdout, validation_size, data.max_examples)
        return open_tfds(dataset, data.data_dir or None, *sizes)
    return open_folder(
        dataset.removeprefix("folder:"),
        audio.sample_rate,
        audio.window,
        holdout,
        validation_size,
        data.strict,
        data.max_examples,
    )


def _report(
    run: Run,
    scores: dict[str, Any],
    counts: np.ndarray,
    shown: Sequence[tuple[str, tuple[np.ndarray, np.ndarray]]],
    drawn: dict[str, np.ndarray],
    phonemes: PhonemeScores | None,
) -> Report:
    pairs = [
        _sound(f"{name}: {kind}", x, run.data.rate)
        for name, both in shown
        for kind, x in zip(("original", "reconstruction"), both, strict=True)
    ]
    text = SHOWN_AS.format(seconds=run.data.window / run.data.rate, split=scores["split"], top=run.data.rate / 2000)
    sections = [Section("Reconstructions", [Sounds(pairs)], text)]
    if drawn:
        rows = [_sound(name or "sample", x, run.data.rate) for name, x in drawn.items()]
        sections.append(Section("Samples", [Sounds(rows)], "Codes drawn from the prior, decoded."))
    if phonemes is not None:
        sections.insert(0, phoneme_section(phonemes))
    sections += [codebook_section(counts, scores["split"]), *closing_sections(run)]
    headline = [
        Number(
            "log-spectral distance", scores["log_spectral_distance_db"], "dB", "Of reconstructions; 0 is perfect.", 2
        ),
        Number("perplexity", scores["perplexity"], "", PERPLEXITY, 1),
        Number("code rate", scores["code_bits_per_second"], "bit/s", "Codes a second times log2 K.", 0),
        Number("prior", scores.get("prior_bits_per_code"), "bits/code", "What a code costs under the prior.", 3),
    ]
    speakers = counted(len(run.data.class_names), "speaker")
    subtitle = f"{run.data.name.partition(':')[0]}, {run.data.rate} samples a second, {speakers}"
    return Report(run.directory.name, subtitle, headline, sections, "VQ-VAE · audio", page_facts(run))


def _names(data: AudioData, split: str, rows: np.ndarray) -> list[str]:
    """Of these examples: the speaker, the file, and where in it a piece begins that is not its first."""
    recordings = data.split(split)
    pieces = recordings.windows(data.window)
    names = []
    for recording, begin, label in zip(*(pieces[key][rows] for key in ("recording", "begin", "label")), strict=True):
        later = f" from {begin / data.rate:.2f} s" if begin else ""
        names.append(f"{data.class_names[label]}, {Path(recordings.names[recording]).name}{later}")
    return names


def _spread(data: AudioData, split: str, count: int) -> np.ndarray:
    """Numbers of `count` examples of a split in their order (all, if there are fewer), int `[count]`.

    Speakers have as many of them as one another, if they have so many, evenly spaced in what each says; of more
    speakers than examples, evenly spaced ones have one each.
    """
    labels = data.split(split).windows(data.window)["label"]
    spoken = [np.flatnonzero(labels == speaker) for speaker in _evenly(np.unique(labels), count)]
    turns = sorted((turn, who) for who, rows in enumerate(spoken) for turn in range(min(len(rows), count)))
    shares = Counter(who for _, who in turns[:count])
    return np.sort(np.concatenate([_evenly(rows, shares[who]) for who, rows in enumerate(spoken)]))


def _evenly(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the values, from the first to the last."""
    return values[np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)]


def _sound(name: str, x: np.ndarray, rate: int) -> Sound:
    return Sound(name, wav_bytes(x, rate), spectrogram_figure(x, f"spectrogram of {name}"))
