"""`python -m results.recognition_in_videos FOLDER …`: how often the class seen in real videos is right."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jsonargparse import ArgumentParser
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from media.video.scenes import SceneSettings, find_scenes
from media.video.video_files import probe_video
from networks import TransferClassifier
from pipelines.perception import Clip, PerceptionSettings, perceive
from runtime.checkpoint import load
from runtime.exit_codes import end_in_words

TRUTH = Path(__file__).with_name("seen_in_videos.csv")
STEP_S = 0.05
UNSURE = "unsure"


def main(args: Sequence[str] | None = None) -> None:
    """Prints the share of the seconds with a visible class that have it, and of the others that are silent.

    The truth was written down by eye. By name, the files take turns: the first, third, … were used to choose between
    methods (`--part val`), the others are the test set.
    """
    parser = ArgumentParser("python -m results.recognition_in_videos", description=__doc__.partition(": ")[2])
    parser.add_argument("folders", nargs="+", help="folders with the videos")
    parser.add_argument("--classifier", default="checkpoints/compact/classifier/best.ckpt", help="fitted classifier")
    parser.add_argument("--part", default="test", choices=["val", "test"], help="half of the files")
    parser.add_argument("--threshold", type=float, default=SceneSettings.threshold, help="see video2audio.yaml")
    options = parser.parse_args(args)
    spans = read_truth(TRUTH)
    names = sorted(spans)[options.part == "test" :: 2]
    paths = {path.name: path for folder in options.folders for path in Path(folder).iterdir()}
    if missing := [name for name in names if name not in paths]:
        raise FileNotFoundError(f"{len(missing)} videos of {TRUTH.name} are in none of the folders: {missing[:5]}.")
    classifier = load(options.classifier, config="classifier.yaml").eval()
    settings = SceneSettings(threshold=options.threshold)
    if isinstance(classifier.network, TransferClassifier):
        settings = replace(settings, min_familiarity=float(classifier.network.familiarity.threshold))
    seconds: dict[str, dict[str, float]] = {}
    for name in track(names, description="videos", transient=True):
        seconds[name] = measure(paths[name], spans[name], classifier, settings)
    Console().print(tabulate(seconds))


def read_truth(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    """Spans of each file: start and end in seconds, and the classes seen, joined by +, or `none`, or `unsure`."""
    spans = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            spans[row["file"]].append((float(row["start_s"]), float(row["end_s"]), row["truth"]))
    return dict(spans)


def measure(path: Path, spans: list[tuple[float, float, str]], classifier, settings: SceneSettings) -> dict[str, float]:
    """Seconds of a video by kind: `seen` with a class, `right` of these, `unseen` without one, `silent` of these."""
    duration_s = probe_video(path).duration_s
    clip = Clip(path, path.stem, duration_s, 25.0)
    seen = perceive(clip, classifier.network, classifier.facts["image_size"], torch.device("cpu"), PerceptionSettings())
    cuts_s = seen.activity.cuts_s if seen.activity else ()
    scenes = find_scenes(seen.times_s, seen.probabilities, duration_s, settings, cuts_s, None, seen.familiarity)
    seconds = dict.fromkeys(("seen", "right", "unseen", "silent"), 0.0)
    for time_s in np.arange(STEP_S / 2, duration_s, STEP_S):
        truth = next((truth for start_s, end_s, truth in spans if start_s <= time_s < end_s), UNSURE)
        label = next((scene.label for scene in scenes if scene.start_s <= time_s < scene.end_s), None)
        found = "none" if label is None else classifier.classes[label]
        if truth == UNSURE:
            continue
        all_of, good = ("unseen", "silent") if truth == "none" else ("seen", "right")
        seconds[all_of] += STEP_S
        seconds[good] += STEP_S * (found in truth.split("+"))
    return seconds


def tabulate(seconds: dict[str, dict[str, float]]) -> Table:
    """A row for each file with an error, and one for all."""
    table = Table("video", "seconds with a class", "right", "seconds without", "silent", box=SIMPLE)
    total = {kind: sum(of_file[kind] for of_file in seconds.values()) for kind in ("seen", "right", "unseen", "silent")}
    for name, row in [*seconds.items(), ("all", total)]:
        if name == "all" or row["right"] + row["silent"] < row["seen"] + row["unseen"] - STEP_S / 2:
            shares = [f"{row[a]:.1f} s" if row[a] else "" for a in ("seen", "unseen")]
            parts = [f"{row[a] / row[b]:.1%}" if row[b] else "" for a, b in (("right", "seen"), ("silent", "unseen"))]
            table.add_row(name, shares[0], parts[0], shares[1], parts[1])
    return table


if __name__ == "__main__":
    end_in_words(main)
