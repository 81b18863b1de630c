"""From folders of photos and sounds to a video with sound, through the command line, as a user goes."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import wandb

import cli
from demo.dataset import make_dataset
from demo.photos import draw_photo
from lightning_modules import load
from tests.conftest import SYSTEMS, TINY, run_cli, working_folder

PROJECT = Path(cli.__file__).parent


def picture_packets(path: Path) -> list[tuple[bytes, float]]:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return [(bytes(packet), float(packet.pts * packet.time_base)) for packet in packets if packet.dts is not None]


def sound_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return sum(frame.samples for frame in container.decode(stream)) / stream.rate


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_fit_leaves_its_best_and_last_checkpoint_and_its_config(chain: Path, system: str) -> None:
    found = {path.name for path in (chain / "checkpoints" / system).iterdir()}
    assert found - {"previous.ckpt"} == {"best.ckpt", "last.ckpt", "config.yaml"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_pictures_of_the_training_lie_in_files_where_there_is_no_dashboard(chain: Path, system: str) -> None:
    pictures = list((chain / "outputs" / "training" / system).glob("*.png"))
    assert pictures


def test_a_video_goes_in_and_the_same_video_with_sound_comes_out(chain: Path, tmp_path: Path) -> None:
    before = (chain / "clip.mp4").read_bytes()
    run_cli(chain, "predict", "video2audio", "--data.inputs", "clip.mp4", "--predictions.output_dir", str(tmp_path))
    output = tmp_path / "clip.mp4"
    assert picture_packets(output) == picture_packets(chain / "clip.mp4")
    with av.open(str(output)) as container:
        picture_s = float(container.streams.video[0].duration * container.streams.video[0].time_base)
    assert sound_seconds(output) == pytest.approx(picture_s, abs=0.025)
    assert (chain / "clip.mp4").read_bytes() == before
    assert (tmp_path / "clip_spectrogram.png").exists()
    assert "clip.mp4" in (tmp_path / "predictions.csv").read_text()
    assert not list(tmp_path.glob(".*")), "no half-written file is left"


def test_a_photo_gives_a_wav_and_the_same_seed_the_same_sound(chain: Path, tmp_path: Path) -> None:
    photo = next((chain / "data" / "photos" / "cat").iterdir())
    for folder in ("first", "second"):
        options = ["--data.inputs", str(photo), "--predictions.output_dir", str(tmp_path / folder)]
        run_cli(chain, "predict", "video2audio", *options, "--model.num_variants", "2", "--model.seed", "7")
    names = {path.name for path in (tmp_path / "first").glob("*.wav")}
    assert names == {f"{photo.stem}.wav", f"{photo.stem}_v2.wav"}
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_where_nothing_known_is_seen_there_is_silence(chain: Path, tmp_path: Path) -> None:
    options = ["--data.inputs", "clip.mp4", "--predictions.output_dir", str(tmp_path), "--model.threshold", "1.0"]
    run_cli(chain, "predict", "video2audio", *options)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        peak = max(abs(frame.to_ndarray()).max() for frame in container.decode(container.streams.audio[0]))
    assert peak < 1e-3


def test_each_system_is_rebuilt_from_its_file_alone_in_a_fresh_process(chain: Path) -> None:
    program = (
        "import sys, json; from lightning_modules import load; "
        "systems = [load(path) for path in sys.argv[1:]]; "
        "sums = [sum(p.double().abs().sum().item() for p in s.network.state_dict().values()) for s in systems]; "
        "print(json.dumps([[type(s).__name__, s.classes, total] for s, total in zip(systems, sums)]))"
    )
    paths = [str(chain / "checkpoints" / system / "best.ckpt") for system in SYSTEMS]
    result = subprocess.run(
        [sys.executable, "-c", program, *paths], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    found = json.loads(result.stdout.splitlines()[-1])
    assert [name for name, _, _ in found] == ["VQVAE", "TopPrior", "BottomPrior", "Classifier"]
    for (_, classes, total), path in zip(found, paths, strict=True):
        assert classes == ["cat", "dog"]
        state = torch.load(path, weights_only=True)["state_dict"]
        network = [value for name, value in state.items() if name.startswith("network.")]
        assert total == pytest.approx(sum(value.double().abs().sum().item() for value in network))


def test_a_network_of_moments_says_when_something_is_heard(
    chain: Path, film_root: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    run_cli(film_root.parent, "fit", "moments", "--checkpoint.dirpath", str(tmp_path / "moments"))
    options = ["--data.inputs", "clip.mp4", "--predictions.output_dir", str(tmp_path / "out")]
    best = str(tmp_path / "moments" / "best.ckpt")
    run_cli(chain, "predict", "video2audio", *options, "--model.moments", best, "--model.threshold", "0")
    printed = capfd.readouterr().out
    assert re.search(r"clip\.mp4: 0 moments, the surest with 0\.\d\d \(at least 0\.4 is needed\)", printed)
    assert (tmp_path / "out" / "clip.mp4").exists()


def test_the_priors_have_the_split_of_their_vqvae(chain: Path) -> None:
    systems = {name: load(chain / "checkpoints" / name / "best.ckpt") for name in ("vqvae", "top", "bottom")}
    split = systems["vqvae"].facts["split"]
    assert set(split["sounds"].values()) == {"train", "val", "test"}
    assert systems["top"].facts["split"] == split
    assert systems["bottom"].facts["split"] == split


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_the_same_command_goes_on_where_the_last_fit_stopped(
    chain: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    shutil.copytree(chain / "data", tmp_path / "data")
    shutil.copytree(chain / "checkpoints", tmp_path / "checkpoints")
    result = run_cli(tmp_path, "fit", "vqvae", "--trainer.max_steps", "8")
    assert result.trainer.global_step == 8
    assert "Resuming from checkpoints/vqvae/last.ckpt" in capfd.readouterr().out
    assert torch.load(tmp_path / "checkpoints/vqvae/last.ckpt", weights_only=True)["global_step"] == 8


def test_codes_are_computed_once(chain: Path) -> None:
    caches = list((chain / "cache" / "codes").glob("*.npz"))
    assert len(caches) == 1, "the top and the bottom prior share them"
    before = caches[0].stat().st_mtime_ns
    run_cli(chain, "validate", "top")
    assert list((chain / "cache" / "codes").glob("*.npz")) == caches
    assert caches[0].stat().st_mtime_ns == before


def test_priors_of_another_vqvae_are_refused(chain: Path, tmp_path: Path) -> None:
    shutil.copytree(chain / "data", tmp_path / "data")
    run_cli(tmp_path, "fit", "vqvae", "--seed_everything", "2", "--trainer.max_steps", "1")
    other = str(tmp_path / "checkpoints" / "vqvae" / "best.ckpt")
    with pytest.raises(ValueError, match=r"codebooks is \w{16} in .*best.ckpt, and \w{16}"):
        run_cli(chain, "predict", "video2audio", "--data.inputs", "clip.mp4", "--model.vqvae", other)
    with pytest.raises(ValueError, match=r"codebooks is '\w{16}' in it, and '\w{16}' here"):
        run_cli(chain, "fit", "top", "--data.vqvae", other, "--trainer.max_steps", "9")


@pytest.mark.parametrize("system", ["top", "bottom"])
def test_a_missing_vqvae_is_named_with_the_command_that_makes_it(data_root: Path, tmp_path: Path, system: str) -> None:
    message = r"checkpoints/vqvae/best.ckpt.*python cli.py fit --config vqvae.yaml"
    with pytest.raises(FileNotFoundError, match=message):
        run_cli(tmp_path, "fit", system, "--data.root", str(data_root))


def test_a_missing_checkpoint_is_named_with_the_command_that_makes_it(data_root: Path, tmp_path: Path) -> None:
    clip = next((data_root / "photos" / "dog").iterdir())
    with pytest.raises(FileNotFoundError, match=r"vqvae/best.ckpt.*fit --config vqvae.yaml"):
        run_cli(tmp_path, "predict", "video2audio", "--data.inputs", str(clip))
    with pytest.raises(FileNotFoundError, match=r"classifier/best.ckpt.*fit --config classifier.yaml"):
        run_cli(tmp_path, "test", "classifier", "--data.root", str(data_root))


def test_a_wrong_number_of_classes_is_named_beside_the_right_one(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", num_photos=3, num_sounds=3, photo_size=32)
    for kind, source in (("photos", "cat_001.jpg"), ("sounds", "cat_001.flac")):
        third = tmp_path / "data" / kind / "parrot"
        third.mkdir()
        for number in range(3):
            shutil.copy(tmp_path / "data" / kind / "cat" / source, third / f"{number}{Path(source).suffix}")
    for system in ("vqvae", "classifier"):
        with pytest.raises(ValueError, match=r"num_classes is 2.* 3 classes.*parrot"):
            run_cli(tmp_path, "fit", system)


def test_a_photo_model_needs_no_sounds_and_a_sound_model_no_photos(chain: Path, tmp_path: Path) -> None:
    for system, kind in (("vqvae", "sounds"), ("classifier", "photos")):
        shutil.copytree(chain / "data" / kind, tmp_path / system / "data" / kind)
        result = run_cli(tmp_path / system, "fit", system, "--trainer.max_steps", "1")
        assert result.trainer.global_step == 1


def test_chosen_classes_go_through_the_chain_and_into_the_checkpoints(chain: Path, tmp_path: Path) -> None:
    shutil.copytree(chain / "data" / "sounds", tmp_path / "data" / "sounds")
    shutil.copytree(chain / "data" / "sounds" / "cat", tmp_path / "data" / "sounds" / "parrot")
    options = ["--trainer.max_steps", "1"]
    with pytest.raises(ValueError, match=r"num_classes is 2.* 3 classes.*--data.classes"):
        run_cli(tmp_path, "fit", "vqvae", *options)
    chosen = [*options, "--data.classes", "[dog,cat]", "--data.group_pattern", r"_0*(\d+)\."]
    run_cli(tmp_path, "fit", "vqvae", *chosen)
    with pytest.raises(ValueError, match=r"fitted on the classes \['cat', 'dog'\].*'parrot'.*--data.classes"):
        run_cli(tmp_path, "fit", "top", *options)
    run_cli(tmp_path, "fit", "top", *chosen)
    facts = [load(tmp_path / "checkpoints" / name / "best.ckpt").facts for name in ("vqvae", "top")]
    assert facts[0]["classes"] == facts[1]["classes"] == ["cat", "dog"]
    split = facts[0]["split"]["sounds"]
    assert facts[1]["split"]["sounds"] == split
    assert all(split[name] == split[name.replace("cat", "dog")] for name in split)


def test_the_command_line_ends_with_one_line_about_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, str(PROJECT / "cli.py"), "fit", "--config", "vqvae.yaml", "--trainer.logger", "false"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Error: The data root 'data' is not a folder." in result.stderr
    assert "Traceback" not in result.stderr


def test_a_photo_of_an_unknown_folder_is_classified(chain: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    draw_photo("cat", np.random.default_rng(3), 48).save(tmp_path / "new" / "unknown.png")
    options = ["--data.inputs", str(tmp_path / "new"), "--predictions.output_dir", str(tmp_path / "out")]
    run_cli(chain, "predict", "classifier", *options)
    header, row = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert header == "photo,class,cat,dog"
    assert "unknown.png" in row


def test_wandb_keeps_losses_pictures_sounds_and_the_config_offline(chain: Path, tmp_path: Path) -> None:
    shutil.copytree(chain / "data", tmp_path / "data")
    wandb.teardown()  # its service writes relative to the working folder that it was started in
    with working_folder(tmp_path):
        cli.main(["fit", "--config", "vqvae.yaml", "--config", str(TINY / "vqvae.yaml"), "--trainer.max_steps", "2"])
        wandb.finish()
        wandb.teardown()  # only then has the service written everything
    (run,) = (tmp_path / "logs" / "wandb").glob("offline-run-*")
    suffixes = {path.suffix for path in (run / "files" / "media").rglob("*") if path.is_file()}
    assert suffixes == {".png", ".wav"}
    (records,) = run.glob("*.wandb")
    content = records.read_bytes()
    for name in (
        b"train/loss",
        b"val/top_codes_in_use",
        b"train/samples_per_second",
        b"train/memory_gib",
        b"commitment_weight",
    ):
        assert name in content, name
