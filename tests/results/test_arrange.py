"""Downloads become exactly the data root of the manifest, and are left as they were."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from results.arrange import main
from results.manifest import main as manifest_main


@pytest.fixture
def download(data_root: Path, tmp_path: Path) -> Path:
    """The sounds as WAV files and the photos, large, each in one folder; and the manifest of what they were."""
    options = ["--root", str(data_root), "--cache_dir", str(tmp_path / "cache")]
    manifest_main([*options, "--manifest", str(tmp_path / "list.csv")])
    for folder in ("sounds/cats_dogs", "photos/images", "photos/annotations"):
        (tmp_path / folder).mkdir(parents=True)
    for path in (data_root / "sounds").rglob("*.flac"):
        samples, rate_hz = soundfile.read(path, dtype="int16")
        soundfile.write(tmp_path / "sounds" / "cats_dogs" / f"{path.stem}.wav", samples, rate_hz, subtype="PCM_16")
    for path in (data_root / "photos").rglob("*.jpg"):
        with Image.open(path) as image:
            image.resize((600, 300)).save(tmp_path / "photos" / "images" / path.name)
        (tmp_path / "photos" / "annotations" / f"{path.stem}.png").write_text("a mask, not a photo")
    return tmp_path


def arrange(download: Path, *kinds: str) -> int:
    folders = [text for kind in kinds for text in (f"--{kind}", str(download / kind))]
    return main([*folders, "--output", str(download / "data"), "--manifest", str(download / "list.csv")])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_laid_out_and_the_downloads_are_untouched(download: Path, capsys) -> None:
    before = contents(download / "sounds") | contents(download / "photos")
    assert arrange(download, "sounds", "photos") == 0
    assert "24 of 24 files are in their place, 24 of them written now." in capsys.readouterr().out
    assert contents(download / "sounds") | contents(download / "photos") == before
    options = ["--root", str(download / "data"), "--cache_dir", str(download / "cache")]
    assert manifest_main([*options, "--manifest", str(download / "list.csv"), "--check"]) == 0
    with Image.open(download / "data" / "photos" / "cat" / "cat_001.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (256, 128))


def test_a_second_time_there_is_nothing_to_do(download: Path, capsys) -> None:
    arrange(download, "sounds")
    before = {path: path.stat().st_mtime_ns for path in (download / "data").rglob("*")}
    assert arrange(download, "sounds") == 0
    assert "12 of 12 files are in their place, 0 of them written now." in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (download / "data").rglob("*")} == before


def test_missing_and_different_files_are_counted_named_and_left_out(download: Path, capsys) -> None:
    folder = download / "sounds" / "cats_dogs"
    (folder / "cat_002.wav").unlink()
    soundfile.write(folder / "dog_003.wav", np.zeros(100, np.int16), 16_000)
    (folder / "dog_004.wav").write_text("no sound")
    assert arrange(download, "sounds") == 1
    out = capsys.readouterr().out
    assert "9 of 12 files are in their place" in out
    assert "Not in the download (1):\n  sounds/cat/cat_002.flac" in out
    assert "left out (2):" in out
    assert f"sounds/dog/dog_003.flac, {folder / 'dog_003.wav'} has other samples" in out
    assert "dog_004.wav is not a readable sound" in out
    assert not (download / "data" / "sounds" / "dog" / "dog_003.flac").exists()


def test_of_two_files_with_a_name_the_right_one_is_taken(download: Path) -> None:
    (download / "sounds" / "a").mkdir()
    soundfile.write(download / "sounds" / "a" / "cat_001.wav", np.zeros(100, np.int16), 16_000)
    assert arrange(download, "sounds") == 0


def test_an_own_file_of_the_same_name_is_not_replaced(download: Path, capsys) -> None:
    own = download / "data" / "sounds" / "cat" / "cat_001.flac"
    own.parent.mkdir(parents=True)
    soundfile.write(own, np.zeros(100, np.int16), 16_000)
    before = own.read_bytes()
    assert arrange(download, "sounds") == 1
    assert f"{own} is there, with other samples" in capsys.readouterr().out
    assert own.read_bytes() == before


def test_download_and_output_lie_apart(download: Path) -> None:
    arrange(download, "sounds")
    (download / "sounds" / "data").mkdir()
    for folder, output in (("sounds", "sounds/data"), ("data/sounds", "data"), (".", "data")):
        with pytest.raises(ValueError, match="are inside each other"):
            main(["--sounds", str(download / folder), "--output", str(download / output)])


def test_what_is_not_there_is_named(download: Path) -> None:
    shutil.rmtree(download / "photos" / "images")
    with pytest.raises(FileNotFoundError, match=r"no \.jpg or \.jpeg file below .*photos"):
        arrange(download, "photos")
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        main(["--sounds", str(download / "nowhere")])
    with pytest.raises(SystemExit, match="2"):
        main([])
