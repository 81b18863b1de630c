"""The jobs of an evaluation: held-out sounds and photos, and sounds to generate."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, default_collate

from datamodules.files.data_root import DataRoot, check_fitted_on
from datamodules.files.decoded_sounds import SoundFile, sound_files
from datamodules.files.recordings import find_recordings, halves, leave_out_known
from datamodules.photos import PhotoDataModule, Photos
from datamodules.sounds import TrainingCrops, Windows
from pipelines.evaluation.jobs import FigureJob, SoundJob

ROWS_OF_REAL_SOUNDS = ("real", "inverted", "reconstructed")
MAX_SOUNDS_OF_A_WINDOW = 4
STEPS_A_WINDOW = 4  # hops of the known windows in one window
CROPS_TO_CHOOSE_FROM = 4  # for each copy, of which a loud one is taken as in training
LARGEST_MODEL_BATCH = 8  # a prior takes more memory for whole windows than for sampling


class EvaluationJobs(Dataset):
    """Jobs in the order in which they were added, whose sounds are read when their turn comes.

    Args:
        recordings: recordings of the files that share one, see `find_recordings`.
        batch_size: sounds in a job.
    """

    def __init__(self, recordings: dict[str, str], batch_size: int) -> None:
        self.recordings, self.batch_size = recordings, batch_size
        self.jobs: list[tuple[str, int, Windows | TrainingCrops | Photos | None, range]] = []
        self._sources: dict[int, str] = {}

    def add(self, row: str, label: int, items: Any, num: int | None = None) -> None:
        """Adds the jobs of a row, `num` items or all, in batches. A label of -1 makes `FigureJob`s."""
        numbers = range(len(items) if num is None else num)
        size = self.batch_size if label >= 0 else min(self.batch_size, LARGEST_MODEL_BATCH)
        self.jobs += [(row, label, items, numbers[start : start + size]) for start in numbers[::size]]

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
        files = items.files
        groups = [self.recordings.get(files[number].name, files[number].name) for number in chosen]
        return SoundJob(row, label, list(numbers), groups, self._source(items), batch["waveform"])

    def _source(self, items: Windows | TrainingCrops) -> str:
        if id(items) not in self._sources:
            digest = hashlib.sha256()
            for file in dict.fromkeys(items.files):
                facts = (file.name, file.digest, items.window_samples, getattr(items, "hop_samples", None))
                digest.update(ascii(facts).encode())
            self._sources[id(items)] = digest.hexdigest()[:16]
        return self._sources[id(items)]


class EvaluationDataModule(LightningDataModule):
    """The jobs for `test` of the composite, with the split that its models were trained with.

    Args:
        root: folder with `sounds/<class>/*` and, for the classifier's figures, `photos/<class>/*`.
        num_sounds: generated sounds of each class.
        batch_size: sounds made at once.
        cache_dir: folder for decoded sounds.
        part: held-out part of the data. Use `val` to choose between models or options, as figures of the test part
            would no longer be fair after a choice by it.
        classes: names of the models' classes; None if they are all folders of the root.
        group_pattern: see `DataModule`. Files of a group stay in one half of the held-out sounds.

    Raises:
        ValueError: if a number is below 1, or as `DataRoot`.
    """

    def __init__(
        self,
        root: str = "data",
        num_sounds: int = 200,
        batch_size: int = 25,
        cache_dir: str = "cache",
        part: Literal["test", "val"] = "test",
        classes: list[str] | None = None,
        group_pattern: str | None = None,
    ) -> None:
        super().__init__()
        if num_sounds < 1 or batch_size < 1:
            raise ValueError(f"num_sounds is {num_sounds} and batch_size {batch_size}, expected at least 1.")
        self.root = DataRoot(root, cache_dir, classes, group_pattern)
        self.num_sounds, self.batch_size = num_sounds, batch_size
        self.part = part

    def test_dataloader(self) -> DataLoader:
        """One job at a time.

        Raises:
            FileNotFoundError: if the root has no sounds.
            ValueError: if the models have other classes, a class cannot be halved, or there are several processes.
        """
        if self.trainer.world_size > 1:
            raise ValueError(f"There are {self.trainer.world_size} processes; an evaluation needs --trainer.devices 1.")
        evaluation = self.trainer.lightning_module.evaluation
        models = {model.kind: model for model in reversed(evaluation.models.values())}  # the first of each kind
        has_photos = "photos" in models and (Path(self.root.path) / "photos").is_dir()
        classes = self.root.list_classes(*["sounds", "photos"] if has_photos else ["sounds"])
        check_fitted_on(models["sounds"].path, evaluation.classes, self.root, classes)
        root = replace(self.root, stored_split=models["sounds"].system.facts["split"])
        geometry = evaluation.generator.geometry
        files = sound_files(root, geometry.sample_rate_hz)
        photos = self._photos(models["photos"].system.facts) if has_photos else None
        return DataLoader(self.plan(files, classes, geometry.window_samples, photos), batch_size=None)

    def _photos(self, facts: dict[str, Any]) -> Photos:
        data = PhotoDataModule(len(facts["classes"]), image_size=facts["image_size"])
        data.root = replace(self.root, stored_split=facts["split"])
        data.setup("test")
        return data.test_set if self.part == "test" else data.val_set

    def plan(
        self,
        files: list[SoundFile],
        classes: list[str],
        window_samples: int,
        photos: Photos | None = None,
        generated: list[Windows] | None = None,
    ) -> EvaluationJobs:
        """Adds all jobs in working order.

        The held-out sounds of each class are halved by recording. All rows are compared with the first half, and the
        rows of real sounds are made from the second. Their windows overlap by half, to get more of them. Windows of the
        `known` training sounds overlap by three quarters, as a copy may start anywhere. The `copied` sounds start at
        random, as in training.

        Args:
            files: real sounds of these classes.
            classes: names of the classes.
            window_samples: samples in a window.
            photos: held-out photos for the classifier's figures.
            generated: windows of each class that are generated already; None for `num_sounds` to generate.
        """
        made = [file for windows in generated or [] for file in dict.fromkeys(windows.files)]
        recordings = find_recordings(files) | find_recordings(made)
        known = [file for file in files if file.part == "train"]
        held_out = leave_out_known([file for file in files if file.part == self.part], known, recordings)
        training = [[file for file in known if file.label == label] for label in range(len(classes))]
        references, others = [], []
        for label, name in enumerate(classes):
            first, second = halves([file for file in held_out if file.label == label], name, recordings)
            references.append(Windows(first, window_samples, window_samples // 2))
            others.append(windows_in_turns(second, window_samples, window_samples // 2))
        jobs = EvaluationJobs(recordings, self.batch_size)
        for label, of_class in enumerate(training):
            jobs.add("known", label, Windows(of_class, window_samples, window_samples // STEPS_A_WINDOW))
            jobs.add("reference", label, references[label])
        jobs.add("sounds", -1, Windows(held_out, window_samples))
        if photos is not None:
            jobs.add("photos", -1, photos)
        for row in ROWS_OF_REAL_SOUNDS:
            for label, windows in enumerate(others):
                jobs.add(row, label, windows)
        for label, windows in enumerate(others):
            jobs.add("real_top_codes", label, windows, min(self.num_sounds, MAX_SOUNDS_OF_A_WINDOW * len(windows)))
        for label in range(len(classes)):
            of_class = generated and generated[label]
            jobs.add("generated", label, of_class, min(self.num_sounds, len(of_class)) if of_class else self.num_sounds)
        for label, windows in enumerate(others):
            jobs.add("noise", label, windows)
        for label, of_class in enumerate(training):
            crops = TrainingCrops(of_class, window_samples, 0, 0.0, CROPS_TO_CHOOSE_FROM)
            crops.files = _taking_turns(crops.files, lambda file: file.name)
            jobs.add("copied", label, crops, min(self.num_sounds, len(crops)))
            windows = windows_in_turns(of_class, window_samples)
            jobs.add("training", label, windows, min(self.num_sounds, len(windows)))
        return jobs


def windows_in_turns(files: list[SoundFile], window_samples: int, hop_samples: int | None = None) -> Windows:
    """`Windows`, first the first of each file, then the second of each, and so on."""
    windows = Windows(files, window_samples, hop_samples)
    windows.windows = _taking_turns(windows.windows, lambda window: window[0].name)
    return windows


def _taking_turns(items: list[Any], name_of: Callable[[Any], str]) -> list[Any]:
    """One item of each name, then the next of each, so that the first few are of many recordings."""
    of_name: dict[str, list[Any]] = {}
    for item in items:
        of_name.setdefault(name_of(item), []).append(item)
    return [item for turn in zip_longest(*of_name.values()) for item in turn if item is not None]
