"""`python -m results.arrange`: lays the downloads out as the data root that the results are made on.

    python -m results.arrange --sounds FOLDER --photos FOLDER --output data

Each folder is a download as it was unpacked, at any depth: `cat_1.wav` and `dog_barking_1.wav` of 'Audio Cats and
Dogs', and the images of Oxford-IIIT Pet. Exactly the files of the manifest are taken, and a sound only if every sample
is the one that it lists. The downloads are only read. Files that are there already are left, so that the command can be
repeated.
"""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from rich.progress import track

from media.files import atomic_path
from media.sound.sound_files import UnreadableSound
from media.video.photo_files import read_photo
from results.manifest import MANIFEST, SAMPLE_RATE_HZ, Entry, digest_samples, list_names, read_manifest, read_samples
from runtime.exit_codes import end_in_words

LONGEST_SIDE = 256
JPEG_QUALITY = 90
WRITTEN, THERE, MISSING, DIFFERENT = "written", "there already", "missing", "different"
SUFFIXES = {"sounds": (".wav", ".flac"), "photos": (".jpg", ".jpeg")}


def find_files(folder: Path, kind: str) -> dict[str, list[Path]]:
    """Finds every sound, or every photo, at any depth below a folder, by its name without suffix, hidden ones excepted.

    Raises:
        FileNotFoundError: if there is no such folder, or none of these files in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; expected the unpacked download of the {kind}.")
    found: dict[str, list[Path]] = {}
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place) / name
            if path.suffix.lower() in SUFFIXES[kind] and not name.startswith("."):
                found.setdefault(path.stem, []).append(path)
    if not found:
        raise FileNotFoundError(f"There is no {' or '.join(SUFFIXES[kind])} file below {folder}; unpack the download.")
    return found


def place_sound(candidates: Iterable[Path], entry: Entry, target: Path) -> str:
    """Writes a sound as 16 kHz mono FLAC, from the first candidate with exactly the manifest's samples.

    Returns: the outcome in words; nothing is written if no candidate has these samples.
    """
    if target.exists():
        return THERE if _has_samples(target, entry) else f"{DIFFERENT}: {target} is there, with other samples"
    reason = MISSING
    for path in candidates:
        try:
            samples = read_samples(path)
        except UnreadableSound as error:
            reason = f"{DIFFERENT}: {error}"
            continue
        if digest_samples(samples) == entry.sha256:
            _write_flac(target, samples)
            return WRITTEN
        reason = f"{DIFFERENT}: {path} has other samples"
    return reason


def place_photo(candidates: Iterable[Path], entry: Entry, target: Path) -> str:
    """Writes the first candidate, scaled down to a longest side of 256 pixels, as JPEG; returns the outcome.

    Only the name is checked, as the manifest's bytes are those of a photo that was already scaled and stored again.
    """
    if target.exists():
        return THERE
    reason = MISSING
    for path in candidates:
        try:
            image = Image.fromarray(read_photo(path))
        except ValueError as error:
            reason = f"{DIFFERENT}: {error}"
            continue
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        with atomic_path(target) as temporary:
            image.save(temporary, format="JPEG", quality=JPEG_QUALITY)
        return WRITTEN
    return reason


PLACE: dict[str, Callable[[Iterable[Path], Entry, Path], str]] = {"sounds": place_sound, "photos": place_photo}


def arrange(folders: dict[str, Path], output: Path, entries: Iterable[Entry]) -> dict[str, str]:
    """Lays out the files of the manifest, of those kinds that have a download.

    Args:
        folders: unpacked download of each kind.
        output: data root, made if it is missing.
        entries: lines of the manifest.

    Returns: outcome of each file, by its path below the root.

    Raises:
        FileNotFoundError: as `find_files`.
        ValueError: if a download and the data root are inside each other.
    """
    check_apart(folders.values(), output)
    candidates = {kind: find_files(folder, kind) for kind, folder in folders.items()}
    wanted = [entry for entry in entries if entry.kind in folders]
    outcomes = {}
    for entry in track(wanted, description="Arranging", transient=True):
        found = candidates[entry.kind].get(Path(entry.original or entry.file).stem, [])
        outcomes[entry.path] = PLACE[entry.kind](found, entry, output / entry.path)
    return outcomes


def check_apart(folders: Iterable[Path], output: Path) -> None:
    """Raises ValueError if files could be written into a download, or read from the output."""
    for folder in map(Path.resolve, folders):
        for target in (output.resolve() / "sounds", output.resolve() / "photos"):
            if target.is_relative_to(folder) or folder.is_relative_to(target):
                raise ValueError(f"The download {folder} and the output {target} are inside each other; take another.")


def report(outcomes: dict[str, str]) -> str:
    """Counts the files that are in their place, and lists those that are missing or different."""
    done = [outcome for outcome in outcomes.values() if outcome in (WRITTEN, THERE)]
    lines = [f"{len(done)} of {len(outcomes)} files are in their place, {done.count(WRITTEN)} of them written now."]
    missing = [path for path, outcome in outcomes.items() if outcome == MISSING]
    different = [f"{path}, {why.removeprefix(DIFFERENT + ': ')}" for path, why in outcomes.items() if DIFFERENT in why]
    lines += [list_names("Not in the download", missing)] if missing else []
    lines += [list_names("Not what the manifest lists, and left out", different)] if different else []
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    """Lays the files out → exit code, 1 if one is missing or different."""
    parser = argparse.ArgumentParser(
        "python -m results.arrange", description="Lays downloads out as the data root that the results are made on."
    )
    parser.add_argument("--sounds", type=Path, help="folder of the unpacked sounds")
    parser.add_argument("--photos", type=Path, help="folder of the unpacked photos")
    parser.add_argument("--output", type=Path, default=Path("data"), help="the data root to fill")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="which files are taken")
    options = parser.parse_args(args)
    given: dict[str, Path | None] = {"sounds": options.sounds, "photos": options.photos}
    folders = {kind: folder for kind, folder in given.items() if folder}
    if not folders:
        parser.error("expected --sounds FOLDER, --photos FOLDER or both")
    outcomes = arrange(folders, options.output, read_manifest(options.manifest))
    print(report(outcomes))
    return int(any(outcome not in (WRITTEN, THERE) for outcome in outcomes.values()))


def _has_samples(path: Path, entry: Entry) -> bool:
    try:
        return digest_samples(read_samples(path)) == entry.sha256
    except UnreadableSound:
        return False


def _write_flac(path: Path, samples: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        soundfile.write(temporary, samples, SAMPLE_RATE_HZ, subtype="PCM_16", format="FLAC")


if __name__ == "__main__":
    end_in_words(main)
