import hashlib
from pathlib import Path

import pytest
import soundfile
from PIL import Image

from demo.dataset import make_dataset, write_once


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_writes_the_folders_that_the_data_modules_read(tmp_path):
    make_dataset(tmp_path, num_photos=2, num_sounds=1, photo_size=32)
    assert set(digests(tmp_path)) == {
        "photos/cat/cat_001.jpg",
        "photos/cat/cat_002.jpg",
        "photos/dog/dog_001.jpg",
        "photos/dog/dog_002.jpg",
        "sounds/cat/cat_001.flac",
        "sounds/dog/dog_001.flac",
    }
    with Image.open(tmp_path / "photos/dog/dog_002.jpg") as photo:
        assert (photo.format, photo.size) == ("JPEG", (32, 32))
    sound = soundfile.info(tmp_path / "sounds/cat/cat_001.flac")
    assert (sound.format, sound.samplerate, sound.channels) == ("FLAC", 16_000, 1)


def test_a_file_depends_on_seed_label_and_number_alone(tmp_path):
    make_dataset(tmp_path / "small", 1, 1, photo_size=32)
    make_dataset(tmp_path / "large", 3, 2, photo_size=32)
    make_dataset(tmp_path / "other", 1, 1, seed=2, photo_size=32)
    small, large, other = (digests(tmp_path / name) for name in ("small", "large", "other"))
    assert small.items() <= large.items()
    assert len(set(large.values())) == len(large)
    assert not set(small.values()) & set(other.values())


def test_a_second_run_adds_what_is_missing_and_rewrites_nothing(tmp_path):
    make_dataset(tmp_path, 1, 1, photo_size=32)
    (tmp_path / "photos/cat/cat_001.jpg").write_bytes(b"mine")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    make_dataset(tmp_path, 2, 1, photo_size=32)
    assert (tmp_path / "photos/cat/cat_001.jpg").read_bytes() == b"mine"
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items())
    assert (tmp_path / "photos/cat/cat_002.jpg").is_file()


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    def write_half(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_once(tmp_path / "folder" / "x.jpg", write_half)
    assert not digests(tmp_path)


@pytest.mark.parametrize(("counts", "name"), [((-1, 0), "num_photos"), ((0, -1), "num_sounds")])
def test_a_negative_count_is_named(tmp_path, counts, name):
    with pytest.raises(ValueError, match=f"{name} is -1, expected 0 or more"):
        make_dataset(tmp_path, *counts)
