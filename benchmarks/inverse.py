"""`python -m benchmarks.inverse`: which way back from a spectrogram gives the best sound, and how long it takes."""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from datamodules import SpectrogramDataModule
from datamodules.files.data_root import DataRoot
from datamodules.sounds import padded
from demo import LABELS
from demo.sounds import synthesise
from lightning_modules import VQVAE, load
from media import Geometry, Spectrogram
from media.files import atomic_path
from media.sound.griffin_lim import griffin_lim
from media.sound.phase_gradient import gradient_phase, random_phase
from media.sound.sound_files import resample
from metrics import ClassAgreement, Estimate, SpectralDistance, YAMNet
from metrics.estimate import group_numbers, weighted_mean_estimate
from runtime.doctor import describe_machine
from runtime.exit_codes import end_in_words

WIDTH = 210  # of the tables in a file
NUM_RESAMPLES = 1000
ORIGINALS = "originals"
Rows: TypeAlias = dict[str, dict[str, Any]]  # name of a way → name of a figure → figure
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
Ways: the first phases, random or from the magnitudes' gradient; momentum and iterations of Griffin-Lim after them. \
× time: times as long as A on the same window, median. Distance: log-spectral, between the wanted spectrogram and that \
of the sound. Convergence: norm of the difference of their magnitudes over that of the wanted ones. Less than A's: in \
pairs of windows. To the original: log-spectral distance of the waveforms, in frames of 1024 samples every 256. Own \
class, heard: shares of windows in which the tagger hears the own class more than the others, and at all. Means over \
windows; in brackets 95 % intervals from resampled recordings."""


@dataclass(frozen=True)
class Way:
    """From linear magnitudes to sound: the first phases, `random` or `gradient`, and Griffin-Lim after them."""

    start: str
    momentum: float
    num_iterations: int

    def __str__(self) -> str:
        baseline = "A: " if self == USUAL else ""
        return f"{baseline}{self.start}, {self.momentum:g}, {self.num_iterations}"

    def invert(self, magnitude: Tensor, hop_samples: int) -> Tensor:
        """(1, bins, frames) → (1, samples) in [-1, 1], as `Spectrogram.invert` does it."""
        generator = torch.Generator().manual_seed(0)
        is_random = self.start == "random"
        phase = random_phase(magnitude, generator) if is_random else gradient_phase(magnitude, hop_samples, generator)
        waveform = griffin_lim(magnitude, hop_samples, self.num_iterations, self.momentum, phase)
        return waveform / waveform.abs().amax().clamp(min=1.0)


USUAL = Way("random", 0.99, 64)
WAYS = [Way("random", momentum, num) for momentum in (0.0, 0.9, 0.99, 1.3) for num in (16, 32, 64, 128, 256)]
WAYS += [Way("gradient", 0.99, num) for num in (0, 8, 16, 32, 64, 128)]


class Window(NamedTuple):
    """A sound (samples,), the number of its class, and the recording that it is cut from."""

    waveform: Tensor
    label: int
    recording: str


def main(args: Sequence[str] | None = None) -> None:
    """Prints a table for each kind of spectrogram, and writes `inverse.md` and `inverse.json`."""
    parser = argparse.ArgumentParser("python -m benchmarks.inverse", description=__doc__.partition(": ")[2])
    parser.add_argument("--root", help="folder with sounds/, of which those for validation are taken; else synthesised")
    parser.add_argument("--vqvae", help="checkpoint of a fitted VQ-VAE, to invert its reconstructions, too")
    parser.add_argument("--tagger", help="YAMNet as a .tflite file, to tell whether the class is still heard")
    parser.add_argument("--num_windows", type=int, default=32, help="of every class alike")
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
    """Windows for validation, as the VQ-VAE had them where there is one, and the names of the classes."""
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
    chosen = data.examples(data.val_set, options.num_windows)
    recordings = [data.val_set.windows[index][0].name for index in chosen.indices]
    pairs = zip(chosen, recordings, strict=True)
    return [Window(item["waveform"], item["label"], recording) for item, recording in pairs], data.classes


@torch.no_grad()
def measure(
    windows: list[Window], classes: list[str], vqvae: VQVAE | None, tagger: YAMNet | None, ways: Sequence[Way] = WAYS
) -> Rows:
    """The figures of each way, `USUAL` among them, and of the originals; all ways take turns at each window.

    Without a VQ-VAE the spectrograms are those of the sounds; without a tagger nothing is told of classes.
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
    """Log-spectral distance in dB and spectral convergence from a picture (1, 1, bins, frames) to that of a sound."""
    found = spectrogram(waveform)
    difference_db = (found - wanted) * spectrogram.geometry.dynamic_range_db / 2
    expected = spectrogram.magnitude(wanted)
    convergence = (spectrogram.magnitude(found) - expected).norm() / expected.norm().clamp(min=1e-9)
    return difference_db.square().mean(dim=2).sqrt().mean().item(), convergence.item()


def figures(values: dict[str, list], usual: dict[str, list], windows: list[Window]) -> dict[str, Any]:
    """A way's times and distances, beside those of the usual way."""
    ratios = np.divide(values["seconds"], usual["seconds"])
    row = {"median_s": float(np.median(values["seconds"])), "time_ratio": float(np.median(ratios))}
    for name in ("distance_db", "convergence"):
        row[name] = mean(values[name], windows)
        row[f"{name}_less"] = mean(np.subtract(usual[name], values[name]), windows)
    return row


def agreement(
    tagger: YAMNet, classes: list[str], scores: list[Tensor], originals: list[Tensor], windows: list[Window]
) -> dict[str, Estimate]:
    """The shares of windows from scores (1, tags) of each, and how much smaller they are than the originals'."""
    labels, recordings = zip(*((window.label, window.recording) for window in windows), strict=True)
    metrics = [ClassAgreement(tagger.class_names, classes, num_resamples=NUM_RESAMPLES) for _ in range(2)]
    for metric, of_windows in zip(metrics, (scores, originals), strict=True):
        metric.update(torch.cat(of_windows), torch.tensor(labels), recordings)
    agrees = (metric.agrees[0].double() for metric in metrics)  # (windows, 3): forced choice, named, heard
    here, there = ({"forced_choice": of_metric[:, 0], "heard": of_metric[:, 2]} for of_metric in agrees)
    return metrics[0].compute() | {f"{name}_lost": mean((there[name] - here[name]).numpy(), windows) for name in here}


def mean(values: Sequence[float], windows: list[Window]) -> Estimate:
    """Of one value a window."""
    groups = group_numbers([window.recording for window in windows]).numpy()
    return weighted_mean_estimate(np.asarray(values, float), groups, NUM_RESAMPLES, np.random.default_rng(0))


def cells(rows: Rows) -> list[list[str]]:
    """The table, its headings first; without figures that no way has."""
    names = {heading: name for heading, name in COLUMNS.items() if any(name in row for row in rows.values())}
    return [["way", *names], *([way, *(shown(row.get(name)) for name in names.values())] for way, row in rows.items())]


def shown(figure: Estimate | float | None) -> str:
    """With its interval, where it has one."""
    if isinstance(figure, Estimate):
        return f"{figure.value:.3g} ({figure.low:.3g} – {figure.high:.3g})"
    return "" if figure is None else f"{figure:.2f}"


def save(folder: Path, facts: Mapping[str, Any], results: Mapping[str, Rows]) -> None:
    """Writes `inverse.md` and `inverse.json`; each appears whole or not at all."""
    lines = ["# Ways back from a spectrogram", "", *(f"- {line}" for line in facts["machine"])]
    lines += [f"- CPU, {facts['num_threads']} threads, {facts['num_windows']} windows", "", NOTE]
    for title, rows in results.items():
        headings, *others = cells(rows)
        bars = [":--"] + ["--:"] * (len(headings) - 1)
        lines += ["", f"## {title}", "", *("| " + " | ".join(row) + " |" for row in (headings, bars, *others))]
    results_json = json.dumps({**facts, "results": results}, indent=2, ensure_ascii=False, default=asdict)
    for name, text in {"inverse.md": "\n".join(lines), "inverse.json": results_json}.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    end_in_words(main)
