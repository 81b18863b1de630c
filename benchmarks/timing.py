"""`python -m benchmarks.timing`: measures how well onsets in the picture match events, drawn or heard."""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jsonargparse import ArgumentParser
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.film_timing import (
    FindOnsets,
    film_table,
    find_activity_onsets,
    find_moment_onsets,
    list_films,
    measure_films,
    summary_table,
)
from benchmarks.moving_animal import DISTRACTIONS, Film, frames, sample_film, write_film
from media.sound.onsets import SoundOnsetSettings
from media.video.activity import Activity, ActivityMeter, ActivitySettings
from media.video.stabilisation import StabilisationSettings
from media.video.video_files import read_frames
from metrics.event_timing import Recording, match_events, measure_timing
from networks import MomentNetwork
from pipelines.moments import MomentFinder
from runtime.checkpoint import load
from runtime.exit_codes import end_in_words

GRID_HZ = 25
TOLERANCE_S = 0.08
WIDTH = 170  # of tables of films that are not printed to a terminal


@dataclass(frozen=True)
class Measured:
    """A film, its activity measured with and without the region, the time that this took, and that of a network."""

    film: Film
    with_region: Activity
    without_region: Activity
    ms_per_frame: float
    with_network: Activity | None = None


def main(args: Sequence[str] | None = None) -> None:
    """Prints precision and recall of the onsets in drawn films, or in films with sound, beside the level of chance.

    Drawn films show an animal that opens its mouth, with a table row for each kind of distraction. The defaults of
    `ActivitySettings` were chosen on the films from seed 100; those from seed 0 are the test set. `--activity.block 7`,
    say, measures other settings. In films with sound (`--videos`), the events are the onsets of the sound.
    """
    parser = ArgumentParser("python -m benchmarks.timing", description=__doc__.partition(": ")[2])
    parser.add_argument("--first_seed", type=int, default=0, help="seed of the first film")
    parser.add_argument("--num_films", type=int, default=20, help="films that are drawn")
    parser.add_argument("--num_encoded", type=int, default=6, help="films that are also encoded and decoded as H.264")
    parser.add_argument("--activity", type=ActivitySettings, default=ActivitySettings())
    parser.add_argument("--stabilisation", type=StabilisationSettings, default=StabilisationSettings())
    parser.add_argument("--videos", type=Path, nargs="+", help="folders of films with sound, in place of drawn films")
    parser.add_argument("--moments", type=Path, help="checkpoint of a network of moments, which is measured")
    parser.add_argument("--kinds", nargs="+", default=[], help="starts of file names, for a table row each")
    parser.add_argument("--sound", type=SoundOnsetSettings, default=SoundOnsetSettings())
    options = parser.instantiate_classes(parser.parse_args(args))
    settings = options.activity, options.stabilisation
    network = load(options.moments).network if options.moments else None
    if options.videos:
        find_onsets: FindOnsets = partial(find_activity_onsets, activity=settings[0], stabilisation=settings[1])
        if network:
            find_onsets = partial(find_moment_onsets, network=network)
        print_films(options.videos, options.kinds, find_onsets, options.sound)
    else:
        seeds = range(options.first_seed, options.first_seed + options.num_films)
        print_drawn_films(seeds, options.num_encoded, settings, network)


def print_drawn_films(
    seeds: Sequence[int],
    num_encoded: int,
    settings: tuple[ActivitySettings, StabilisationSettings],
    network: MomentNetwork | None,
) -> None:
    """Measures drawn films, and prints a row for each distraction."""
    films = [sample_film(seed) for seed in seeds]
    drawn = [measure(film, settings, network) for film in track(films, description="films", transient=True)]
    encoded = films[:num_encoded]
    read = [
        measure(film, settings, network, encode=True) for film in track(encoded, description="H.264", transient=True)
    ]
    console = Console()
    for name in ("with_region", "without_region", *(["with_network"] if network else [])):
        console.print(table(drawn, read, name))
    num_cuts = sum(len(film.cuts_s) for film in films)
    num_found = sum(len(one.with_region.cuts_s) for one in drawn)
    num_hits = sum(len(match_events(one.film.cuts_s, one.with_region.cuts_s, TOLERANCE_S)) for one in drawn)
    console.print(f"Cuts: {num_cuts}, found {num_hits} of them and {num_found - num_hits} that are none.")
    console.print(f"Time: {np.mean([film.ms_per_frame for film in drawn]):.2f} ms a frame.")


def print_films(folders: list[Path], kinds: list[str], find_onsets: FindOnsets, sound: SoundOnsetSettings) -> None:
    """Measures films with sound, and prints a row for each film and kind, and those left out."""
    paths = list_films(folders)
    films, left_out = measure_films(track(paths, description="films", transient=True), find_onsets, sound)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(film_table(films))
    console.print(summary_table(films, kinds))
    console.print(
        f"Left out, as their sound has fewer than {sound.min_onsets} onsets: {', '.join(left_out) or 'none'}."
    )


def measure(
    film: Film,
    settings: tuple[ActivitySettings, StabilisationSettings],
    network: MomentNetwork | None = None,
    encode: bool = False,
) -> Measured:
    """Runs the meter over a film at 25 frames per second; if asked, after encoding and decoding it as H.264."""
    pairs = list(frames(film, GRID_HZ))
    pictures, regions = [picture for picture, _ in pairs], [region for _, region in pairs]
    if encode:
        with tempfile.TemporaryDirectory() as folder:
            write_film(film, path := Path(folder) / "film.mp4")
            pictures = [picture for _, picture in read_frames(path, GRID_HZ)]
    started_s, activities = time.process_time(), []
    for given in (regions, [None] * len(pictures)):
        meter = ActivityMeter(GRID_HZ, *settings)
        for picture, region in zip(pictures, given, strict=False):
            meter.add(picture, region)
        activities.append(meter.finish())
    ms_per_frame = 500 * (time.process_time() - started_s) / len(pictures)
    return Measured(film, *activities, ms_per_frame, network and find_moments(pictures, network, activities[1]))


def find_moments(pictures: list[np.ndarray], network: MomentNetwork, activity: Activity) -> Activity:
    """Finds the onsets of the pictures with a network."""
    finder = MomentFinder(network)
    for picture in pictures:
        finder.add(picture)
    return finder.finish(activity)


def table(drawn: list[Measured], read: list[Measured], name: str) -> Table:
    """Tabulates the figures of each kind of film, drawn or decoded from H.264; `name` is an activity of `Measured`.

    "Off by" is the median distance from an event to the nearest onset, "shifted" the F1 of shifted onsets.
    """
    columns = ("with", "films", "events", "onsets", "off by", "prec.", "recall", "F1", "shifted", "p")
    result = Table(*columns, title=name.replace("_", " "), box=SIMPLE, padding=0)
    groups = {kind: [film for film in drawn if kind in film.film.distractions] for kind in DISTRACTIONS}
    groups["none"] = [film for film in drawn if not film.film.distractions]
    groups |= {"all": drawn, "H.264": read}
    for kind, films in groups.items():
        if not films:
            continue
        recordings = [Recording(one.film.events_s, getattr(one, name).onsets_s, one.film.duration_s) for one in films]
        figures = measure_timing(recordings, TOLERANCE_S)
        result.add_row(
            kind,
            *map(str, (len(films), figures.num_events, figures.num_onsets)),
            f"{1000 * figures.median_distance_s:.0f} ms",
            *(f"{value:.2f}" for value in (figures.precision, figures.recall, figures.f1, figures.shifted_f1)),
            f"{figures.p_value:.3f}",
        )
    return result


if __name__ == "__main__":
    end_in_words(main)
