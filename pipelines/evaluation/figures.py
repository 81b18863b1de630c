"""How good the composite and its four models are, measured against real sounds that none of them was fitted on."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from media import Geometry
from media.sound.sound_files import resample
from metrics import (
    ClassAgreement,
    Estimate,
    FrechetAudioDistance,
    KernelAudioDistance,
    NearestNeighbourDistance,
    SpectralDistance,
)
from pipelines.evaluation.jobs import FigureJob, SoundJob
from pipelines.evaluation.rows import (
    ABOUT_VIDEOS,
    MEASURED_ROWS,
    PAIRED_ROWS,
    ROWS,
    RowSounds,
    SoundStore,
    made_with,
)
from runtime.checkpoint import read_checkpoint

MODELS = ("vqvae", "top", "bottom", "classifier")
NO_TAGGER = (
    "Whether the classes are heard was not measured, as there is no tagger. Install ai-edge-litert, get the two files "
    "that metrics/listeners/yamnet.py names, and add --model.tagger metrics.YAMNet --model.tagger.path yamnet.tflite"
)
NO_PHOTOS = "The classifier was not measured, as the root has no photos."


class Tagger(Protocol):
    """What hears, with no part in the training, which of many kinds of sound a sound is."""

    name: str
    class_names: list[str]
    sample_rate_hz: int

    def tag(self, waveforms: Tensor) -> Tensor:
        """Scores (batch, tags) in [0, 1] of waveforms (batch, samples) in [-1, 1]."""
        ...


class Evaluation:
    """Collects what the jobs of an evaluation give, and computes its figures.

    Every row is compared with the same real test sounds of its class, those of the first half. Beside what is generated
    stand rows that show what is lost on the way, each with one more step that is not real, and rows that tell what a
    figure is worth: noise, copies, and the training sounds as they are. Each class has figures of its own; there are
    none over all, for a distance between mixtures of classes tells of their shares first.

    Args:
        model: the composite, set up.

    Attributes:
        store: keeps the sounds; None makes all of them anew.
        results: all figures as plain data, once they are computed.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.sounds = RowSounds(model.make_generator(), model.seed)
        self._settings = {name: value for name, value in model.settings().items() if name not in ABOUT_VIDEOS}
        self.store: SoundStore | None = None
        self.results: dict[str, Any] = {}
        self._heard: dict[tuple[str, int], list[tuple[Tensor, Tensor | None, list[str]]]] = defaultdict(list)
        self._distances: dict[tuple[str, int], SpectralDistance] = defaultdict(SpectralDistance)
        self._kinds: set[str] = set()
        if model.tagger is not None:
            ClassAgreement(model.tagger.class_names, model.classes, model.words)  # what does not fit is told of now

    def add(self, job: SoundJob | FigureJob) -> None:
        """Works on one job: makes its sounds, or reads those made before, and listens to them."""
        if isinstance(job, FigureJob):
            self._measure_models(job.kind, job.batch)
            return
        if job.row in ROWS and (job.row, job.label) not in self._heard:
            rank_zero_info(f"{job.row}, {self.model.classes[job.label]}: {ROWS[job.row]}")
        waveforms = self._waveforms(job)
        self._heard[job.row, job.label].append((*self._listen(waveforms), job.groups))
        if job.row in PAIRED_ROWS:
            distance = self._distances[job.row, job.label]
            distance.update(torch.from_numpy(waveforms), job.waveform.cpu(), job.groups)

    def compute(self) -> dict[str, Any]:
        """All figures as plain data; they stay in `results`, too."""
        rank_zero_info("Computing the figures and their intervals.")
        model = self.model
        remarks = [] if model.tagger is not None else [NO_TAGGER]
        remarks += [] if "photos" in self._kinds else [NO_PHOTOS]
        systems = {name: getattr(model, name) for name in MODELS}
        measured = {name for name in systems if name != "classifier" or "photos" in self._kinds}
        rows = {
            row: {name: self._figures(row, label, remarks) for label, name in enumerate(model.classes)}
            for row in MEASURED_ROWS
        }
        self.results = {
            "rows": rows,
            "models": {
                name: figures_of_model(system, model.paths[name], model.geometry, name in measured)
                for name, system in systems.items()
            },
            "remarks": remarks,
            "classes": model.classes,
            "embedding": model.embedding.name,
            "tagger": model.tagger and model.tagger.name,
            "sample_rate_hz": model.geometry.sample_rate_hz,
            "checkpoints": {name: [path, model.fingerprints[name]] for name, path in model.paths.items()},
            "settings": self._settings,
        }
        return self.results

    def _waveforms(self, job: SoundJob) -> np.ndarray:
        if job.row not in ROWS:
            return job.waveform.cpu().float().numpy()
        if self.store is None:
            return self.sounds.make(job)
        made = made_with(job.row, self.model.settings(), self.model.fingerprints)
        made |= {"real sounds": job.source, "geometry": self.model.geometry.as_dict()}
        place = f"{job.row}/{self.model.classes[job.label]}"
        return self.store.sounds(place, job.numbers, made, lambda: self.sounds.make(job))

    def _listen(self, waveforms: np.ndarray) -> tuple[Tensor, Tensor | None]:
        embedding, tagger = self.model.embedding, self.model.tagger
        rate = self.model.geometry.sample_rate_hz
        heard = torch.from_numpy(resample(waveforms, rate, embedding.sample_rate_hz))
        if type(embedding) is type(tagger) and hasattr(embedding, "embed_and_tag"):
            return embedding.embed_and_tag(heard)
        if tagger is None:
            return embedding.embed(heard), None
        return embedding.embed(heard), tagger.tag(torch.from_numpy(resample(waveforms, rate, tagger.sample_rate_hz)))

    def _measure_models(self, kind: str, batch: dict[str, Any]) -> None:
        self._kinds.add(kind)
        if kind == "photos":
            systems = [self.model.classifier]
        else:
            top_codes, bottom_codes = self.model.vqvae.codec.encode(batch["waveform"])
            batch = batch | {"top_codes": top_codes, "bottom_codes": bottom_codes}
            systems = [self.model.vqvae, self.model.top, self.model.bottom]
        for system in systems:
            system.update_metrics(system.held_out["test"], batch)

    def _figures(self, row: str, label: int, remarks: list[str]) -> dict[str, Any]:
        """The figures of a row and a class as plain data; what cannot be computed has a remark."""

        def add_all(metric: Any, parts: dict[str, Any]) -> Any:
            for name, part in parts.items():
                for embeddings, _, groups in self._heard[name, label]:
                    metric.update(embeddings, groups, part)
            return metric

        def agreement() -> dict[str, Estimate]:
            metric = ClassAgreement(self.model.tagger.class_names, self.model.classes, self.model.words)
            for _, scores, groups in self._heard[row, label]:
                metric.update(scores, torch.full((len(scores),), label), groups)
            return {name: estimate for name, estimate in metric.compute().items() if "/" not in name}

        sides = {"reference": True, row: False}
        parts = {"known": "train", "reference": "test", row: "generated"}
        sources: dict[str, Callable[[], Any]] = {
            "fad": lambda: {"fad": add_all(FrechetAudioDistance(), sides).compute()},
            "kad": lambda: {"kad": add_all(KernelAudioDistance(), sides).compute()},
        }
        if row != "training":
            nearest = NearestNeighbourDistance()
            sources["distances to the nearest sounds"] = lambda: _renamed(add_all(nearest, parts).compute())
        if self.model.tagger is not None:
            sources["class agreement"] = agreement
        if row in PAIRED_ROWS:
            sources["spectral distances"] = self._distances[row, label].compute
        figures: dict[str, Any] = {"num_sounds": sum(len(groups) for *_, groups in self._heard[row, label])}
        for what, compute in sources.items():
            try:
                figures |= {name: plain(estimate) for name, estimate in compute().items()}
            except ValueError as error:
                remarks.append(f"{row}, {self.model.classes[label]}: no {what}. {error}")
        return figures


def figures_of_model(system: Any, path: str, geometry: Geometry, is_measured: bool) -> dict[str, float | None]:
    """Size, length of the fit and figures on test data of one of the four models.

    Args:
        system: whose metrics have seen the test data.
        path: of its checkpoint.
        geometry: of the sounds.
        is_measured: whether there were test data for it.
    """
    figures: dict[str, float | None] = {}
    figures["num_weights"] = sum(weights.numel() for weights in system.network.parameters())
    if (num_steps := read_checkpoint(path).get("global_step")) is not None:
        figures["num_steps"] = num_steps
    if not is_measured:
        return figures
    metrics = system.held_out["test"]
    measured = {name: float(value) for name, value in system.compute_figures(metrics).items()}
    for metric in metrics.values():
        metric.reset()
    if (level := getattr(system, "level", None)) is not None:
        columns_a_second = geometry.sample_rate_hz / geometry.hop_samples / getattr(geometry, f"{level}_stride")
        measured["bits_per_second"] = measured["bits_per_code"] * system.network.num_rows * columns_a_second
    return figures | {name: _finite(value) for name, value in measured.items()}


def _renamed(figures: dict[str, Estimate]) -> dict[str, Estimate]:
    """With names that are true for every row: some rows are not generated, and all are compared with the first half."""
    renamed = {name.replace("ratio", "to_train_ratio", name.startswith("ratio")): figures[name] for name in figures}
    return {
        name.replace("generated_", "own_").replace("test_", "reference_"): figure for name, figure in renamed.items()
    }


def plain(estimate: Estimate) -> dict[str, Any]:
    """An estimate as plain data."""
    return {name: _finite(value) for name, value in asdict(estimate).items()}


def _finite(value: Any) -> Any:
    """None in place of what is no finite number, as JSON has no other."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
