"""`python -m results.judge` from its command to its files."""

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from results.judge import main
from tests.conftest import run_cli, working_folder
from tests.helpers.evaluating import resample_little, with_more_sounds

NUM_SOUNDS = 5


@pytest.fixture(scope="module")
def project(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain's models beside more sounds, of which those after the chain's last are test sounds."""
    return with_more_sounds(chain, tmp_path_factory.mktemp("judged"))


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch) -> None:
    resample_little(monkeypatch)


def judge(project: Path, folder: Path, *options: str) -> dict:
    """Runs the command and reads `results.json`."""
    with working_folder(project):
        main([str(folder), "--reference", "data", "--vqvae", "checkpoints/vqvae/best.ckpt", *options])
    return json.loads((project / "outputs" / "judged" / "results.json").read_text())


def write(path: Path, seconds: float, rate_hz: int = 8_000, num_channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(path.name.encode())).normal(
        scale=0.1, size=(round(seconds * rate_hz), num_channels)
    )
    soundfile.write(path, noise, rate_hz)


def test_sounds_of_our_models_have_the_figures_of_the_evaluation(project, monkeypatch):
    monkeypatch.setattr("callbacks.evaluation_writer.draw_grids", lambda rows: np.zeros((2, 2, 3), np.uint8))
    second = ["--model.listener", "metrics.MelStatistics", "--data.num_sounds", str(NUM_SOUNDS)]
    run_cli(project, "test", "video2audio", "--evaluation.output_dir", "ours", *second)
    ours = json.loads((project / "ours" / "results.json").read_text())["rows"]
    listener = ["--listener", "metrics.MelStatistics", "--listener.sample_rate_hz", "16000"]
    judged = judge(project, project / "ours" / "sounds" / "generated", "--num_sounds", str(NUM_SOUNDS), *listener)
    assert list(judged["rows"]) == ["real", "generated", "noise", "training"]
    for row, scopes in judged["rows"].items():
        for scope, figures in scopes.items():
            assert figures.keys() == ours[row][scope].keys()
            assert {"fad", "kad", "second_fad", "second_kad", "second_choice"} <= figures.keys()
            for name, figure in figures.items():
                expected = ours[row][scope][name]
                found = figure["value"] if name != "num_sounds" else figure
                assert found == pytest.approx(
                    expected["value"] if name != "num_sounds" else expected, rel=0.02
                )  # 16 bits


def test_sounds_of_any_form_are_judged_and_damaged_ones_are_named(project, tmp_path, capfd):
    folder = tmp_path / "others"
    write(folder / "cat" / "long stereo.wav", 2.5, rate_hz=44_100, num_channels=2)
    write(folder / "cat" / "short.flac", 0.05)
    write(folder / "dog" / "low.ogg", 0.5, rate_hz=16_000)
    write(folder / "dog" / "six channels.wav", 0.3, num_channels=6)
    (folder / "dog" / "damaged.wav").write_bytes(b"RIFF")
    (folder / "dog" / "licence.txt").write_text("CC0")
    (folder / "dog" / ".hidden").write_text("")
    results = judge(project, folder)
    printed = capfd.readouterr().out
    assert re.search(r"2 unreadable files are left out:\n  dog/damaged.wav: .*\n  dog/licence.txt: ", printed)
    cats, dogs = (results["rows"]["generated"][scope] for scope in ("cat", "dog"))
    assert cats["num_sounds"] > dogs["num_sounds"] >= 2
    assert "only 2 recordings" in cats["fad"]["remark"]
    assert results["generated"] == str(folder)
    text = (project / "outputs" / "judged" / "results.md").read_text()
    assert "| generated | cat |" in text
    assert "--tagger metrics.YAMNet --tagger.path" in text


def test_no_more_windows_are_judged_than_wished_and_each_file_has_its_turn(project, tmp_path):
    for scope in ("cat", "dog"):
        write(tmp_path / "others" / scope / "a.wav", 3.0)
        write(tmp_path / "others" / scope / "other.wav", 3.0)
    few = judge(project, tmp_path / "others", "--num_sounds", "3")["rows"]["generated"]["cat"]
    assert few["num_sounds"] == 3
    assert "only 2 recordings" in few["fad"]["remark"]


def test_other_classes_are_refused_with_both_lists(project, tmp_path):
    write(tmp_path / "others" / "Cat" / "a.wav", 1.0)
    write(tmp_path / "others" / "rabbit" / "other.wav", 1.0)
    with pytest.raises(ValueError, match=r"of the classes \['Cat', 'rabbit'\], expected \['cat', 'dog'\]"):
        judge(project, tmp_path / "others")


def test_a_class_without_a_readable_sound_is_named(project, tmp_path):
    write(tmp_path / "others" / "cat" / "a.wav", 1.0)
    (tmp_path / "others" / "dog").mkdir()
    (tmp_path / "others" / "dog" / "other.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"of the classes \['cat'\], expected \['cat', 'dog'\]"):
        judge(project, tmp_path / "others")


def test_a_listener_whose_file_is_missing_is_named_with_its_source(project, tmp_path):
    with pytest.raises(
        ValueError, match=r"^There is no nope\.whl\. Get it with: pip download --no-deps aisfx==0\.1\.2$"
    ):
        judge(project, tmp_path, "--listener", "metrics.AiSFX", "--listener.path", "nope.whl")


def test_a_missing_folder_is_named(project, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no nowhere/"):
        judge(project, tmp_path / "nowhere")


def test_without_a_checkpoint_windows_have_the_usual_length(tmp_path):
    for scope in ("cat", "dog"):
        write(tmp_path / "others" / scope / "a.wav", 5.0)
        write(tmp_path / "others" / scope / "b.wav", 1.0)
        for number in range(14):
            write(tmp_path / "data" / "sounds" / scope / f"{scope}_{number}.wav", 0.5)
    with working_folder(tmp_path):
        main(["others", "--reference", "data", "--output_dir", "usual"])
    results = json.loads((tmp_path / "usual" / "results.json").read_text())
    assert results["sample_rate_hz"] == 16_000
    assert results["rows"]["generated"]["cat"]["num_sounds"] == 4  # of 2.39 s
    assert results["settings"]["num_windows"] == [4, 4]
