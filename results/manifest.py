"""`python -m results.manifest`: lists every file of a data root, or compares a root with the list.

python -m results.manifest --root data --cache_dir cache            writes results/manifest.csv
python -m results.manifest --root data --cache_dir cache --check    compares, and exits with 1 if they differ
"""

import argparse
import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from datamodules.files.data_root import DataRoot
from datamodules.files.decoded_sounds import sound_files
from datamodules.files.read_once import leave_out_unreadable
from datamodules.files.split import decide_split
from datamodules.photos import check_photos
from media.files import atomic_path
from media.sound.sound_files import read_sound
from runtime.exit_codes import end_in_words

MANIFEST = Path(__file__).with_name("manifest.csv")
ORIGINALS = "sounds_index.csv"  # optional; its columns `path` and `original` hold the new and the old names
SAMPLE_RATE_HZ = 16_000
NUM_NAMED = 10


@dataclass(frozen=True)
class Entry:
    """One file, as a line of the manifest, all in text."""

    kind: str  # `sounds` or `photos`
    label: str  # class
    file: str  # name in `<root>/<kind>/<class>/`
    original: str  # name in the download, if it is known to be another one
    seconds: str  # length of a sound
    size: str  # width and height of a photo in pixels, as `256x178`
    sha256: str  # of a sound's samples, see `digest_samples`, or of a photo's file
    part: str  # `train`, `val` or `test`

    @property
    def path(self) -> str:
        """Path below the root: `sounds/cat/cat_1.flac`."""
        return f"{self.kind}/{self.label}/{self.file}"


COLUMNS = ["class" if field.name == "label" else field.name for field in fields(Entry)]


def read_samples(path: Path) -> np.ndarray:
    """Reads a sound of any format as 16-bit samples, little-endian, mono, at 16 kHz; raises the errors of `read_sound`.

    The samples of a 16-bit mono file of this rate stay bit-exact.
    """
    return np.round(read_sound(path, SAMPLE_RATE_HZ) * 32768.0).clip(-32768, 32767).astype("<i2")


def digest_samples(samples: np.ndarray) -> str:
    """Computes the SHA-256 of samples, which is the same for a WAV and a FLAC file of one sound."""
    return hashlib.sha256(samples.tobytes()).hexdigest()


def describe_root(root: str, cache_dir: str) -> list[Entry]:
    """Lists every readable file of a root, sounds first, with its part in the split of a fit with this cache.

    Raises:
        FileNotFoundError, ValueError: as `DataRoot.files`, `leave_out_unreadable` and `assign_split`.
    """
    data = DataRoot(root, cache_dir)
    kinds = [kind for kind in ("sounds", "photos") if (Path(root) / kind).is_dir()] or ["sounds"]
    originals = _read_originals(Path(root) / ORIGINALS)
    entries = []
    if "sounds" in kinds:
        for file in track(sound_files(data, SAMPLE_RATE_HZ), description="Sounds", transient=True):
            digest = digest_samples(read_samples(Path(root) / "sounds" / file.name))
            seconds = f"{file.num_samples / SAMPLE_RATE_HZ:.2f}"
            entries.append(Entry("sounds", *_split("sounds", file.name, originals), seconds, "", digest, file.part))
    if "photos" in kinds:
        paths = data.files("photos")
        split = decide_split(data, "photos", dict.fromkeys(leave_out_unreadable(check_photos(data)), 1.0))
        for name, part in track(split.items(), description="Photos", transient=True):
            digest = hashlib.sha256(paths[name].read_bytes()).hexdigest()
            with Image.open(paths[name]) as image:
                size = f"{image.width}x{image.height}"
            entries.append(Entry("photos", *_split("photos", name, originals), "", size, digest, part))
    return entries


def write_manifest(path: Path, entries: Iterable[Entry]) -> None:
    """Writes the list as CSV."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dict(zip(COLUMNS, asdict(entry).values(), strict=True)) for entry in entries)


def read_manifest(path: Path) -> list[Entry]:
    """Reads the list that `write_manifest` wrote; FileNotFoundError if it is missing, ValueError for other columns."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no manifest {path}. Write one with: python -m results.manifest --root data")
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != COLUMNS:
            raise ValueError(f"{path} has the columns {reader.fieldnames}, expected {COLUMNS}.")
        return [Entry(*row.values()) for row in reader]


def compare(found: Iterable[Entry], expected: Iterable[Entry]) -> dict[str, list[str]]:
    """Lists the paths of each kind of difference, by its name in words, without kinds that do not occur.

    Photos are compared by name and part only, as scaling and storing them again changes their bytes.
    """
    found_at = {entry.path: entry for entry in found}
    expected_at = {entry.path: entry for entry in expected}
    both = [(found_at[path], entry) for path, entry in expected_at.items() if path in found_at]
    differences = {
        "In the manifest, and not in the data": [path for path in expected_at if path not in found_at],
        "In the data, and not in the manifest": [path for path in found_at if path not in expected_at],
        "Other samples than in the manifest": [
            here.path for here, there in both if here.kind == "sounds" and here.sha256 != there.sha256
        ],
        "Another part of the split than in the manifest": [
            f"{here.path} ({here.part}, not {there.part})" for here, there in both if here.part != there.part
        ],
    }
    return {title: paths for title, paths in differences.items() if paths}


def list_names(title: str, names: Sequence[str]) -> str:
    """Formats a title, the number of names, and the first names."""
    more = f"\n  … and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else ""
    return f"{title} ({len(names)}):\n" + "\n".join(f"  {name}" for name in names[:NUM_NAMED]) + more


def summarise(entries: Sequence[Entry]) -> str:
    """Counts the files of each kind, class and part."""
    lines = []
    for kind, label in dict.fromkeys((entry.kind, entry.label) for entry in entries):
        own = [entry for entry in entries if (entry.kind, entry.label) == (kind, label)]
        parts = ", ".join(f"{sum(entry.part == part for entry in own)} {part}" for part in ("train", "val", "test"))
        length = f", {sum(float(entry.seconds) for entry in own):.0f} s" if kind == "sounds" else ""
        lines.append(f"{kind}/{label}: {len(own)} files{length} ({parts})")
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    """Writes or checks the manifest and returns the exit code."""
    parser = argparse.ArgumentParser("python -m results.manifest", description="Lists, or checks, the files of a root.")
    parser.add_argument("--root", default="data", help="folder with sounds/<class>/* and photos/<class>/*")
    parser.add_argument("--cache_dir", default="cache", help="cache of the fits, with their split")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="list to write, or to compare with")
    parser.add_argument("--check", action="store_true", help="write nothing; print differences, and exit with 1 if any")
    options = parser.parse_args(args)
    expected = read_manifest(options.manifest) if options.check else []
    entries = describe_root(options.root, options.cache_dir)
    print(summarise(entries))
    if not options.check:
        write_manifest(options.manifest, entries)
        print(f"{len(entries)} files are listed in {options.manifest}")
        return 0
    differences = compare(entries, expected)
    for title, paths in differences.items():
        print(list_names(title, paths))
    if not differences:
        print(f"{options.root} is as {options.manifest} lists it (photos are compared by name only).")
    return int(bool(differences))


def _split(kind: str, name: str, originals: dict[str, str]) -> tuple[str, str, str]:
    label, file = name.split("/", 1)
    return label, file, originals.get(f"{kind}/{name}", "")


def _read_originals(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        return {row["path"]: Path(row["original"]).name for row in csv.DictReader(file)}


if __name__ == "__main__":
    end_in_words(main)
