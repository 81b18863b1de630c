"""One process works on one input: a living one is waited for by nobody, and a dead one's input is taken over."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.input_records import InputRecords
from tests.conftest import PROJECT

START_AND_STAY = (
    "import sys, pathlib; from pipelines.input_records import InputRecords;"
    "records = InputRecords(pathlib.Path(sys.argv[1]), {});"
    "print(records.start(pathlib.Path(sys.argv[2]), 'a'), flush=True); sys.stdin.read()"
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_text("a photo")
    return tmp_path / "a.png"


@pytest.fixture
def start_others(out: Path, path: Path) -> Iterator[list[subprocess.Popen]]:
    """Starts processes that lock the input, print the answer and live on until they are killed."""
    started: list[subprocess.Popen] = []

    def start(num_processes: int) -> list[subprocess.Popen]:
        command = [sys.executable, "-c", START_AND_STAY, str(out), str(path)]
        environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        others = [subprocess.Popen(command, env=environment, **pipes) for _ in range(num_processes)]
        started.extend(others)
        return others

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_an_input_is_one_calls_own_until_it_is_released(out: Path, path: Path) -> None:
    mine, other = InputRecords(out, {}), InputRecords(out, {})
    assert mine.start(path, "a") is None
    assert other.start(path, "a") == f"in work by process {os.getpid()} on {platform.node()}"
    mine.release()
    assert {file.suffix for file in (out / "records").iterdir()} == {".json"}
    assert other.start(path, "a") is None
    other.release()


def test_a_living_processs_input_is_skipped_and_a_dead_ones_is_taken_over(out: Path, path: Path, start_others) -> None:
    (other,) = start_others(1)
    assert other.stdout.readline() == "None\n"
    records = InputRecords(out, {})
    assert records.start(path, "a") == f"in work by process {other.pid} on {platform.node()}"
    other.kill()
    other.wait()
    assert records.start(path, "a") is None
    assert InputRecords(out, {}).start(path, "a") == f"in work by process {os.getpid()} on {platform.node()}"
    records.release()


def test_of_many_that_find_a_dead_processs_input_one_takes_it(out: Path, path: Path, start_others) -> None:
    (dead,) = start_others(1)
    dead.stdout.readline()
    dead.kill()
    dead.wait()
    answers = [other.stdout.readline() for other in start_others(4)]
    assert sorted(answer.startswith("in work by process ") for answer in answers) == [False, True, True, True]
