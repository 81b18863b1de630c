"""The list of the files that the results are made on, and what is said of a root that differs from it."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from results.manifest import MANIFEST, compare, describe_root, digest_samples, main, read_manifest, read_samples

SAMPLES = np.random.default_rng(1).integers(-32768, 32768, 1600).astype(np.int16)


@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "PCM_16"), ("flac", "PCM_16"), ("wav", "FLOAT")])
def test_a_sound_has_one_digest_whatever_its_format(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"sound.{suffix}"
    soundfile.write(path, SAMPLES if subtype == "PCM_16" else SAMPLES / 32768, 16_000, subtype=subtype)
    assert np.array_equal(read_samples(path), SAMPLES)
    assert digest_samples(read_samples(path)) == digest_samples(SAMPLES)


def test_one_sample_more_or_less_is_another_digest() -> None:
    other = SAMPLES.copy()
    other[7] ^= 1
    assert len({digest_samples(samples) for samples in (SAMPLES, other, SAMPLES[1:])}) == 3


def test_a_root_is_as_its_own_manifest_lists_it(data_root: Path, tmp_path: Path, capsys) -> None:
    options = ["--root", str(data_root), "--cache_dir", str(tmp_path), "--manifest", str(tmp_path / "list.csv")]
    assert main(options) == 0
    entries = read_manifest(tmp_path / "list.csv")
    assert entries == describe_root(str(data_root), str(tmp_path))
    assert len(entries) == 24
    assert {entry.size for entry in entries if entry.kind == "photos"} == {"48x48"}
    assert {(e.label, e.part) for e in entries} == {(c, p) for c in ("cat", "dog") for p in ("train", "val", "test")}
    assert main([*options, "--check"]) == 0
    assert "is as" in capsys.readouterr().out


def test_differences_are_told_in_words(data_root: Path, tmp_path: Path, capsys) -> None:
    options = ["--root", str(data_root), "--cache_dir", str(tmp_path), "--manifest", str(tmp_path / "list.csv")]
    main(options)
    lines = (tmp_path / "list.csv").read_text().splitlines()
    digest = lines[1].split(",")[6]
    lines[1] = lines[1].replace(digest, "0" * 64)
    lines[2] = lines[2].replace("cat_002", "cat_902")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    capsys.readouterr()
    assert main([*options, "--check"]) == 1
    out = capsys.readouterr().out
    assert "Other samples than in the manifest (1):\n  sounds/cat/cat_001.flac" in out
    assert "In the manifest, and not in the data (1):\n  sounds/cat/cat_902.flac" in out
    assert "In the data, and not in the manifest (1):\n  sounds/cat/cat_002.flac" in out


def test_photos_are_compared_by_name_and_part_only() -> None:
    photo = next(entry for entry in read_manifest(MANIFEST) if entry.kind == "photos")
    assert compare([replace(photo, sha256="0")], [photo]) == {}
    assert list(compare([replace(photo, part="val")], [photo]).values()) == [[f"{photo.path} (val, not train)"]]


def test_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,original\n")
    with pytest.raises(ValueError, match=r"list\.csv has the columns"):
        read_manifest(tmp_path / "list.csv")


def test_the_original_names_are_read_beside_the_sounds(data_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "sounds").symlink_to(data_root / "sounds")
    (root / "sounds_index.csv").write_text("path,original\nsounds/cat/cat_001.flac,archive/meow 1.wav\n")
    originals = {entry.path: entry.original for entry in describe_root(str(root), str(tmp_path / "cache"))}
    assert originals["sounds/cat/cat_001.flac"] == "meow 1.wav"
    assert set(originals.values()) == {"meow 1.wav", ""}


def test_the_project_s_manifest_is_whole() -> None:
    entries = read_manifest(MANIFEST)
    counts = Counter((entry.kind, entry.label) for entry in entries)
    assert counts == {("sounds", "cat"): 108, ("sounds", "dog"): 84, ("photos", "cat"): 96, ("photos", "dog"): 200}
    assert len({entry.path for entry in entries}) == len(entries)
    assert len({entry.sha256 for entry in entries}) == len(entries)
    assert all(entry.label == ("cat" if entry.file[0].isupper() else "dog") for entry in entries[192:])


def test_no_block_of_the_split_is_torn() -> None:
    parts = [(entry.kind, entry.label, entry.part) for entry in read_manifest(MANIFEST)]
    changes = 1 + sum(before != after for before, after in pairwise(parts))
    assert changes == 2 * 2 * 3
