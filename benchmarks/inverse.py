"""`python -m benchmarks.inverse`: compares quality and time of inversions from a spectrogram to a sound."""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from benchmarks.measuring import quiet
from benchmarks.records import markdown_table, write_files
from datamodules import SpectrogramDataModule
from datamodules.files.data_root import DataRoot
from datamodules.sounds import padded
from demo import LABELS
from demo.sounds import synthesise
from lightning_modules import VQVAE, load
from media import Geometry, Spectrogram
from media.sound.griffin_lim import griffin_lim
from media.sound.phase_gradient import gradient_phase, random_phase
from media.sound.sound_files import resample
from metrics import ClassAgreement, Estimate, SpectralDistance, YAMNet
from metrics.estimate import group_numbers, weighted_mean_estimate
from runtime.doctor import describe_machine
from runtime.exit_codes import end_in_words

WIDTH = 210  # of tables that are not printed to a terminal
NUM_RESAMPLES = 1000
ORIGINALS = "originals"
Rows: TypeAlias = dict[str, dict[str, Any]]  # figures by way and by name
COLUMNS = {
    "× time": "time_ratio",
    "distance, dB": "distance_db",
    "less than A's, dB": "distance_db_less",
    "convergence": "convergence",
    "less than A's": "convergence_less",
    "to the original, dB": "original_log_spectral_distance_db",
    "own class": "forced_choice",
    "heard": "heard",
}
NOTE = """\
Ways: the initial phases, random or from the gradient of the magnitudes; momentum and iterations of Griffin-Lim. \
× time: median of the time over that of A on the same window. Distance: log-spectral distance between the target \
spectrogram and that of the sound. Convergence: norm of the difference of their magnitudes over that of the target. \
Less than A's: in pairs of windows. To the original: log-spectral distance of the waveforms, with frames of 1024 \
samples and a hop of 256. Own class, heard: shares of windows in which the tagger prefers the right class, and hears \
it at all. Figures are means over windows, with 95 % intervals from resampled recordings in brackets."""


@dataclass(frozen=True)
class Way:
    """An inversion of linear magnitudes by Griffin-Lim, from `random` phases or from those of their `gradient`."""

    start: str
    momentum: float
    num_iterations: int

    def __str__(self) -> str:
        baseline = "A: " if self == USUAL else ""
        return f"{baseline}{self.start}, {self.momentum:g}, {self.num_iterations}"

    def invert(self, magnitude: Tensor, hop_samples: int) -> Tensor:
        """Magnitudes (1, bins, frames) → sound (1, samples) in [-1, 1], as in `Spectrogram.invert`."""
        generator = torch.Generator().manual_seed(0)
        is_random = self.start == "random"
        phase = random_phase(magnitude, generator) if is_random else gradient_phase(magnitude, hop_samples, generator)
        waveform = griffin_lim(magnitude, hop_samples, self.num_iterations, self.momentum, phase)
        return waveform / waveform.abs().amax().clamp(min=1.0)


USUAL = Way("random", 0.99, 64)
WAYS = [Way("random", momentum, num) for momentum in (0.0, 0.9, 0.99, 1.3) for num in (16, 32, 64, 128, 256)]
WAYS += [Way("gradient", 0.99, num) for num in (0, 8, 16, 32, 64, 128)]


class Window(NamedTuple):
    """A sound (samples,), its label, and the name of its recording."""

    waveform: Tensor
    label: int
    recording: str


def main(args: Sequence[str] | None = None) -> None:
    """Prints a table for each kind of spectrogram, and writes `inverse.md` and `inverse.json`."""
    parser = argparse.ArgumentParser("python -m benchmarks.inverse", description=__doc__.partition(": ")[2])
    parser.add_argument("--root", help="folder with sounds/, to take validation sounds from; default: synthetic ones")
    parser.add_argument("--vqvae", help="checkpoint of a VQ-VAE, to also invert its reconstructions")
    parser.add_argument("--tagger", help="YAMNet as a .tflite file, to measure whether the class is heard")
    parser.add_argument("--num_windows", type=int, default=32, help="windows, in equal shares of classes")
    parser.add_argument("--cache_dir", default="cache", help="folder for decoded sounds")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder for the files")
    options = parser.parse_args(args)
    with quiet():
        vqvae = load(options.vqvae, config="vqvae.yaml").eval() if options.vqvae else None
        windows, classes = sounds(options, vqvae)
    tagger = YAMNet(options.tagger) if options.tagger else None
    facts = {"machine": describe_machine(), "num_threads": torch.get_num_threads(), "num_windows": len(windows)}
    facts |= {"root": options.root, "vqvae": options.vqvae}
    results = {"exact spectrograms": measure(windows, classes, None, tagger)}
    if vqvae is not None:
        results["reconstructions of the VQ-VAE"] = measure(windows, classes, vqvae, tagger)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for name, rows in results.items():
        headings, *others = cells(rows)
        table = Table(*headings, title=name, box=SIMPLE, padding=0)
        for row in others:
            table.add_row(*row)
        console.print(table)
    save(options.output, facts, results)
    console.print(f"{NOTE}\nAlso in {options.output / 'inverse.md'} and, with all intervals, in inverse.json.")


def sounds(options: argparse.Namespace, vqvae: VQVAE | None) -> tuple[list[Window], list[str]]:
    """Returns validation windows, those of the VQ-VAE if there is one, and the names of the classes."""
    geometry = vqvae.geometry if vqvae else Geometry()
    if not options.root:
        num_samples, found = geometry.window_samples, []
        for number in range(options.num_windows):
            label, rng = number % len(LABELS), np.random.default_rng([1_000_000, number])
            sound = synthesise(LABELS[label], rng, geometry.sample_rate_hz)[:num_samples]
            found.append(Window(torch.from_numpy(padded(sound, 0, num_samples)), label, str(number)))
        return found, list(LABELS)
    root = DataRoot(options.root, options.cache_dir, stored_split=vqvae.facts["split"] if vqvae else {})
    data = SpectrogramDataModule(geometry, len(root.list_classes("sounds")), num_workers=0)
    data.root = root
    data.setup("validate")
    windows = []
    for index in data.examples(data.val_set, options.num_windows).indices:
        item, (file, *_) = data.val_set[index], data.val_set.windows[index]
        windows.append(Window(item["waveform"], item["label"], file.name))
    return windows, data.classes


@torch.no_grad()
def measure(
    windows: list[Window], classes: list[str], vqvae: VQVAE | None, tagger: YAMNet | None, ways: Sequence[Way] = WAYS
) -> Rows:
    """Measures all ways, which include `USUAL`, in turn on each window, and the originals.

    Without a VQ-VAE the spectrograms are exact. Without a tagger there are no figures of classes.
    """
    spectrogram = Spectrogram(vqvae.geometry if vqvae else Geometry())
    found: dict[str, dict[str, list]] = {name: defaultdict(list) for name in (*map(str, ways), ORIGINALS)}
    to_original = {way: SpectralDistance(num_resamples=NUM_RESAMPLES) for way in ways}
    for window in track(windows, description="windows", transient=True):
        original = window.waveform[None]
        picture = spectrogram(original)
        picture = picture if vqvae is None else vqvae.network(picture).reconstruction.float().clamp(-1, 1)
        sounds = {ORIGINALS: original}
        for way in ways:
            started_at = time.perf_counter()
            sounds[str(way)] = way.invert(spectrogram.magnitude(picture)[:, 0], spectrogram.geometry.hop_samples)
            values = found[str(way)]
            values["seconds"].append(time.perf_counter() - started_at)
            distance_db, convergence = distances(spectrogram, picture, sounds[str(way)])
            values["distance_db"].append(distance_db)
            values["convergence"].append(convergence)
            to_original[way].update(sounds[str(way)], original, [window.recording])
        for name, sound in sounds.items() if tagger else ():
            heard = resample(sound.numpy(), spectrogram.geometry.sample_rate_hz, tagger.sample_rate_hz)
            found[name]["scores"].append(tagger.tag(torch.from_numpy(heard)))
    rows: Rows = {str(way): figures(found[str(way)], found[str(USUAL)], windows) for way in ways}
    for way, metric in to_original.items():
        rows[str(way)] |= {f"original_{name}": estimate for name, estimate in metric.compute().items()}
    for name, values in found.items() if tagger else ():
        row = agreement(tagger, classes, values["scores"], found[ORIGINALS]["scores"], windows)
        rows[name] = rows.get(name, {}) | row
    return rows


def distances(spectrogram: Spectrogram, wanted: Tensor, waveform: Tensor) -> tuple[float, float]:
    """Log-spectral distance in dB and spectral convergence between a target (1, 1, bins, frames) and a sound."""
    found = spectrogram(waveform)
    difference_db = (found - wanted) * spectrogram.geometry.dynamic_range_db / 2
    expected = spectrogram.magnitude(wanted)
    convergence = (spectrogram.magnitude(found) - expected).norm() / expected.norm().clamp(min=1e-9)
    return difference_db.square().mean(dim=2).sqrt().mean().item(), convergence.item()


def figures(values: dict[str, list], usual: dict[str, list], windows: list[Window]) -> dict[str, Any]:
    """Summarises a way's times and distances, and compares them with the usual way's."""
    ratios = np.divide(values["seconds"], usual["seconds"])
    row = {"median_s": float(np.median(values["seconds"])), "time_ratio": float(np.median(ratios))}
    for name in ("distance_db", "convergence"):
        row[name] = mean(values[name], windows)
        row[f"{name}_less"] = mean(np.subtract(usual[name], values[name]), windows)
    return row


def agreement(
    tagger: YAMNet, classes: list[str], scores: list[Tensor], originals: list[Tensor], windows: list[Window]
) -> dict[str, Estimate]:
    """Shares of windows from their scores (1, tags), and how much smaller they are than the originals'."""
    labels, recordings = zip(*((window.label, window.recording) for window in windows), strict=True)
    metrics = [ClassAgreement(tagger.class_names, classes, num_resamples=NUM_RESAMPLES) for _ in range(2)]
    for metric, of_windows in zip(metrics, (scores, originals), strict=True):
        metric.update(torch.cat(of_windows), torch.tensor(labels), recordings)
    agrees = (metric.agrees[0].double() for metric in metrics)  # (windows, 3): forced choice, named, heard
    here, there = ({"forced_choice": of_metric[:, 0], "heard": of_metric[:, 2]} for of_metric in agrees)
    return metrics[0].compute() | {f"{name}_lost": mean((there[name] - here[name]).numpy(), windows) for name in here}


def mean(values: Sequence[float], windows: list[Window]) -> Estimate:
    """Mean of one value for each window, with its interval."""
    groups = group_numbers([window.recording for window in windows]).numpy()
    return weighted_mean_estimate(np.asarray(values, float), groups, NUM_RESAMPLES, np.random.default_rng(0))


def cells(rows: Rows) -> list[list[str]]:
    """The table, headings first, without figures that no way has."""
    names = {heading: name for heading, name in COLUMNS.items() if any(name in row for row in rows.values())}
    return [["way", *names], *([way, *(shown(row.get(name)) for name in names.values())] for way, row in rows.items())]


def shown(figure: Estimate | float | None) -> str:
    """Formats a figure, with its interval if it has one."""
    if isinstance(figure, Estimate):
        return f"{figure.value:.3g} ({figure.low:.3g} – {figure.high:.3g})"
    return "" if figure is None else f"{figure:.2f}"


def save(folder: Path, facts: Mapping[str, Any], results: Mapping[str, Rows]) -> None:
    """Writes `inverse.md` and `inverse.json`."""
    lines = ["# Ways back from a spectrogram", "", *(f"- {line}" for line in facts["machine"])]
    lines += [f"- CPU, {facts['num_threads']} threads, {facts['num_windows']} windows", "", NOTE]
    for title, rows in results.items():
        headings, *others = cells(rows)
        lines += ["", f"## {title}", "", *markdown_table(headings, others, left=(0,))]
    write_files(folder / "inverse", "\n".join(lines) + "\n", {**facts, "results": results})


if __name__ == "__main__":
    end_in_words(main)
