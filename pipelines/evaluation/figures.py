"""The figures of a generator and its models, measured on held-out real sounds."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from metrics import (
    Embedding,
    Estimate,
    FrechetAudioDistance,
    KernelAudioDistance,
    NearestNeighbourDistance,
    SpectralDistance,
)
from pipelines.evaluation.jobs import FigureJob, SoundJob
from pipelines.evaluation.judges import Heard, Judges, Tagger
from pipelines.evaluation.models import FittedModel, figures_of_model, finite
from pipelines.evaluation.rows import MEASURED_ROWS, PAIRED_ROWS, ROWS, RowSounds
from pipelines.evaluation.sound_store import SoundStore
from pipelines.generator import Generator
from runtime.tell import tell

NO_TAGGER = (
    "Whether the classes are heard was not measured, as there is no tagger. Install ai-edge-litert, get the two files "
    "that metrics/listeners/yamnet.py names, and add --model.tagger metrics.YAMNet --model.tagger.path yamnet.tflite"
)
NO_PHOTOS = "The classifier was not measured, as the root has no photos."


class Evaluation:
    """Collects the results of the jobs of an evaluation, and computes its figures.

    All rows of a class are compared with the same real test sounds, those of the first half. Figures are computed for
    each class alone, as a distance between mixtures of classes would mainly show their shares.

    Args:
        generator: source of the sounds.
        seed: seed of all generated sounds.
        classes: names of the classes.
        models: models of the generator and others, by name.
        embedding: embedding in which sets of sounds are compared.
        tagger: classifier that measures whether the classes are heard; None to skip that.
        words: the tagger's names for each class; None for those that `ClassAgreement` knows.
        listener: second embedding, independent of the others, in which all is compared again, and whose `ClassHead`
            names the classes; None to skip that.

    Attributes:
        store: files of the sounds; None to make all sounds again.
        results: all figures as plain data, after `compute`.

    Raises:
        ValueError: if the tagger lacks one of the words.
    """

    def __init__(
        self,
        generator: Generator,
        seed: int,
        classes: list[str],
        models: dict[str, FittedModel],
        embedding: Embedding,
        tagger: Tagger | None = None,
        words: dict[str, list[str]] | None = None,
        listener: Embedding | None = None,
    ) -> None:
        self.generator, self.classes, self.models = generator, classes, models
        self.judges = Judges(classes, embedding, tagger, words, listener)
        makers = {name: model.fingerprint for name, model in models.items() if model.kind == "sounds"}
        self.sounds = RowSounds(generator, seed, makers)
        self.store: SoundStore | None = None
        self.results: dict[str, Any] = {}
        self._heard: dict[tuple[str, int], list[Heard]] = defaultdict(list)
        self._distances: dict[tuple[str, int], SpectralDistance] = defaultdict(SpectralDistance)
        self._kinds: set[str] = set()

    def add(self, job: SoundJob | FigureJob) -> None:
        """Makes or reads the sounds of a job and embeds them, unless the generator lacks the row."""
        if isinstance(job, FigureJob):
            self._measure_models(job.kind, job.batch)
            return
        if job.row in ROWS and job.row not in self.sounds.rows:
            return
        if job.row in ROWS and (job.row, job.label) not in self._heard:
            tell(f"{job.row}, {self.classes[job.label]}: {ROWS[job.row]}")
        waveforms = self._waveforms(job)
        rate_hz = self.generator.geometry.sample_rate_hz
        self._heard[job.row, job.label].append(self.judges.listen(waveforms, rate_hz, job.groups))
        if job.row in PAIRED_ROWS:
            self._distances[job.row, job.label].update(torch.from_numpy(waveforms), job.real, job.groups)

    def compute(self) -> dict[str, Any]:
        """Computes `results`, and returns them."""
        tell("Computing the figures and their intervals.")
        judges = self.judges
        remarks = [] if judges.tagger is not None else [NO_TAGGER]
        remarks += [] if "photos" in self._kinds or not self.models else [NO_PHOTOS]
        if judges.listener is not None:
            try:
                judges.learn([self._heard["known", label] for label in range(len(self.classes))])
            except ValueError as error:
                remarks.append(f"{judges.listener.name} names no classes. {error}")
        self.results = {
            "rows": {
                row: {name: self._figures(row, label, remarks) for label, name in enumerate(self.classes)}
                for row in MEASURED_ROWS
                if row not in ROWS or row in self.sounds.rows
            },
            "models": {name: figures_of_model(model, model.kind in self._kinds) for name, model in self.models.items()},
            "titles": {name: model.system.title or name for name, model in self.models.items()},
            "remarks": remarks,
            "classes": self.classes,
            "embedding": judges.embedding.name,
            "tagger": judges.tagger and judges.tagger.name,
            "listener": judges.listener and judges.listener.name,
            "sample_rate_hz": self.generator.geometry.sample_rate_hz,
            "checkpoints": {name: [model.path, model.fingerprint] for name, model in self.models.items()},
            "settings": self.sounds.settings(),
        }
        return self.results

    def _waveforms(self, job: SoundJob) -> np.ndarray:
        if job.row not in ROWS:
            return job.real.float().numpy()
        if self.store is None:
            return self.sounds.make(job)
        made = self.sounds.made_with(job.row)
        made |= {"real sounds": job.source, "geometry": self.generator.geometry.as_dict()}
        place = f"{job.row}/{self.classes[job.label]}"
        return self.store.sounds(place, job.numbers, made, lambda: self.sounds.make(job))

    def _measure_models(self, kind: str, batch: dict[str, Any]) -> None:
        self._kinds.add(kind)
        if kind == "sounds":
            batch = batch | self.generator.codes(batch["waveform"])
        for model in self.models.values():
            if model.kind == kind:
                model.system.update_metrics(model.system.held_out["test"], batch)

    def _figures(self, row: str, label: int, remarks: list[str]) -> dict[str, Any]:
        """The figures of a row and a class as plain data; a figure that cannot be computed becomes a remark."""

        def compare(metric: Any, parts: dict[str, Any], embedding: str = "embeddings") -> Any:
            for name, part in parts.items():
                for heard in self._heard[name, label]:
                    metric.update(getattr(heard, embedding), heard.groups, part)
            return metric.compute()

        sides = {"reference": True, row: False}
        parts = {"known": "train", "reference": "test", row: "generated"}
        sources: dict[str, Callable[[], dict[str, Estimate]]] = {
            "fad": lambda: {"fad": compare(FrechetAudioDistance(), sides)},
            "kad": lambda: {"kad": compare(KernelAudioDistance(), sides)},
        }
        if row != "training":
            sources["distances to the nearest sounds"] = lambda: compare(NearestNeighbourDistance(), parts)
        if self.judges.listener is not None:
            sources["second fad"] = lambda: {"second_fad": compare(FrechetAudioDistance(), sides, "second")}
            sources["second kad"] = lambda: {"second_kad": compare(KernelAudioDistance(), sides, "second")}
        sources["class agreement"] = lambda: self.judges.agreement(self._heard[row, label], label)
        if row in PAIRED_ROWS:
            sources["spectral distances"] = self._distances[row, label].compute
        figures: dict[str, Any] = {"num_sounds": sum(len(heard.groups) for heard in self._heard[row, label])}
        for kind, compute in sources.items():
            try:
                found = {name: estimate for name, estimate in compute().items() if "/" not in name}
                figures |= {_name_in_any_row(name): plain(estimate) for name, estimate in found.items()}
            except ValueError as error:
                remarks.append(f"{row}, {self.classes[label]}: no {kind}. {error}")
        return figures


def _name_in_any_row(name: str) -> str:
    """A name for real and generated sounds alike, which are all compared with the first half of the test sounds."""
    name = f"to_train_{name}" if name.startswith("ratio") else name
    return name.replace("generated_", "own_").replace("test_", "reference_")


def plain(estimate: Estimate) -> dict[str, Any]:
    """An estimate as plain data."""
    return {name: finite(value) for name, value in asdict(estimate).items()}
