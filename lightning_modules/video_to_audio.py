"""The composite: from a video to its sound, by four trained models."""

from collections.abc import Iterator
from itertools import islice, tee
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from rich.markup import escape
from rich.progress import Progress
from torch import Tensor

from lightning_modules.checkpoint import fingerprint, load
from lightning_modules.predictions import VideoPrediction
from lightning_modules.system import System
from media.scenes import Scene, find_scenes
from networks import Sampling, stream_columns

LEVELS = {"top": 0, "bottom": 1}


class VideoToAudio(LightningModule):
    """Classifies frames, finds scenes, samples codes for each, and turns them into a sound as long as the picture.

    Why a LightningModule: `predict` then brings devices, precision and progress; it is never trained.

    A scene's codes are one long sequence. They are drawn column by column, and decoded and inverted piece by piece,
    each of which goes on from the one before. Where no class passes the threshold there is silence.

    Args:
        vqvae, top, bottom, classifier: paths of the four checkpoints.
        sampling: temperature, top-k and top-p of both priors.
        seed: of the first variant; the next ones count on from it.
        num_variants: sounds made for each input, in one batch.
        threshold: a class must be at least this probable on average, else there is silence.
        smoothing_s: class probabilities are averaged over this time.
        min_scene_s: a shorter scene joins its neighbour.
        photo_s: length of the sound for a photo; None for one window.
        fade_s: fade in and out of each scene.
        num_iterations: of Griffin-Lim.
    """

    def __init__(
        self,
        vqvae: str = "checkpoints/vqvae/best.ckpt",
        top: str = "checkpoints/top/best.ckpt",
        bottom: str = "checkpoints/bottom/best.ckpt",
        classifier: str = "checkpoints/classifier/best.ckpt",
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        seed: int = 1,
        num_variants: int = 1,
        threshold: float = 0.6,
        smoothing_s: float = 1.0,
        min_scene_s: float = 0.75,
        photo_s: float | None = None,
        fade_s: float = 0.02,
        num_iterations: int = 64,
    ) -> None:
        super().__init__()
        self.paths = {"vqvae": vqvae, "top": top, "bottom": bottom, "classifier": classifier}
        self.sampling = sampling
        self.seed, self.num_variants = seed, num_variants
        self.threshold, self.smoothing_s, self.min_scene_s = threshold, smoothing_s, min_scene_s
        self.photo_s, self.fade_s = photo_s, fade_s
        self.num_iterations = num_iterations

    def setup(self, stage: str) -> None:
        """Load the four models and check that they fit together.

        Raises:
            FileNotFoundError: where a checkpoint is missing; the message says which command makes it.
            ValueError: where two checkpoints do not fit, naming both values.
        """
        for name, path in self.paths.items():
            setattr(self, name, load(path, config=f"{name}.yaml"))
        check_fit({name: getattr(self, name) for name in self.paths}, self.paths)
        self.classes = self.vqvae.facts["classes"]
        self.geometry = self.vqvae.geometry

    def predict_step(self, clip: Any, batch_idx: int) -> list[VideoPrediction]:
        """A sound for a `Clip`, in each variant."""
        times_s, probabilities = self.look(clip)
        duration_s = clip.duration_s or self.photo_s or self.geometry.window_s
        scenes = find_scenes(times_s, probabilities, duration_s, self.threshold, self.smoothing_s, self.min_scene_s)
        for scene in scenes:
            rank_zero_info(self._describe(clip.path.name, scene))
        waveforms, spectrograms = self.make_sound(scenes, duration_s)
        return [
            VideoPrediction(
                path=clip.path,
                is_photo=clip.duration_s is None,
                waveform=waveforms[variant],
                sample_rate_hz=self.geometry.sample_rate_hz,
                variant=variant,
                seed=self.seed + variant,
                scenes=[(s.start_s, s.end_s, "silence" if s.label is None else self.classes[s.label]) for s in scenes],
                spectrogram=spectrograms[variant],
            )
            for variant in range(self.num_variants)
        ]

    def look(self, clip: Any) -> tuple[np.ndarray, np.ndarray]:
        """Times (frames,) in seconds and class probabilities (frames, classes) of a clip's frames."""
        times_s, probabilities = [], []
        for batch_times_s, images in clip.image_batches(self.classifier.facts["image_size"]):
            times_s += batch_times_s
            logits = self.classifier.network(images.to(self.device)).float()
            probabilities.append(logits.softmax(dim=1).cpu().numpy())
        return np.array(times_s), np.concatenate(probabilities)

    def make_sound(self, scenes: list[Scene], duration_s: float) -> tuple[Tensor, Tensor]:
        """Waveforms (variants, samples) of exactly `duration_s`, and their spectrograms (variants, bins, frames)."""
        rate = self.geometry.sample_rate_hz
        waveforms = torch.zeros(self.num_variants, round(duration_s * rate))
        for number, scene in enumerate(scenes):
            start, end = round(scene.start_s * rate), min(round(scene.end_s * rate), waveforms.shape[1])
            if scene.label is not None and end > start:
                sound = self._sample(number, scene.label, end - start)
                waveforms[:, start:end] = self._fade(sound.cpu())
        spectrograms = self.vqvae.spectrogram(waveforms.to(self.device))[:, 0].cpu()
        return waveforms, spectrograms

    def _sample(self, scene_number: int, label: int, num_samples: int) -> Tensor:
        """Sound of one class (variants, num_samples)."""
        num_columns = self.geometry.top_columns_of(num_samples)
        labels = torch.full((self.num_variants,), label, device=self.device)
        for_bottom, for_decoder = tee(islice(self._columns("top", labels, scene_number), num_columns))
        bottom_columns = self._columns("bottom", labels, scene_number, for_bottom)
        num_bottom_columns = num_columns * self.bottom.network.top_context.scale
        with Progress(transient=True) as progress:
            name = escape(f"sound of {self.classes[label]}")
            bottom_columns = progress.track(bottom_columns, num_bottom_columns, description=name)
            pieces = self.vqvae.decode_columns(for_decoder, bottom_columns)
            waveform = torch.cat(list(self.vqvae.spectrogram.invert_pieces(pieces, self.num_iterations)), dim=1)
        waveform = waveform / waveform.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
        return waveform[:, :num_samples]

    def _columns(
        self, level: str, labels: Tensor, scene_number: int, top_columns: Iterator[Tensor] | None = None
    ) -> Iterator[Tensor]:
        seeds = [
            int(np.random.SeedSequence([self.seed + variant, scene_number, LEVELS[level]]).generate_state(1)[0])
            for variant in range(len(labels))
        ]
        return stream_columns(getattr(self, level).network, labels, seeds, self.sampling, top_columns)

    def _fade(self, sound: Tensor) -> Tensor:
        length = min(round(self.fade_s * self.geometry.sample_rate_hz), sound.shape[1] // 2)
        ramp = torch.linspace(0, 1, length)
        sound[:, :length] *= ramp
        sound[:, sound.shape[1] - length :] *= ramp.flip(0)
        return sound

    def _describe(self, name: str, scene: Scene) -> str:
        span = f"{name}: {scene.start_s:.2f} to {scene.end_s:.2f} s"
        if scene.label is not None:
            return f"{span}: {self.classes[scene.label]} ({scene.confidence:.2f})"
        likeliest = self.classes[scene.likeliest]
        return f"{span}: silence, no class reaches {self.threshold} (likeliest: {likeliest}, {scene.confidence:.2f})"


def check_fit(systems: dict[str, System], paths: dict[str, str]) -> None:
    """Check that four trained systems belong together.

    Args:
        systems: `vqvae`, `top`, `bottom` and `classifier`.
        paths: of their checkpoints, for the message.

    Raises:
        ValueError: naming both files and both values, where the class lists or the geometries differ, or where a prior
            was trained on the codes of another VQ-VAE.
    """
    vqvae = systems["vqvae"]
    codebooks = fingerprint(vqvae.codebooks())
    expected = {"classes": vqvae.facts["classes"], "geometry": vqvae.geometry.as_dict(), "codebooks": codebooks}
    needed = {"top": list(expected), "bottom": list(expected), "classifier": ["classes"]}
    for name, facts in needed.items():
        for fact in facts:
            found = systems[name].facts.get(fact)
            if found != expected[fact]:
                raise ValueError(
                    f"Two checkpoints do not fit together: {fact} is {expected[fact]} in {paths['vqvae']}, and {found} "
                    f"in {paths[name]}. Move {Path(paths[name]).parent} away and run: "
                    f"python cli.py fit --config {name}.yaml"
                )
