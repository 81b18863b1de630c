"""`python cli.py test --config video2audio.yaml` from its command to its files."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lightning.pytorch.loggers import WandbLogger
from PIL import Image

from callbacks import EvaluationWriter
from pipelines.evaluation.rows import MEASURED_ROWS, ROWS, RowSounds
from tests.conftest import run_cli
from tests.helpers.evaluating import resample_little, with_more_sounds
from tests.helpers.tiny import sound_data, tiny_trainer, tiny_vqvae

NUM_SOUNDS = 5


@pytest.fixture(scope="module")
def project(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain's models beside more sounds; what came after the last sound is a test sound."""
    return with_more_sounds(chain, tmp_path_factory.mktemp("evaluated"))


def evaluate(
    project: Path, output_dir: str, num_sounds: int = NUM_SOUNDS, logger: str = "false", has_pictures: bool = False
) -> dict:
    """Runs the command and reads `results.json`."""
    sizes = ["--data.num_sounds", str(num_sounds), "--data.batch_size", "4", "--evaluation.output_dir", output_dir]
    with pytest.MonkeyPatch.context() as monkeypatch:
        resample_little(monkeypatch)
        if not has_pictures:
            monkeypatch.setattr("callbacks.evaluation_writer.draw_grids", lambda rows: np.zeros((2, 2, 3), np.uint8))
        run_cli(project, "test", "video2audio", *sizes, logger=logger)
    return json.loads((project / output_dir / "results.json").read_text())


@pytest.fixture(scope="module")
def results(project: Path) -> dict:
    """Of an evaluation that nobody disturbed."""
    return evaluate(project, "whole", has_pictures=True)


def without_command(results: dict) -> dict:
    return {name: value for name, value in results.items() if name != "command"}


def jobs_made(monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> list:
    """Fills with (row, label, number) of sounds that are really made; at the `fail_at`-th job the machine goes away."""
    made, make, calls = [], RowSounds.make, []

    def counting(sounds, job):
        calls.append(job)
        if len(calls) == fail_at:
            raise RuntimeError("The machine goes away.")
        made.extend((job.row, job.label, number) for number in job.numbers)
        return make(sounds, job)

    monkeypatch.setattr(RowSounds, "make", counting)
    return made


def test_every_row_has_figures_for_each_class(results):
    assert results["rows"].keys() == MEASURED_ROWS.keys()
    for row, scopes in results["rows"].items():
        assert scopes.keys() == {"cat", "dog"}
        nearest = () if row == "training" else ("to_train_ratio", "spread_ratio")
        for figures in scopes.values():
            for name in ("fad", "kad", *nearest):
                assert figures[name]["low"] <= figures[name]["high"], (row, name)
                assert figures[name]["num_sounds"] == figures["num_sounds"]
    assert results["rows"]["generated"]["cat"]["num_sounds"] == NUM_SOUNDS
    assert results["models"]["top"]["num_steps"] == 4
    assert results["models"]["classifier"]["accuracy"] is not None
    assert results["seed"] == 1
    assert "--data.num_sounds 5" in results["command"]


def test_the_models_figures_are_those_of_their_own_tests(project, results):
    for name, prefix in (("vqvae", "test/mse"), ("top", "test/loss"), ("bottom", "test/perplexity/dog")):
        own = run_cli(project, "test", name).trainer.callback_metrics[prefix]
        assert results["models"][name][prefix.removeprefix("test/")] == pytest.approx(float(own), rel=1e-3)


def test_the_files_are_complete_and_the_page_finds_its_sounds(project, results):
    folder = project / "whole"
    assert {path.name for path in folder.iterdir()} == {
        "results.json",
        "results.md",
        "index.html",
        "cat.png",
        "dog.png",
        "sounds",
    }
    page = (folder / "index.html").read_text()
    links = re.findall(r'<audio[^>]* src="\./([^"]+)"', page)
    assert len(links) == 2 * len(ROWS) * NUM_SOUNDS
    assert all((folder / link).is_file() for link in links)
    assert "own class" not in page
    text = (folder / "results.md").read_text()
    assert all(Path(folder, name).is_file() for name in re.findall(r"!\[\w+\]\((.+?)\)", text))
    assert "pip install" in text or "Install ai-edge-litert" in text
    num_sounds = {row: len(list((folder / "sounds" / row / "cat").glob("*.flac"))) for row in ROWS}
    assert num_sounds == {row: results["rows"][row]["cat"]["num_sounds"] for row in ROWS}
    with Image.open(folder / "cat.png") as picture:
        assert picture.width > 1000


def test_interrupted_and_resumed_equals_uninterrupted(project, results, monkeypatch):
    with monkeypatch.context() as patch:
        first = jobs_made(patch, fail_at=len(ROWS) * 4)
        with pytest.raises(RuntimeError, match="goes away"):
            evaluate(project, "resumed")
    assert not (project / "resumed" / "results.json").exists()
    second = jobs_made(monkeypatch)
    assert without_command(evaluate(project, "resumed")) == without_command(results)
    assert first
    assert second
    assert not set(first) & set(second)
    for path in (project / "whole" / "sounds").rglob("*.flac"):
        twin = project / "resumed" / path.relative_to(project / "whole")
        assert twin.read_bytes() == path.read_bytes()


def test_more_sounds_are_added_and_the_table_is_on_the_screen(project, results, monkeypatch, capfd):
    shutil.copytree(project / "whole", project / "more")
    made = jobs_made(monkeypatch)
    more = evaluate(project, "more", num_sounds=NUM_SOUNDS + 3)
    assert {row for row, _, _ in made} == {"real_top_codes", "generated", "copied"}
    assert more["rows"]["generated"]["dog"]["num_sounds"] == NUM_SOUNDS + 3
    assert more["rows"]["inverted"] == results["rows"]["inverted"]
    printed = capfd.readouterr().out
    assert "real top codes" in printed
    assert "index.html" in printed


def test_a_second_run_makes_nothing_and_logs_everything_to_wandb(project, results, monkeypatch):
    logged, figures, made = [], {}, jobs_made(monkeypatch)
    monkeypatch.setattr(WandbLogger, "__init__", lambda self, **options: None)
    monkeypatch.setattr(WandbLogger, "log_metrics", lambda self, metrics, step=None: figures.update(metrics))
    monkeypatch.setattr(WandbLogger, "log_image", lambda self, key, images: logged.append(key))
    monkeypatch.setattr(
        WandbLogger,
        "log_audio",
        lambda self, key, audios, sample_rate: logged.append((key, len(audios), sample_rate[0])),
    )
    for name in ("log_hyperparams", "log_graph", "save", "finalize", "after_save_checkpoint"):
        monkeypatch.setattr(WandbLogger, name, lambda self, *args, **kwargs: None)
    for name, value in (("name", "x"), ("version", "0"), ("save_dir", str(project)), ("root_dir", str(project))):
        monkeypatch.setattr(WandbLogger, name, value)
    again = evaluate(project, "whole", logger="lightning.pytorch.loggers.WandbLogger")
    assert without_command(again) == without_command(results)
    assert made == []
    assert {"evaluation/cat", "evaluation/dog", ("evaluation/real/cat", 2, 8000)} <= set(logged)
    assert figures["evaluation/generated/cat/fad"] == results["rows"]["generated"]["cat"]["fad"]["value"]
    assert figures["evaluation/vqvae/mse"] == results["models"]["vqvae"]["mse"]


def test_the_test_of_another_model_is_left_alone(tmp_path):
    writer = EvaluationWriter(str(tmp_path / "evaluation"))
    tiny_trainer(callbacks=[writer]).test(tiny_vqvae(), sound_data(), verbose=False)
    assert not (tmp_path / "evaluation").exists()


def test_kept_sounds_are_those_that_the_figures_are_of(project, results):
    info = soundfile.info(project / "whole" / "sounds" / "generated" / "cat" / "0000.flac")
    assert (info.samplerate, info.format, info.subtype) == (results["sample_rate_hz"], "FLAC", "PCM_16")
