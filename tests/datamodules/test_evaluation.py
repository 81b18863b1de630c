import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from datamodules import VideoDataModule
from datamodules.files.data_root import DataRoot
from datamodules.files.decoded_sounds import sound_files
from datamodules.files.recordings import find_recordings
from media import Geometry
from pipelines.evaluation.jobs import FigureJob, SoundJob
from pipelines.evaluation.models import FittedModel

GEOMETRY = Geometry(sample_rate_hz=8000, n_fft=126, hop_samples=64, num_frames=32, bottom_stride=4, top_stride=8)
CLASSES = ["cat", "dog"]
PARTS = ("train", "train", "val", "test", "test", "test", "test")


def evaluation_data(root: Path, cache_dir: str, **options) -> VideoDataModule:
    """Over a root of cats and dogs, with models whose checkpoints know a split of their own."""
    names = sorted(f"{path.parent.name}/{path.name}" for path in (root / "sounds").rglob("*.wav"))
    split = {name: PARTS[int(Path(name).stem.split("_")[1])] for name in names}
    photos = {f"{name}/{name}_{number}.png": part for name in ("cat", "dog") for number, part in enumerate(PARTS[1:5])}
    facts_of = {"sounds": {"split": split}, "photos": {"classes": CLASSES, "split": photos, "image_size": 32}}
    models = {
        kind: FittedModel(SimpleNamespace(facts=facts), "best.ckpt", "0123", kind) for kind, facts in facts_of.items()
    }
    generator = SimpleNamespace(geometry=GEOMETRY)
    model = SimpleNamespace(evaluation=SimpleNamespace(models=models, classes=CLASSES, generator=generator))
    data = VideoDataModule(root=str(root), cache_dir=cache_dir, **options)
    data.trainer = SimpleNamespace(lightning_module=model, world_size=1)
    data.setup("test")
    return data


@pytest.fixture
def root(sound_root) -> Path:
    return sound_root(cat=[1.0, 0.5, 0.6, 0.9, 0.3, 0.4, 0.5], dog=[0.5] * 7)


def jobs_of(root: Path, cache_dir: str, **options) -> list:
    return list(evaluation_data(root, cache_dir, **options).test_dataloader())


def recordings(jobs: list, row: str) -> set[str]:
    return {name for job in jobs if getattr(job, "row", None) == row for name in job.groups}


def test_halves_never_share_a_recording_and_all_come_from_the_test_part(root, cache_dir):
    jobs = jobs_of(root, cache_dir)
    first, second = recordings(jobs, "reference"), recordings(jobs, "real")
    assert first == {"cat/cat_3.wav", "dog/dog_3.wav", "dog/dog_4.wav"}
    assert second == {"cat/cat_4.wav", "cat/cat_5.wav", "cat/cat_6.wav", "dog/dog_5.wav", "dog/dog_6.wav"}
    known = {f"{name}/{name}_{number}.wav" for name in ("cat", "dog") for number in (0, 1)}
    assert recordings(jobs, "known") == recordings(jobs, "training") == recordings(jobs, "copied") == known
    for row in ("inverted", "reconstructed", "real_top_codes", "noise"):
        assert recordings(jobs, row) == second


def test_validation_sounds_and_photos_can_take_the_place_of_test(root, cache_dir, photo_root):
    photo_root(cat=5, dog=5)
    data = evaluation_data(root, cache_dir, part="val")
    facts = data.trainer.lightning_module.evaluation.models["sounds"].system.facts
    facts["split"] = {name: {"test": "val", "val": "test"}.get(part, part) for name, part in facts["split"].items()}
    jobs = list(data.test_dataloader())
    assert recordings(jobs, "reference") == {"cat/cat_3.wav", "dog/dog_3.wav", "dog/dog_4.wav"}
    (photos,) = (job.batch for job in jobs if isinstance(job, FigureJob) and job.kind == "photos")
    assert {Path(path).stem for path in photos["path"]} == {"cat_1", "dog_1"}


def test_the_split_is_the_checkpoints_and_none_is_decided(root, cache_dir):
    jobs_of(root, cache_dir)
    assert not list(Path(cache_dir).rglob("split.json"))


def test_a_job_holds_the_windows_that_it_names(root, cache_dir):
    jobs = jobs_of(root, cache_dir, batch_size=3)
    for job in jobs:
        if isinstance(job, SoundJob) and job.waveform is not None:
            assert job.waveform.shape == (len(job.groups), GEOMETRY.window_samples)
            assert len(job.numbers) == len(job.groups) <= 3
    real, inverted = ([job for job in jobs if getattr(job, "row", "") == row] for row in ("real", "inverted"))
    assert all(torch.equal(a.waveform, b.waveform) for a, b in zip(real, inverted, strict=True))


def test_windows_are_gone_over_again_for_the_rows_that_draw(root, cache_dir):
    few, many = (jobs_of(root, cache_dir, num_sounds=num) for num in (2, 1000))
    num_windows = sum(len(job.numbers) for job in few if getattr(job, "row", "") == "real" and job.label == 0)
    for jobs, num_drawn in ((few, 2), (many, 4 * num_windows)):
        drawn = [job for job in jobs if getattr(job, "row", "") == "real_top_codes" and job.label == 0]
        assert [number for job in drawn for number in job.numbers] == list(range(num_drawn))
    waveforms = torch.cat([job.waveform for job in drawn])
    assert torch.equal(waveforms[:num_windows], waveforms[num_windows : 2 * num_windows])
    generated = Counter(job.label for job in many if getattr(job, "row", "") == "generated" for _ in job.numbers)
    assert generated == {0: 1000, 1: 1000}
    names = [name for job in many if getattr(job, "row", "") == "generated" for name in job.groups]
    assert len(set(names)) == 2000


def test_the_first_windows_are_of_many_recordings(root, cache_dir):
    jobs = jobs_of(root, cache_dir, num_sounds=3)
    for row in ("copied", "training"):
        (job,) = [job for job in jobs if getattr(job, "row", "") == row and job.label == 0]
        assert list(job.numbers) == [0, 1, 2]
        assert set(job.groups) == {"cat/cat_0.wav", "cat/cat_1.wav"}
    for row in ("real", "real_top_codes"):
        (first, *_) = [job for job in jobs if getattr(job, "row", "") == row and job.label == 0]
        assert set(first.groups[:3]) == {"cat/cat_4.wav", "cat/cat_5.wav", "cat/cat_6.wav"}


def test_models_are_measured_on_all_test_sounds_and_photos(root, cache_dir, photo_root):
    assert {job.kind for job in jobs_of(root, cache_dir) if isinstance(job, FigureJob)} == {"sounds"}
    photo_root(cat=5, dog=5)
    batches = [job for job in jobs_of(root, cache_dir) if isinstance(job, FigureJob)]
    (photos,) = (job.batch for job in batches if job.kind == "photos")
    assert max(len(job.batch["label"]) for job in batches) == 8
    assert {Path(path).name for path in photos["path"]} == {f"{n}_{i}.png" for n in ("cat", "dog") for i in (2, 3, 4)}
    sounds = torch.cat([job.batch["waveform"] for job in batches if job.kind == "sounds"])
    assert len(sounds) == sum(-(-num // GEOMETRY.window_samples) for num in (7200, 2400, 3200, 4000, *[4000] * 4))


def test_the_source_of_a_row_changes_with_its_sounds_alone(root, cache_dir):
    def sources(row: str) -> set[str]:
        return {job.source for job in jobs_of(root, cache_dir) if getattr(job, "row", "") == row and job.label == 1}

    before = sources("real"), sources("reference")
    assert sources("inverted") == before[0]
    shutil.copy(root / "sounds/dog/dog_0.wav", root / "sounds/dog/dog_6.wav")
    assert sources("real") != before[0]
    assert sources("reference") == before[1]


def test_copies_begin_anywhere_and_have_training_windows_near(root, cache_dir):
    jobs = jobs_of(root, cache_dir)
    known = {row: [job for job in jobs if getattr(job, "row", "") == row] for row in ("known", "copied")}
    windows, copies = (torch.cat([job.waveform for job in found if job.label == 0]) for found in known.values())
    assert torch.cdist(copies, windows).amin() > 0
    hop = GEOMETRY.window_samples // 4
    assert torch.equal(windows[0][hop:], windows[1][:-hop])


def overlapping(root: Path, first: str, second: str) -> None:
    """Makes the second file begin with the end of the first."""
    shared, rate = soundfile.read(root / "sounds" / first)
    own, _ = soundfile.read(root / "sounds" / second)
    soundfile.write(root / "sounds" / second, np.r_[shared[-4000:], own], rate, subtype="FLOAT")


def test_files_that_overlap_are_one_recording_and_in_one_half(root, cache_dir):
    overlapping(root, "cat/cat_3.wav", "cat/cat_4.wav")
    jobs = jobs_of(root, cache_dir)
    assert "cat/cat_3.wav" in recordings(jobs, "reference")
    assert "cat/cat_4.wav" not in recordings(jobs, "reference") | recordings(jobs, "real")
    assert "cat/cat_5.wav" in recordings(jobs, "real")


def test_a_sound_that_overlaps_a_training_sound_is_not_held_out(root, cache_dir, monkeypatch):
    said = []
    monkeypatch.setattr("datamodules.files.recordings.tell", said.append)
    overlapping(root, "dog/dog_1.wav", "dog/dog_2.wav")
    overlapping(root, "dog/dog_2.wav", "dog/dog_3.wav")
    jobs = jobs_of(root, cache_dir)
    assert recordings(jobs, "known") >= {"dog/dog_1.wav"}
    assert not (recordings(jobs, "reference") | recordings(jobs, "real")) & {"dog/dog_1.wav", "dog/dog_3.wav"}
    assert said == ["1 held-out sounds share audio or a group with training sounds: dog/dog_3.wav."]


def test_a_group_is_one_recording_in_one_half(root, cache_dir):
    (root / "groups.csv").write_text(
        "file,group\nsounds/cat/cat_3.wav,a\nsounds/cat/cat_6.wav,a\nsounds/dog/dog_4.wav,b\n"
    )
    jobs = jobs_of(root, cache_dir)
    assert "cat/cat_3.wav" in recordings(jobs, "reference")
    assert recordings(jobs, "real") == {"cat/cat_4.wav", "cat/cat_5.wav", "dog/dog_5.wav", "dog/dog_6.wav"}


def test_a_sound_in_a_group_with_a_training_sound_is_not_held_out(root, cache_dir, capsys):
    (root / "groups.csv").write_text("file,group\nsounds/cat/cat_1.wav,a\nsounds/cat/cat_4.wav,a\n")
    jobs = jobs_of(root, cache_dir)
    assert "cat/cat_4.wav" not in recordings(jobs, "reference") | recordings(jobs, "real")
    assert "1 groups of sounds/ are in several parts" in capsys.readouterr().out


def test_each_sound_is_hashed_once_and_compared_with_its_neighbours_once(root, cache_dir, reads):
    evaluation_data(root, cache_dir).test_dataloader()
    assert set(reads.decoded.values()) == {1}
    assert reads.num_hashed == len(reads.decoded) == 14
    before = Counter(reads.opened)
    reads.clear()
    find_recordings(sound_files(DataRoot(str(root), cache_dir), GEOMETRY.sample_rate_hz))
    assert reads.opened == dict.fromkeys(before, 1)
    reads.clear()
    jobs_of(root, cache_dir)
    assert (reads.decoded, reads.num_hashed) == ({}, 0)


def test_kinds_that_an_evaluation_needs_must_have_the_same_classes(root, cache_dir, photo_root):
    photo_root(cat=5, dogs=5)
    with pytest.raises(ValueError, match=r"sounds/ has the classes \['cat', 'dog'\] and photos/ has \['cat', 'dogs'\]"):
        jobs_of(root, cache_dir)


def test_what_does_not_fit_is_said(root, cache_dir):
    data = evaluation_data(root, cache_dir)
    data.trainer.lightning_module.evaluation.classes = ["cat", "cow"]
    with pytest.raises(ValueError, match=r"best.ckpt was fitted on .*cow.* --data.root"):
        data.test_dataloader()
    data.root = DataRoot(str(root / "none"))
    with pytest.raises(FileNotFoundError, match="not a folder"):
        data.test_dataloader()
    data.trainer.world_size = 2
    with pytest.raises(ValueError, match=r"2 processes.*--trainer.devices 1"):
        data.test_dataloader()
    with pytest.raises(ValueError, match="num_sounds is 0"):
        VideoDataModule(num_sounds=0)
