"""The work of an evaluation, in small jobs: held-out sounds and photos, and the sounds that are to be generated."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from datamodules.decoded_sounds import SoundFile, sound_files
from datamodules.paired_root import list_classes
from datamodules.photos import PhotoDataModule, Photos
from datamodules.sounds import Windows

ROWS_OF_REAL_SOUNDS = ("real", "inverted", "reconstructed")
MAX_SOUNDS_OF_A_WINDOW = 4
LARGEST_MODEL_BATCH = 8  # a prior looks at all codes of a window at once, which takes more memory than drawing them


@dataclass  # not frozen: Lightning moves batches to the device field by field
class SoundJob:
    """Some sounds of one class for one row of the table.

    Attributes:
        row: `training` and `reference` are only listened to; the others are rows of the table.
        label: of the class.
        numbers: of the sounds, in their row and class.
        groups: the recording that each is cut from; of generated sounds a name of its own.
        source: changes where the real sounds behind this row and class change.
        waveform: float32 (batch, window_samples), the real sounds; None where everything is generated.
    """

    row: str
    label: int
    numbers: list[int]
    groups: list[str]
    source: str
    waveform: Tensor | None


@dataclass  # not frozen: Lightning moves batches to the device field by field
class FigureJob:
    """A batch of held-out data on which models are measured alone.

    Attributes:
        kind: `sounds` or `photos`.
        batch: as the data modules of the models give it.
    """

    kind: str
    batch: dict[str, Any]


class EvaluationDataModule(LightningDataModule):
    """Gives `test` the jobs of an evaluation of the composite, with the very split that its models were trained with.

    Args:
        root: folder with `sounds/<class>/*` and, for the classifier's figures, `photos/<class>/*`.
        num_sounds: sounds of each class that are generated.
        batch_size: sounds that are made at once.
        cache_dir: folder for decoded sounds.
        part: the held-out part that is looked at; `val` to choose between models or options, for what was chosen on
            the test part cannot be measured there any more.

    Raises:
        ValueError: where a number is below 1.
    """

    def __init__(
        self,
        root: str = "data",
        num_sounds: int = 200,
        batch_size: int = 25,
        cache_dir: str = "cache",
        part: Literal["test", "val"] = "test",
    ) -> None:
        super().__init__()
        if num_sounds < 1 or batch_size < 1:
            raise ValueError(f"num_sounds is {num_sounds} and batch_size {batch_size}, expected at least 1.")
        self.root, self.cache_dir = root, cache_dir
        self.num_sounds, self.batch_size = num_sounds, batch_size
        self.part = part

    def test_dataloader(self) -> DataLoader:
        """One job at a time.

        Raises:
            FileNotFoundError: where the root has no sounds.
            ValueError: where its classes are not those of the models, the held-out part of a class cannot be divided,
                or there are several processes.
        """
        if self.trainer.world_size > 1:
            raise ValueError(f"There are {self.trainer.world_size} processes; an evaluation needs --trainer.devices 1.")
        model = self.trainer.lightning_module
        facts, classes = model.vqvae.facts, list_classes(self.root, "sounds")
        if classes != facts["classes"]:
            raise ValueError(
                f"{model.paths['vqvae']} was fitted on the classes {facts['classes']}, and the data in {self.root!r} "
                f"have {classes}. Point --data.root at the data it was fitted on."
            )
        geometry = model.vqvae.geometry
        files = sound_files(self.root, self.cache_dir, geometry.sample_rate_hz, facts["split"])
        photos = self._photos(model.classifier.facts) if (Path(self.root) / "photos").is_dir() else None
        held_out = [file for file in files if file.part == self.part]
        known = [file for file in files if file.part == "train"]
        jobs = EvaluationJobs(
            held_out, known, classes, geometry.window_samples, self.num_sounds, self.batch_size, photos
        )
        return DataLoader(jobs, batch_size=None)

    def _photos(self, facts: dict[str, Any]) -> Photos:
        data = PhotoDataModule(
            len(facts["classes"]), self.root, cache_dir=self.cache_dir, image_size=facts["image_size"]
        )
        data.stored_split = facts["split"]
        data.setup("test")
        return data.test_set if self.part == "test" else data.val_set


class EvaluationJobs(Dataset):
    """Jobs in the order in which they are worked on; a job's sounds are read when its turn comes.

    The held-out sounds of each class are divided into two halves by recording: the first is what all rows are compared
    with, the second is what the rows of real sounds begin with. Windows overlap by half, so that a small set gives
    more of them.

    Args:
        held_out: sounds that no model was fitted on.
        known: sounds that the models were fitted on.
        classes: their names, in the order of the labels.
        window_samples: samples of a window of the VQ-VAE.
        num_sounds: sounds of a class that are generated.
        batch_size: sounds of a job.
        photos: held-out photos; None where there are none.

    Raises:
        ValueError: where the held-out part of a class cannot be divided.
    """

    def __init__(
        self,
        held_out: list[SoundFile],
        known: list[SoundFile],
        classes: list[str],
        window_samples: int,
        num_sounds: int,
        batch_size: int,
        photos: Photos | None,
    ) -> None:
        self.batch_size = batch_size
        self.jobs: list[tuple[str, int, Windows | Photos | None, range]] = []
        parts = [halves([file for file in held_out if file.label == label], name) for label, name in enumerate(classes)]
        references = [Windows(first, window_samples, window_samples // 2) for first, _ in parts]
        others = [_taking_turns(Windows(second, window_samples, window_samples // 2)) for _, second in parts]
        for label in range(len(classes)):
            of_class = [file for file in known if file.label == label]
            self._add("training", label, Windows(of_class, window_samples))
            self._add("reference", label, references[label])
        self._add("sounds", -1, Windows(held_out, window_samples), batch_size=LARGEST_MODEL_BATCH)
        if photos is not None:
            self._add("photos", -1, photos, batch_size=LARGEST_MODEL_BATCH)
        for row in ROWS_OF_REAL_SOUNDS:
            for label, windows in enumerate(others):
                self._add(row, label, windows)
        for label, windows in enumerate(others):
            self._add("real_top_codes", label, windows, num=min(num_sounds, MAX_SOUNDS_OF_A_WINDOW * len(windows)))
        for label in range(len(classes)):
            self._add("generated", label, None, num=num_sounds)
        for label, windows in enumerate(others):
            self._add("noise", label, windows)
        for label in range(len(classes)):
            windows = _taking_turns(Windows([file for file in known if file.label == label], window_samples))
            self._add("copied", label, windows, num=min(num_sounds, len(windows)))
        self._sources: dict[int, str] = {}

    def _add(
        self,
        row: str,
        label: int,
        items: Windows | Photos | None,
        num: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        num = len(items) if num is None else num
        size = min(self.batch_size, batch_size or self.batch_size)
        numbers = [range(start, min(start + size, num)) for start in range(0, num, size)]
        self.jobs += [(row, label, items, some) for some in numbers]

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, index: int) -> SoundJob | FigureJob:
        row, label, items, numbers = self.jobs[index]
        if items is None:
            return SoundJob(row, label, list(numbers), [f"{label} {number}" for number in numbers], "", None)
        chosen = [number % len(items) for number in numbers]
        batch = default_collate([items[number] for number in chosen])
        if label < 0:
            return FigureJob(row, batch)
        groups = [items.windows[number][0].name for number in chosen]
        return SoundJob(row, label, list(numbers), groups, self._source(items), batch["waveform"])

    def _source(self, windows: Windows) -> str:
        if id(windows) not in self._sources:
            digest = hashlib.sha256()
            for file in dict.fromkeys(file for file, _ in windows.windows):
                digest.update(f"{file.name} {windows.window_samples} {windows.hop_samples}".encode())
                digest.update(file.samples())
            self._sources[id(windows)] = digest.hexdigest()[:16]
        return self._sources[id(windows)]


def _taking_turns(windows: Windows) -> Windows:
    """One window of each recording, then the next of each, so that the first few are of many recordings."""
    numbers: Counter[str] = Counter()
    turns = []
    for file, start in windows.windows:
        turns.append((numbers[file.name], len(turns), (file, start)))
        numbers[file.name] += 1
    windows.windows = [window for *_, window in sorted(turns, key=lambda turn: turn[:2])]
    return windows


def halves(files: list[SoundFile], class_name: str) -> tuple[list[SoundFile], list[SoundFile]]:
    """Two contiguous blocks of about equal seconds, for neighbouring numbers are often excerpts of one recording.

    Args:
        files: of one class, in natural order.
        class_name: for the message.

    Raises:
        ValueError: where there are fewer than two.
    """
    if len(files) < 2:
        raise ValueError(
            f"Class {class_name!r} has too few held-out sounds: {len(files)}, expected at least 2, as real sounds are "
            "compared with other real sounds. Add sounds; those at the end of the folder become test sounds."
        )
    before = [0, *accumulate(file.num_samples for file in files)]
    middle = min(range(1, len(files)), key=lambda place: abs(before[place] - before[-1] / 2))
    return files[:middle], files[middle:]
