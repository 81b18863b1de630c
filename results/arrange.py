"""`python -m results.arrange`: lays downloads out as the data root of the published results.

    python -m results.arrange --sounds FOLDER --photos FOLDER --output data

Each folder is an unpacked download, at any depth: `cat_1.wav` and `dog_barking_1.wav` of 'Audio Cats and Dogs', and the
images of Oxford-IIIT Pet. Only files in the manifest are taken, and sounds only if all samples match. The downloads are
only read. Existing files are left alone, so the command can be repeated.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import soundfile
from PIL import Image
from rich.progress import track

from media.files import atomic_path
from media.video.photo_files import read_photo
from results.manifest import MANIFEST, SAMPLE_RATE_HZ, Entry, digest_samples, list_names, read_manifest, read_samples
from runtime.exit_codes import end_in_words

LONGEST_SIDE = 256
JPEG_QUALITY = 90
WRITTEN, THERE, MISSING, DIFFERENT = "written", "there already", "missing", "different"
SUFFIXES = {"sounds": (".wav", ".flac"), "photos": (".jpg", ".jpeg")}


def find_files(folder: Path, kind: str) -> dict[str, list[Path]]:
    """Finds all sounds or all photos at any depth below a folder, by their names without suffix; skips hidden files.

    Raises:
        FileNotFoundError: if there is no such folder, or none of these files in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; expected the unpacked download of the {kind}.")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("[!.]*")):
        if path.suffix.lower() in SUFFIXES[kind] and path.is_file():
            found.setdefault(path.stem, []).append(path)
    if not found:
        raise FileNotFoundError(f"There is no {' or '.join(SUFFIXES[kind])} file below {folder}; unpack the download.")
    return found


def prepare_sound(path: Path, entry: Entry) -> Callable[[Path], None]:
    """Returns a function that writes the sound as 16 kHz mono FLAC; ValueError if it is not the manifest's samples."""
    samples = read_samples(path)
    if digest_samples(samples) != entry.sha256:
        raise ValueError(f"{path} has other samples")
    return partial(soundfile.write, data=samples, samplerate=SAMPLE_RATE_HZ, subtype="PCM_16", format="FLAC")


def prepare_photo(path: Path, entry: Entry) -> Callable[[Path], None]:
    """Returns a function that writes the photo, scaled down to a longest side of 256 pixels, as JPEG.

    Its bytes are not compared, as the manifest's photo was scaled and stored again.
    """
    image = Image.fromarray(read_photo(path))
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return partial(image.save, format="JPEG", quality=JPEG_QUALITY)


PREPARE = {"sounds": prepare_sound, "photos": prepare_photo}


def place(candidates: Iterable[Path], entry: Entry, target: Path) -> str:
    """Writes the target from the first candidate that fits the manifest, if any, and returns the outcome in words."""
    if target.exists():
        try:
            if entry.kind == "sounds":
                prepare_sound(target, entry)
            return THERE
        except ValueError:
            return f"{DIFFERENT}: {target} is there, with other samples"
    outcome = MISSING
    for path in candidates:
        try:
            write = PREPARE[entry.kind](path, entry)
        except ValueError as error:
            outcome = f"{DIFFERENT}: {error}"
            continue
        with atomic_path(target) as temporary:
            write(temporary)
        return WRITTEN
    return outcome


def arrange(folders: dict[str, Path], output: Path, entries: Iterable[Entry]) -> dict[str, str]:
    """Lays out the files of the manifest and returns the outcome for each path below the root.

    Args:
        folders: unpacked download of each kind; other kinds are left out.
        output: data root, made if it is missing.
        entries: lines of the manifest.

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
        outcomes[entry.path] = place(found, entry, output / entry.path)
    return outcomes


def check_apart(folders: Iterable[Path], output: Path) -> None:
    """Raises ValueError if files could be written into a download, or read from the output."""
    for folder in map(Path.resolve, folders):
        for target in (output.resolve() / "sounds", output.resolve() / "photos"):
            if target.is_relative_to(folder) or folder.is_relative_to(target):
                raise ValueError(f"The download {folder} and the output {target} are inside each other; take another.")


def report(outcomes: dict[str, str]) -> str:
    """Counts the files that are in place, and lists those that are missing or different."""
    done = [outcome for outcome in outcomes.values() if outcome in (WRITTEN, THERE)]
    lines = [f"{len(done)} of {len(outcomes)} files are in their place, {done.count(WRITTEN)} of them written now."]
    missing = [path for path, outcome in outcomes.items() if outcome == MISSING]
    different = [f"{path}, {why.removeprefix(DIFFERENT + ': ')}" for path, why in outcomes.items() if DIFFERENT in why]
    lines += [list_names("Not in the download", missing)] if missing else []
    lines += [list_names("Not what the manifest lists, and left out", different)] if different else []
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    """Lays the files out and returns the exit code, 1 if a file is missing or different."""
    parser = argparse.ArgumentParser(
        "python -m results.arrange", description="Lays downloads out as the data root of the published results."
    )
    parser.add_argument("--sounds", type=Path, help="folder of the unpacked sounds")
    parser.add_argument("--photos", type=Path, help="folder of the unpacked photos")
    parser.add_argument("--output", type=Path, default=Path("data"), help="data root to fill")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="list of the files to take")
    options = parser.parse_args(args)
    folders = {kind: folder for kind in SUFFIXES if (folder := getattr(options, kind))}
    if not folders:
        parser.error("expected --sounds FOLDER, --photos FOLDER or both")
    outcomes = arrange(folders, options.output, read_manifest(options.manifest))
    print(report(outcomes))
    return int(any(outcome not in (WRITTEN, THERE) for outcome in outcomes.values()))


if __name__ == "__main__":
    end_in_words(main)
