"""The videos and photos that are to be given a sound, and the data on which that is evaluated."""

import codecs
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

import torch
import torch.distributed
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from datamodules.evaluation import EvaluationDataModule
from datamodules.files.data_root import natural_key
from media.soundtrack.containers import plan_output
from media.video.photo_files import PHOTO_SUFFIXES, is_photo
from media.video.video_files import VIDEO_SUFFIXES, probe_video
from pipelines.outputs import reason_of
from pipelines.perception import Clip, UnreadableClip
from runtime.tell import tell

MAX_STEM_BYTES = 120  # a file's name has 255 at most, and outputs and their temporary files are called longer


class Clips(Dataset):
    """Inputs that are opened and measured when their turn comes, so that thousands of them start at once.

    Args:
        paths: the files.
        frames_per_second: at which frames are looked at.

    Attributes:
        names: of the outputs of each, see `output_names`.
        ask_first: called with path and name before a file is opened; a reason that it gives makes an `UnreadableClip`.
    """

    def __init__(self, paths: list[Path], frames_per_second: float) -> None:
        self.paths = paths
        self.names = output_names(paths)
        self.frames_per_second = frames_per_second
        self.ask_first: Callable[[Path, str], str | None] = lambda path, name: None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Clip | UnreadableClip:
        path, name = self.paths[index], self.names[index]
        try:
            if (reason := self.ask_first(path, name)) is not None:
                return UnreadableClip(path, name, reason)
            return Clip(path, name, _duration_s(path), self.frames_per_second)
        except Exception as error:
            return UnreadableClip(path, name, reason_of(error))


class VideoDataModule(EvaluationDataModule):
    """Videos and photos for `predict`, one a batch. Several processes divide them; each goes to one process.

    For `test`, held-out sounds and photos of the data that the models were fitted on.

    Args:
        inputs: a file, a folder (its visible videos and photos, not those of its subfolders), a text file `….txt` with
            one path a line, or a list of these.
        frames_per_second: at which frames are looked at.
        evaluation: see `EvaluationDataModule`.

    Raises:
        ValueError: if no input is given.
        FileNotFoundError: if the only input does not exist, or is a folder without a video or photo.
    """

    def __init__(
        self, inputs: str | list[str] | None = None, frames_per_second: float = 25.0, **evaluation: Any
    ) -> None:
        super().__init__(**evaluation)
        self.allow_zero_length_dataloader_with_multiple_devices = True  # one video, two processes
        self.inputs = [inputs] if isinstance(inputs, str) else inputs
        self.frames_per_second = frames_per_second

    def settings(self) -> dict[str, Any]:
        """Everything that the outputs depend on, besides the inputs."""
        return {"frames_per_second": self.frames_per_second}

    def setup(self, stage: str) -> None:
        """Find the files; none is opened yet."""
        if stage == "test":
            return
        self.clips = Clips(self._files(), self.frames_per_second)

    def predict_dataloader(self) -> DataLoader:
        """One `Clip` or `UnreadableClip` at a time; frames are decoded while they are classified."""
        is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        share = _Share(self.clips, shuffle=False) if is_distributed else None
        return DataLoader(self.clips, batch_size=1, sampler=share, collate_fn=lambda clips: clips[0])

    def _files(self) -> list[Path]:
        given = [path for name in self.inputs or [] for path in _listed(Path(name))]
        if not given:
            raise ValueError("No input was given: add --data.inputs clip.mp4 (a video, a photo, a folder, or a list).")
        files: dict[str, Path] = {}
        for path in given:
            found = _visible_media(path) if path.is_dir() else [path]
            if len(given) == 1 and not (found and found[0].is_file()):
                raise FileNotFoundError(_what_is_missing(path))
            for file in found or [path]:  # an empty folder among others is reported like a file that cannot be read
                files.setdefault(os.path.abspath(file), file)
        return list(files.values())


class _Share(DistributedSampler):
    """The inputs of one process: none is repeated, and if there are fewer inputs than processes some have none."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, len(self.dataset), self.num_replicas))

    def __len__(self) -> int:
        return len(range(self.rank, len(self.dataset), self.num_replicas))


def output_names(paths: list[Path]) -> list[str]:
    """A name for the outputs of each input, by which it is known and which is that of no other, nor of its variants.

    It is the stem (`clip`), with a short hash of the path (`clip_0f3a91c2d4`) if that alone is not enough. Upper and
    lower case, and composed and decomposed letters, count as the same, as they do for Windows and macOS. Variants are
    called `clip_v2`, so that a file of this name gets a hash if there is a `clip`.
    """
    paths = [Path(os.path.abspath(path)) for path in paths]
    hashed = [f"{_cut(path.stem)}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:10]}" for path in paths]
    stems = [normalize("NFC", path.stem).casefold() for path in paths]
    counts = Counter(stems + [name.casefold() for name in hashed])

    def is_enough(stem: str) -> bool:
        first = re.sub(r"_v\d+$", "", stem)
        return counts[stem] == 1 and (first == stem or first not in counts)

    return [
        path.stem if is_enough(stem) and path.stem == _cut(path.stem) else name
        for path, stem, name in zip(paths, stems, hashed, strict=True)
    ]


def _cut(stem: str) -> str:
    return os.fsencode(stem)[:MAX_STEM_BYTES].decode("utf-8", "ignore")  # bytes that are no text are left out


def _listed(path: Path) -> list[Path]:
    if path.suffix.lower() != ".txt" or not path.is_file():
        return [path]
    content = path.read_bytes()
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # so PowerShell 5.1 writes
    lines = content.decode("utf-16" if is_utf16 else "utf-8-sig", "surrogateescape").split("\n")
    if not (names := [line.strip() for line in lines if line.strip()]):
        raise ValueError(f"{path} is empty, expected one path a line.")
    if any("\0" in name for name in names):
        raise ValueError(f"{path} is no text, expected one path a line, in UTF-8 or UTF-16.")
    return [Path(name) for name in names]


def _visible_media(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]
    known = [name for name in names if Path(name).suffix.lower() in VIDEO_SUFFIXES | PHOTO_SUFFIXES]
    if num_others := len(names) - len(known):
        tell(f"{num_others} of the {len(names)} files in {folder} are neither video nor photo, and are left out.")
    return [folder / name for name in sorted(known, key=natural_key)]


def _what_is_missing(path: Path) -> str:
    return f"The folder {path} holds no video and no photo." if path.is_dir() else f"There is no file {path}."


def _duration_s(path: Path) -> float | None:
    if not path.is_file():
        raise FileNotFoundError(_what_is_missing(path))
    if is_photo(path):
        return None
    plan_output(path)  # whether its output can be written is known before its sound is made
    return probe_video(path).duration_s
