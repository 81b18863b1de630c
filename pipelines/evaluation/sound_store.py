"""The sound files of an evaluation."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from media.files import atomic_path
from runtime.resuming import changes
from runtime.tell import tell

SETTINGS_FILE = "made_with.json"


class SoundStore:
    """Stores sounds as FLAC files, so that an interrupted or repeated evaluation resumes.

    A file beside them describes how they were made. If that has changed, they are made again. All sounds are read from
    the files, so that figures do not depend on when a sound was made.

    Args:
        folder: folder of the sounds.
        sample_rate_hz: sample rate of the sounds.
    """

    def __init__(self, folder: Path, sample_rate_hz: int) -> None:
        self.folder, self.sample_rate_hz = folder, sample_rate_hz
        self._checked: set[Path] = set()
        self._is_reported = False

    def sounds(
        self, place: str, numbers: Iterable[int], made_with: dict[str, Any], make: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """float32 (batch, samples), read from `<place>/0000.flac` and so on.

        Args:
            place: `<row>/<class>`.
            numbers: numbers of the sounds.
            made_with: everything that the sounds of this place depend on.
            make: function that makes all of them, called if one is missing or damaged.
        """
        folder = self.folder / place
        if folder not in self._checked:
            self._check(folder, made_with)
            self._checked.add(folder)
        paths = [folder / f"{number:04d}.flac" for number in numbers]
        try:
            kept = _read(paths)
        except (OSError, ValueError, soundfile.SoundFileError):  # one is missing or cut off
            for path, waveform in zip(paths, make(), strict=True):
                with atomic_path(path) as temporary:
                    soundfile.write(temporary, waveform, self.sample_rate_hz, subtype="PCM_16", format="FLAC")
            return _read(paths)
        if not self._is_reported:
            tell(f"Resuming: sounds that are in {self.folder} already are not made again.")
            self._is_reported = True
        return kept

    def _check(self, folder: Path, made_with: dict[str, Any]) -> None:
        path, now = folder / SETTINGS_FILE, json.loads(json.dumps(made_with))
        before = _settings(path)
        if before == now:
            return
        if old := sorted(folder.glob("*.flac")):
            missing = f"{SETTINGS_FILE} does not say how they were made"
            why = ", ".join(changes(before, now)) or "they were made in another way" if before else missing
            tell(f"The sounds in {folder} are made again: {why}.")
        for sound in old:
            sound.unlink()
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(now, indent=1))


def _settings(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _read(paths: list[Path]) -> np.ndarray:
    return np.stack([soundfile.read(path, dtype="float32")[0] for path in paths])
