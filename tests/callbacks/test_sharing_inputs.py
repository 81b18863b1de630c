"""Real processes that share a folder of inputs, and one that is killed in the middle of it; half a minute each."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import PROJECT
from tests.pipelines.test_input_records import statuses


@pytest.fixture
def photos(tmp_path) -> Path:
    """Five of them; an odd number divides unevenly."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abcde":
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    return folder


def start(photos, out, devices=1, wait_s=0.0) -> subprocess.Popen:
    command = [sys.executable, str(PROJECT / "tests/helpers/copying.py"), str(photos), str(out), str(devices)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, str(wait_s)], env=environment, **pipes)


def run(*args, **options) -> tuple[int, str]:
    process = start(*args, **options)
    printed, _ = process.communicate()
    return process.returncode, printed


def worked_on(out) -> list[tuple[str, str]]:
    """Name and process of each input, in the order of their starts."""
    return [tuple(line.rsplit(" ", 1)) for line in Path(f"{out}.log").read_text().splitlines()]


@pytest.mark.slow
def test_a_killed_command_resumes_without_doing_a_file_twice(photos, tmp_path):
    out = tmp_path / "out"
    shutil.copy(photos / "a.png", photos / "killed.png")
    assert run(photos, out)[0] == -9
    assert [name for name, _ in worked_on(out)] == [*"abcde", "killed"]
    assert list((out / "records").glob("killed-*.lock"))
    (photos / "killed.png").rename(photos / "f.png")
    code, printed = run(photos, out)
    assert code == 0, printed
    assert [name for name, _ in worked_on(out)] == [*"abcde", "killed", "f"]
    assert "1 done, 5 skipped, 0 failed" in printed


@pytest.mark.slow
@pytest.mark.parametrize("num_inputs", [5, 1])
def test_two_processes_of_one_call_divide_the_inputs(photos, tmp_path, num_inputs):
    out = tmp_path / "out"
    inputs = photos if num_inputs == 5 else photos / "a.png"
    code, printed = run(inputs, out, devices=2, wait_s=0.2)
    assert code == 0, printed
    assert sorted(name for name, _ in worked_on(out)) == [*"abcde"][:num_inputs]
    assert len({process for _, process in worked_on(out)}) == min(2, num_inputs)
    assert list(statuses(out).values()) == ["done"] * num_inputs
    assert printed.count(f"{num_inputs} done, 0 skipped, 0 failed") == 1


@pytest.mark.slow
def test_a_failure_of_the_second_process_is_in_the_table_and_the_exit_code(photos, tmp_path):
    out = tmp_path / "out"
    (photos / "b.png").write_text("no photo")
    shutil.move(photos / "b.png", photos / "b.mp4")
    code, printed = run(photos, out, devices=2)
    assert code == 1
    assert "Error: 1 of 5 inputs failed; see" in printed
    assert statuses(out) == {"a.png": "done", "b.mp4": "failed", "c.png": "done", "d.png": "done", "e.png": "done"}


@pytest.mark.slow
def test_two_calls_on_one_folder_do_no_file_twice(photos, tmp_path):
    out = tmp_path / "out"
    calls = [start(photos, out, wait_s=1.0) for _ in range(2)]
    counts = []
    for call in calls:
        printed, _ = call.communicate()
        assert call.returncode == 0, printed
        counts += re.findall(r"^(\d) done, (\d) skipped, 0 failed$", printed, re.MULTILINE)
    assert sorted(name for name, _ in worked_on(out)) == [*"abcde"]
    assert [sum(map(int, count)) for count in zip(*counts, strict=True)] == [5, 5]
