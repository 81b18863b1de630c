"""The videos and photos that are to be given a sound."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.paired_root import natural_key
from datamodules.photos import evaluation_transform
from media.video_files import PHOTO_SUFFIXES, VIDEO_SUFFIXES, probe_video, read_frames, read_photo


@dataclass  # not frozen: Lightning moves batches to the device field by field
class Clip:
    """A video, or a photo, and the way to its frames.

    Attributes:
        path: of the file.
        duration_s: of the picture; None for a photo.
        frames_per_second: at which frames are looked at, whatever the video's own rate is.
    """

    path: Path
    duration_s: float | None
    frames_per_second: float

    def image_batches(self, image_size: int, batch_size: int = 32) -> Iterator[tuple[list[float], Tensor]]:
        """Times in seconds and images (batch, 3, image_size, image_size) in [0, 1], in bounded memory."""
        transform = evaluation_transform(image_size)
        if self.duration_s is None:
            frames = iter([(0.0, read_photo(self.path))])
        else:
            frames = read_frames(self.path, self.frames_per_second, max_side=2 * image_size)
        while batch := list(itertools.islice(frames, batch_size)):
            images = [transform(torch.from_numpy(frame).movedim(-1, 0)) for _, frame in batch]
            yield [time_s for time_s, _ in batch], torch.stack(images)


class VideoDataModule(LightningDataModule):
    """Videos and photos for `predict`, one a batch.

    Args:
        inputs: a file, a folder (its videos and photos, not those of its subfolders), or a list of these.
        frames_per_second: at which frames are looked at.

    Raises:
        FileNotFoundError: where an input does not exist, or a folder holds no video and no photo.
    """

    def __init__(self, inputs: str | list[str] | None = None, frames_per_second: float = 4.0) -> None:
        super().__init__()
        self.inputs = [inputs] if isinstance(inputs, str) else inputs
        self.frames_per_second = frames_per_second

    def setup(self, stage: str) -> None:
        """Find the files and measure them."""
        self.clips = [self._clip(path) for path in self._files()]

    def predict_dataloader(self) -> DataLoader:
        """One `Clip` at a time; frames are decoded while they are classified."""
        return DataLoader(self.clips, batch_size=1, collate_fn=lambda clips: clips[0])

    def _files(self) -> list[Path]:
        if not self.inputs:
            raise ValueError("No input was given: add --data.inputs clip.mp4 (a video, a photo, a folder, or a list).")
        files: list[Path] = []
        for given in map(Path, self.inputs):
            if given.is_dir():
                known = VIDEO_SUFFIXES | PHOTO_SUFFIXES
                found = sorted(
                    (path for path in given.iterdir() if path.suffix.lower() in known and _is_visible_file(path)),
                    key=lambda path: natural_key(path.name),
                )
                if not found:
                    raise FileNotFoundError(f"The folder {given} holds no video and no photo.")
                files += found
            elif given.is_file():
                files.append(given)
            else:
                raise FileNotFoundError(f"There is no file {given}.")
        for name, count in Counter(map(_output_name, files)).items():
            if count > 1:
                same = ", ".join(str(path) for path in files if _output_name(path) == name)
                raise ValueError(f"The outputs for {same} would have one name. Give them one after the other.")
        return files

    def _clip(self, path: Path) -> Clip:
        return Clip(path, None if _is_photo(path) else probe_video(path).duration_s, self.frames_per_second)


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in PHOTO_SUFFIXES - {".gif"}


def _output_name(path: Path) -> tuple[str, bool]:
    return path.stem, _is_photo(path)


def _is_visible_file(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")
