import itertools
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.cli import LightningCLI

import cli
from lightning_modules import TopPrior
from runtime import doctor, precision, step_clock
from runtime.session_time import KAGGLE, KAGGLE_HOURS, as_hours
from tests.conftest import SYSTEMS, TINY, working_folder
from tests.helpers.tiny import tiny_codes, tiny_top, tiny_trainer


@pytest.fixture
def findings(monkeypatch) -> list[doctor.Finding]:
    """Collects the findings of `doctor.main` for its table."""
    found, examine = [], doctor.examine

    def remember(*args) -> doctor.Finding:
        found.append(examine(*args))
        return found[-1]

    monkeypatch.setattr(doctor, "examine", remember)
    return found


def build(args: list[str]) -> LightningCLI:
    return cli.main(args, run=False)


def run_doctor(folder: Path, *options: str) -> int:
    with working_folder(folder):
        return doctor.main(["--config", str(TINY), *options], build, max_steps=2, max_seconds=30.0)


def rows(output: str) -> dict[str, list[str]]:
    """Cells of the table, by system."""
    lines = [line.split() for line in output.splitlines()]
    return {line[0]: line[1:] for line in lines if line and line[0] in (*SYSTEMS, "moments")}


def test_machine_and_all_systems_are_reported_and_nothing_is_written(tmp_path, capsys, findings, monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *args, **kwargs: pytest.fail("a download"))
    monkeypatch.delenv(KAGGLE, raising=False)
    assert run_doctor(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
    output = capsys.readouterr().out
    for part in (
        "CPU: ",
        "cores",
        "RAM: ",
        "GPU: ",
        "Python 3.",
        f"torch {torch.__version__}",
        "wandb",
        "Precision ",
        "A product",
        "A code",
    ):
        assert part in output
    assert "sessions" not in output
    assert "Only the head" not in output, "a remark on a fit, and none is made"
    table = rows(output)
    assert set(table) == {finding.system for finding in findings} == {*SYSTEMS, "moments"}
    for finding in findings:
        assert finding.training_s == finding.step_s * finding.max_steps
        assert finding.need_gib > 0
        assert finding.remark == ""
        batch, times, accumulated, need, step, steps, *training = table[finding.system]
        assert (batch, times) == (str(finding.batch_size), "×")
        assert (int(accumulated), int(steps)) == (finding.num_accumulated, finding.max_steps)
        assert (float(need), step) == (round(finding.need_gib, 2), f"{finding.step_s:.3g}")
        assert " ".join(training) == as_hours(finding.training_s)
    assert table["bottom"][:3] == ["4", "×", "2"]


def test_overlays_change_the_training_and_sessions_are_counted(tmp_path, capsys, findings, monkeypatch):
    monkeypatch.setenv(KAGGLE, "Interactive")
    (tmp_path / "long.yaml").write_text("trainer: {max_steps: 5000000, accumulate_grad_batches: 3}\n")
    assert run_doctor(tmp_path, "--config", "long.yaml") == 0
    output = capsys.readouterr().out
    assert f"{KAGGLE_HOURS:g} h" in output
    for finding in findings:
        assert (finding.num_accumulated, finding.max_steps) == (3, 5_000_000)
        num_sessions = math.ceil(finding.training_s / 3600 / KAGGLE_HOURS)
        assert rows(output)[finding.system][-1] == str(num_sessions)
    monkeypatch.setattr(doctor, "examine", lambda system, *rest: doctor.Finding(system, 4, 1, 3600, 1.0, 9.0))
    run_doctor(tmp_path, "--hours", "2")
    output = capsys.readouterr().out
    assert {" ".join(cells[-5:]) for cells in rows(output).values()} == {"9 h 00 min 5"}


def test_a_requested_precision_is_reported(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda system, *rest: doctor.Finding(system, 4, 1, -1, 1.0, 9.0))
    (tmp_path / "half.yaml").write_text("trainer: {precision: bf16-mixed, accelerator: cpu}\n")
    monkeypatch.setattr(precision, "time_product", lambda dtype, kind="cpu": {torch.float32: 0.001}.get(dtype, 0.013))
    monkeypatch.setattr(TopPrior, "time_sampling", lambda self: {"float32": 0.003, "int8": 0.002})
    run_doctor(tmp_path, "--config", "half.yaml")
    output = capsys.readouterr().out
    assert output.count("Precision ") == 1
    assert "Precision bf16-mixed on CPU: as asked for, but its products take 13 times as long as in fp32." in output
    assert "1 ms in 32-true, 13 ms in bf16-mixed. The fastest here: --trainer.precision 32-true\n" in output
    assert "3 ms in float32, 2 ms in int8. The fastest here: --model.sampling.precision int8\n" in output
    assert {cells[-1] for cells in rows(output).values()} == {"–"}, "a training without an end has no length"


def test_a_system_that_does_not_fit_is_reported_and_the_others_are_measured(tmp_path, capsys, findings, monkeypatch):
    measure = doctor.measure_step

    def measure_step(model, *args) -> step_clock.StepClock:
        if type(model).__name__ == "BottomPrior":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return measure(model, *args)

    monkeypatch.setattr(doctor, "measure_step", measure_step)
    assert run_doctor(tmp_path, "--hours", "1") == 0
    output = capsys.readouterr().out
    assert "bottom: out of memory." in output
    assert rows(output)["bottom"][4:7] == ["does", "not", "fit"]
    assert [finding.system for finding in findings if finding.step_s is not None] == [
        "vqvae",
        "top",
        "classifier",
        "moments",
    ]


def test_other_errors_are_not_taken_for_missing_memory(tmp_path, monkeypatch):
    def fail(*args) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(doctor, "measure_memory", fail)
    with pytest.raises(RuntimeError, match="something else"):
        run_doctor(tmp_path)


def test_a_card_that_torch_has_no_code_for_ends_the_examination(tmp_path, capsys, monkeypatch):
    def refuse() -> None:
        raise ValueError("Tesla P100 cannot be used")

    monkeypatch.setattr(doctor, "check_card", refuse)
    assert run_doctor(tmp_path) == 1
    output = capsys.readouterr().out
    assert "CPU: " in output
    assert "Tesla P100 cannot be used" in output
    assert "vqvae" not in output


def test_a_first_batch_over_the_time_is_scaled_to_a_step(monkeypatch):
    looks_s = itertools.count(step=30)  # the clock is looked at every 30 s
    monkeypatch.setattr(step_clock, "time", SimpleNamespace(perf_counter=lambda: next(looks_s)))
    with doctor._quiet():
        clock = step_clock.measure_step(tiny_top(), tiny_codes(4), tiny_trainer(accumulate_grad_batches=4), 50, 20.0)
    assert clock.remark == "timed on its first step only, 1 of 4 batches"
    assert clock.step_s == 4 * 60


@pytest.mark.parametrize(
    ("batch_times_s", "max_steps", "step_s"),
    [
        ([5, 1, 3, 4, 3, 4], 2, 7),  # the first step is left out, and two are timed
        ([8, 8, 8, 8, 8], 50, 16),  # the time runs out after 20 s, in the middle of a step
    ],
)
def test_steps_are_timed_after_the_first_until_steps_or_time_run_out(monkeypatch, batch_times_s, max_steps, step_s):
    now_s = 0.0
    monkeypatch.setattr(step_clock, "time", SimpleNamespace(perf_counter=lambda: now_s))
    trainer = SimpleNamespace(accumulate_grad_batches=2, should_stop=False)
    module = SimpleNamespace(device=torch.device("cpu"))
    clock = step_clock.StepClock(max_steps, max_seconds=20.0)
    for batch_idx, batch_time_s in enumerate(batch_times_s):
        assert not trainer.should_stop
        clock.on_train_batch_start(trainer, module, None, batch_idx)
        now_s += batch_time_s
        clock.on_train_batch_end(trainer, module, None, None, batch_idx)
    assert trainer.should_stop
    assert (clock.step_s, clock.remark) == (step_s, "")


def test_a_session_has_a_length(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_doctor(tmp_path, "--hours", "0")
    assert "--hours is 0, expected more than 0" in capsys.readouterr().err


def test_a_folder_of_overlays_may_be_anywhere(tmp_path):
    shutil.copytree(TINY, tmp_path / "mine")
    with working_folder(tmp_path):
        built = build(doctor._arguments(["classifier.yaml", "mine"])["classifier"])
    assert built.datamodule.batch_size == 4
    assert built.model.weights is None
