"""Sessions end in good order, and the next one resumes, wherever it is."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import run_cli
from tests.helpers.killing import TINY, Kill, finish, fit_args, start
from tests.test_resume import assert_equal_ends, fit_to_the_end, project

CLI = str(Path(__file__).parents[1] / "cli.py")
SYSTEM = "top"
CHECKPOINTS = Path("checkpoints") / SYSTEM


def fit(folder: Path, *options: str, kill: Kill | None = None, file_limit_bytes: int | None = None) -> tuple[int, str]:
    """Exit code and output of one session."""
    printed = folder / "printed.txt"
    printed.unlink(missing_ok=True)
    code = finish(start(folder, fit_args(folder, SYSTEM, *options), kill, file_limit_bytes))
    return code, printed.read_text()


def step_of(path: Path) -> int:
    return torch.load(path, weights_only=True)["global_step"]


@pytest.fixture(scope="module")
def unbroken(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project(chain, tmp_path_factory.mktemp("unbroken") / "project", SYSTEM)
    fit_to_the_end(folder, SYSTEM, [])
    return folder


@pytest.fixture
def folder(chain: Path, tmp_path: Path) -> Path:
    return project(chain, tmp_path / "project", SYSTEM)


@pytest.fixture
def stopped(folder: Path) -> Path:
    """A fit that was stopped after its fourth step, with checkpoints of the steps 4 and 2."""
    fit(folder, kill=Kill("step", 8, signal.SIGTERM))
    return folder


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", [Kill("step", 5), Kill("validation", 1)])
def test_a_stop_saves_and_prints_how_to_resume(
    folder: Path, unbroken: Path, moment: Kill, number: int, code: int
) -> None:
    kill = Kill(moment.moment, moment.number, number)
    found, printed = fit(folder, kill=kill)
    step = 3 if kill.moment == "step" else 4
    assert found == code, printed
    assert step_of(folder / CHECKPOINTS / "last.ckpt") == step
    *_, stop, command = printed.strip().splitlines()
    assert f"Stopped at step {step} of 9" in stop
    assert "are left. Resume with:" in stop
    assert command.strip().startswith("python cli.py fit --config top.yaml")
    code, printed = fit(folder)
    assert code == 0
    assert f"Resuming from {CHECKPOINTS}/last.ckpt: step {step}, epoch" in printed
    assert_equal_ends(folder, unbroken, SYSTEM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_of_the_whole_group_leaves_the_workers_to_the_last_step(folder: Path, number: int) -> None:
    """As a terminal sends Ctrl-C, and `timeout` SIGTERM."""
    workers = ["--data.num_workers", "2"]
    code, printed = fit(folder, *workers, kill=Kill("step", 5, number, is_for_group=True))
    assert code == 128 + number, printed
    assert "Traceback" not in printed
    assert step_of(folder / CHECKPOINTS / "last.ckpt") == 3
    assert fit(folder, *workers)[0] == 0


def test_a_second_ctrl_c_quits_at_once(folder: Path) -> None:
    code, printed = fit(folder, kill=Kill("step", 5, signal.SIGINT, times=2))
    assert code == 130
    assert "Quit at once. The last saved step is 2." in printed
    assert step_of(folder / CHECKPOINTS / "last.ckpt") == 2


def test_a_stop_before_the_first_step_prints_how_to_resume(folder: Path) -> None:
    code, printed = fit(folder, kill=Kill("start", 1, signal.SIGINT))
    assert code == 130
    assert "Stopped before the first step. Resume with:" in printed
    assert "Traceback" not in printed


def test_a_fit_that_is_only_tried_out_leaves_no_checkpoint_and_resumes_from_none(folder: Path) -> None:
    run_cli(folder, "fit", SYSTEM, "--trainer.fast_dev_run", "true")
    assert not list((folder / CHECKPOINTS).glob("*"))
    run_cli(folder, "fit", SYSTEM, "--trainer.max_steps", "2")
    before = {path.name: path.read_bytes() for path in (folder / CHECKPOINTS).iterdir()}
    for options in ([], ["--fresh"]):
        cli = run_cli(folder, "fit", SYSTEM, "--trainer.fast_dev_run", "true", *options)
        assert cli.trainer.global_step == 1
        assert {path.name: path.read_bytes() for path in (folder / CHECKPOINTS).iterdir()} == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_subcommand_other_than_fit_ends_on_a_signal(stopped: Path, number: int) -> None:
    typed = ["cli.py", "validate", "--config", f"{SYSTEM}.yaml", "--config", str(TINY / f"{SYSTEM}.yaml")]
    script = (
        "import runpy, signal, sys; from tests.helpers.killing import Kill, arm; "
        f"arm(Kill('validation', 1, {int(number)})); sys.argv = {typed}; runpy.run_path({CLI!r}, run_name='__main__')"
    )
    shutil.copy(stopped / CHECKPOINTS / "last.ckpt", stopped / CHECKPOINTS / "best.ckpt")
    environment = os.environ | {"PYTHONPATH": str(Path(CLI).parent), "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=stopped, env=environment, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 130, found.stdout + found.stderr
    assert "Traceback" not in found.stderr


def test_a_session_ends_before_its_limit_and_the_next_one_has_its_full_time(folder: Path, unbroken: Path) -> None:
    limit = ["--session.hours", "1e-7", "--session.reserve_minutes", "0"]
    for step in (1, 2):
        code, printed = fit(folder, *limit)
        assert code == 0, printed
        assert f"Stopped at step {step} of 9" in printed
        assert "This session ends before" in printed
    fit(folder)
    assert_equal_ends(folder, unbroken, SYSTEM)


def test_a_full_disk_is_an_error_that_leaves_the_older_checkpoints(stopped: Path, unbroken: Path) -> None:
    size = (stopped / CHECKPOINTS / "last.ckpt").stat().st_size
    code, printed = fit(stopped, file_limit_bytes=size // 2)
    assert code == 1
    assert "could not be written" in printed
    assert "checkpoints before it are untouched" in printed
    assert [step_of(stopped / CHECKPOINTS / name) for name in ("last.ckpt", "previous.ckpt")] == [4, 2]
    fit(stopped)
    assert_equal_ends(stopped, unbroken, SYSTEM)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty"])
def test_a_damaged_checkpoint_is_reported_and_skipped(stopped: Path, unbroken: Path, damage: str) -> None:
    last = stopped / CHECKPOINTS / "last.ckpt"
    if damage == "truncated":
        last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    elif damage == "foreign":
        torch.save({"state_dict": {}}, last)
    else:
        last.write_bytes(b"")
    code, printed = fit(stopped)
    assert code == 0, printed
    assert "Skipped:" in printed
    assert "top/last.ckpt" in printed
    assert "previous.ckpt: step 2" in printed
    assert_equal_ends(stopped, unbroken, SYSTEM)


def test_a_damaged_checkpoint_does_not_push_out_the_good_one(stopped: Path) -> None:
    last, previous = stopped / CHECKPOINTS / "last.ckpt", stopped / CHECKPOINTS / "previous.ckpt"
    last.write_bytes(b"half of it")
    fit(stopped, kill=Kill("step", 3, signal.SIGTERM))
    assert [step_of(path) for path in (last, previous)] == [4, 2]
    assert last.with_suffix(".damaged").read_bytes() == b"half of it"


def test_if_no_checkpoint_can_be_read_nothing_starts(stopped: Path) -> None:
    for name in ("last.ckpt", "previous.ckpt"):
        (stopped / CHECKPOINTS / name).write_bytes(b"nothing")
    code, printed = fit(stopped)
    assert code == 1
    assert "--fresh" in printed


def test_an_earlier_output_is_found_copied_and_resumed(
    stopped: Path, unbroken: Path, chain: Path, tmp_path: Path
) -> None:
    """As on Kaggle: the next machine has the data, and the last output far down in a read-only folder."""
    earlier = tmp_path / "input" / "my-run" / "deep" / "project"
    shutil.copytree(stopped / "checkpoints", earlier / "checkpoints")
    shutil.copytree(stopped / "cache", earlier / "cache")
    older = tmp_path / "input" / "an-older-run" / "checkpoints" / SYSTEM
    older.mkdir(parents=True)
    shutil.copy(stopped / CHECKPOINTS / "previous.ckpt", older / "last.ckpt")
    before = {path: path.stat().st_mtime_ns for path in earlier.rglob("*")}
    for path in earlier.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    here = tmp_path / "here"
    shutil.copytree(chain / "data", here / "data")
    code, printed = fit(here, "--earlier_outputs", str([str(tmp_path / "input")]))
    assert code == 0, printed
    assert f"Copying {earlier / 'checkpoints' / SYSTEM} (step 4) to {CHECKPOINTS}." in printed
    assert "There is no checkpoints/vqvae/best.ckpt; using" in printed
    assert "Computing codes" not in printed
    assert {path: path.stat().st_mtime_ns for path in earlier.rglob("*")} == before
    assert os.access(here / CHECKPOINTS / "last.ckpt", os.W_OK)
    shutil.copytree(stopped / "csv", here / "csv_before")
    for version in (here / "csv_before" / SYSTEM).iterdir():
        version.rename(here / "csv" / SYSTEM / "version_99")
    assert_equal_ends(here, unbroken, SYSTEM)


def test_a_fresh_start_moves_the_old_files_aside(stopped: Path, unbroken: Path) -> None:
    before = (stopped / CHECKPOINTS / "last.ckpt").read_bytes()
    shutil.rmtree(stopped / "csv")
    code, printed = fit(stopped, "--fresh", "true", "--earlier_outputs", str([str(stopped.parent)]))
    assert code == 0, printed
    assert f"The files of {CHECKPOINTS} are in {CHECKPOINTS}/before-1 now." in printed
    assert (stopped / CHECKPOINTS / "before-1" / "last.ckpt").read_bytes() == before
    assert step_of(stopped / CHECKPOINTS / "last.ckpt") == 9
    assert "Starting from scratch" in printed


def test_changed_options_win_and_are_reported(stopped: Path) -> None:
    options = ["--model.learning_rate", "0.5", "--model.weight_decay", "0.25", "--trainer.max_steps", "5"]
    code, printed = fit(stopped, *options)
    assert code == 0, printed
    assert "Changed since that checkpoint: model.init_args.learning_rate: 0.0003 → 0.5" in printed
    assert "Changed since that checkpoint: trainer.max_steps: 9 → 5" in printed
    last = torch.load(stopped / CHECKPOINTS / "last.ckpt", weights_only=True)
    (optimizer,) = last["optimizer_states"]
    assert [group["initial_lr"] for group in optimizer["param_groups"]] == [0.5, 0.5]
    assert optimizer["param_groups"][0]["weight_decay"] == 0.25
    assert 0.01 < optimizer["param_groups"][0]["lr"] < 0.5


def test_a_finished_fit_says_so_and_how_to_extend_it(stopped: Path) -> None:
    fit(stopped)
    before = (stopped / CHECKPOINTS / "last.ckpt").stat().st_mtime_ns
    code, printed = fit(stopped)
    assert code == 0
    assert f"This fit is finished: {CHECKPOINTS}/last.ckpt has done 9 of 9 steps. To train longer:" in printed
    assert "Resuming" not in printed
    assert printed.strip().endswith("--trainer.max_steps 18")
    assert (stopped / CHECKPOINTS / "last.ckpt").stat().st_mtime_ns == before
    assert fit(stopped, "--trainer.max_steps", "11")[0] == 0
    assert step_of(stopped / CHECKPOINTS / "last.ckpt") == 11
