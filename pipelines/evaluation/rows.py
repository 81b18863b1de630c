"""The sounds behind the rows of an evaluation: how each is made, and the files that keep them."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from media.files import atomic_path
from networks import sample_codes
from pipelines.evaluation.jobs import SoundJob
from pipelines.sound_generator import SoundGenerator, row_seed
from runtime.resuming import changes

ROWS = {
    "real": "real held-out sounds of the second half, as they are",
    "inverted": "the same, turned into a spectrogram and back, without any model",
    "reconstructed": "the same, through the VQ-VAE's codes and back",
    "real_top_codes": "their top codes, with bottom codes generated under them",
    "generated": "everything generated, from the name of the class alone",
    "noise": "noise, as loud at each frequency as those real sounds: what a model should be far better than",
    "copied": "training sounds through the codes and back: what a model would give that knows them by heart",
}
MEASURED_ROWS = ROWS | {"training": "real training sounds: what a perfect copy of them would reach"}
PAIRED_ROWS = ("inverted", "reconstructed")
MODELS_OF_ROW = {
    "real": (),
    "inverted": (),
    "reconstructed": ("vqvae",),
    "real_top_codes": ("vqvae", "bottom"),
    "generated": ("vqvae", "top", "bottom"),
    "noise": (),
    "copied": ("vqvae",),
}
ABOUT_VIDEOS = {  # settings of the composite that no sound of an evaluation depends on
    "checkpoints",  # those that matter are named for each row
    "num_variants",
    "sync",
    "classes",
    "threshold",
    "ambience_db",
    "looks_per_second",
    "smoothing_s",
    "min_scene_s",
    "photo_s",
    "fade_s",
    "mixing",
}
CODES = {"sampling", "num_candidates"}
IRRELEVANT = {
    "inverted": CODES | {"seed", "grain"},
    "reconstructed": CODES,
    "real_top_codes": {"num_candidates"},
    "generated": set(),
    "noise": CODES | {"grain", "num_iterations"},
    "copied": CODES,
}
MAKERS = (
    "networks/*.py",
    "media/*.py",
    *(f"lightning_modules/{name}.py" for name in ("voice", "vqvae", Path(__file__).stem)),
)
SETTINGS_FILE = "made_with.json"


class RowSounds:
    """Makes the sounds of a row.

    Args:
        generator: of the models.
        seed: each generated sound is a function of it, the class, and the sound's number.
    """

    def __init__(self, generator: SoundGenerator, seed: int) -> None:
        self.generator, self.seed = generator, seed

    def make(self, job: SoundJob) -> np.ndarray:
        """float32 (batch, window_samples) in [-1, 1]; a sound that would clip is scaled down as a whole."""
        waveforms = self._generated(job) if job.waveform is None else self._from_real(job).cpu().float().numpy()
        return waveforms / np.maximum(np.abs(waveforms).max(axis=1, keepdims=True), 1.0)

    def _from_real(self, job: SoundJob) -> Tensor:
        if job.row == "real":
            return job.waveform
        if job.row == "noise":
            return self._noise(job)
        codec = self.generator.codec
        spectrogram = codec.spectrogram(job.waveform)
        if job.row == "inverted":
            return codec.spectrogram.invert(spectrogram, self.generator.num_iterations)
        if job.row in ("reconstructed", "copied"):
            spectrogram = codec.network(spectrogram).reconstruction.float()
        elif job.row == "real_top_codes":
            spectrogram = self._under_real_top_codes(job)
        seeds = self._seeds(job, "grain")
        return codec.invert(spectrogram, seeds, self.generator.grain, self.generator.num_iterations)

    def _under_real_top_codes(self, job: SoundJob) -> Tensor:
        bottom = self.generator.priors["bottom"]
        top_codes, _ = self.generator.codec.encode(job.waveform)
        labels = torch.full((len(job.numbers),), job.label, device=top_codes.device)
        seeds = self._seeds(job, "bottom")
        bottom_codes = sample_codes(bottom, labels, bottom.num_columns, seeds, self.generator.sampling, top_codes)
        return self.generator.codec.decode(top_codes, bottom_codes)

    def _noise(self, job: SoundJob) -> Tensor:
        """With random phases nothing is left of a sound but how loud each frequency is (Theiler et al. 1992)."""
        spectra = torch.fft.rfft(job.waveform.cpu())
        turns = [
            torch.rand(spectra.shape[1], generator=torch.Generator().manual_seed(seed))
            for seed in self._seeds(job, "noise")
        ]
        phases = 2 * torch.pi * torch.stack(turns)
        return torch.fft.irfft(torch.polar(spectra.abs(), phases), n=job.waveform.shape[1])

    def _seeds(self, job: SoundJob, draw: str) -> list[int]:
        return [row_seed((self.seed, job.label, number), draw) for number in job.numbers]

    def _generated(self, job: SoundJob) -> np.ndarray:
        return self.generator.windows(job.label, [(self.seed, job.label, number) for number in job.numbers])


def made_with(row: str, settings: dict[str, Any], fingerprints: dict[str, str]) -> dict[str, Any]:
    """What the sounds of a row depend on, besides the real ones: settings, models, and the program that makes them.

    Args:
        row: its name.
        settings: all those of the composite.
        fingerprints: of the models.
    """
    if row == "real":
        return {}
    relevant = {name: settings[name] for name in settings if name not in ABOUT_VIDEOS | IRRELEVANT[row]}
    models = {name: fingerprints[name] for name in MODELS_OF_ROW[row]}
    return relevant | {"models": models, "program": digest_of_program(MAKERS)}


@functools.cache
def digest_of_program(patterns: tuple[str, ...]) -> str:
    """Changes with the files that make sounds, for an option is not all that a sound depends on."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in Path(__file__).parents[1].glob(pattern)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class SoundStore:
    """Keeps sounds as FLAC files, so that an evaluation that was interrupted, or is given again, goes on.

    Beside them lies how they were made; where that is no longer so, they are made anew. Figures are always computed
    from what was read back: it makes no difference whether a sound was made now or before.

    Args:
        folder: of all rows.
        sample_rate_hz: of the sounds.
    """

    def __init__(self, folder: Path, sample_rate_hz: int) -> None:
        self.folder, self.sample_rate_hz = folder, sample_rate_hz
        self._checked: set[Path] = set()
        self._is_told = False

    def sounds(
        self, place: str, numbers: Iterable[int], made_with: dict[str, Any], make: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """float32 (batch, samples), read from `<place>/0000.flac` and so on.

        Args:
            place: `<row>/<class>`.
            numbers: of the sounds.
            made_with: everything that the sounds of this place depend on.
            make: makes all of them; called where one is missing or damaged.
        """
        folder = self.folder / place
        if folder not in self._checked:
            self._check(folder, made_with)
            self._checked.add(folder)
        paths = [folder / f"{number:04d}.flac" for number in numbers]
        if (kept := _read(paths)) is None:
            for path, waveform in zip(paths, make(), strict=True):
                with atomic_path(path) as temporary:
                    soundfile.write(temporary, waveform, self.sample_rate_hz, subtype="PCM_16", format="FLAC")
            kept = _read(paths)
        elif not self._is_told:
            rank_zero_info(f"Going on: sounds that are in {self.folder} already are not made again.")
            self._is_told = True
        return kept

    def _check(self, folder: Path, made_with: dict[str, Any]) -> None:
        path, now = folder / SETTINGS_FILE, json.loads(json.dumps(made_with))
        before = _settings(path)
        if before == now:
            return
        if old := sorted(folder.glob("*.flac")):
            why = ", ".join(changes(before, now)) or "they were made in another way"
            why = why if before else f"{SETTINGS_FILE} does not say how they were made"
            rank_zero_info(f"The sounds in {folder} are made anew: {why}.")
        for sound in old:
            sound.unlink()
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(now, indent=1))


def _settings(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _read(paths: list[Path]) -> np.ndarray | None:
    """None where one is missing or cut off."""
    try:
        return np.stack([soundfile.read(path, dtype="float32")[0] for path in paths])
    except (OSError, ValueError, soundfile.SoundFileError):
        return None
