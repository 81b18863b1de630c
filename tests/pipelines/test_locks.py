import os
import platform
import subprocess
import sys

import pytest

from pipelines.locks import claim, release
from tests.conftest import PROJECT

CLAIM_AND_STAY = (
    "import runpy, sys, pathlib; claim = runpy.run_path(sys.argv[1])['claim'];"
    "print(claim(pathlib.Path(sys.argv[2])), flush=True); sys.stdin.read()"
)


def other_process(file) -> subprocess.Popen:
    """One that claims a file, prints what came of it and lives on until its input is closed."""
    command = [sys.executable, "-c", CLAIM_AND_STAY, str(PROJECT / "pipelines/locks.py"), str(file)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_claim_is_one_processs_own_until_it_is_released(tmp_path):
    file = tmp_path / "a.claim"
    assert claim(file) is None
    assert claim(file) == f"in work by process {os.getpid()} on {platform.node()}; if that has died, delete {file}"
    release(file)
    assert not list(tmp_path.iterdir())
    assert claim(file) is None
    release(file)


def test_a_living_processs_claim_stands_and_a_dead_ones_is_taken_over(tmp_path):
    file = tmp_path / "a.claim"
    with other_process(file) as other:
        assert other.stdout.readline() == "None\n"
        assert f"process {other.pid} on" in claim(file)
        other.kill()
    assert claim(file) is None
    assert f"process {os.getpid()} on" in claim(file)
    release(file)
    assert not list(tmp_path.iterdir())


def test_of_many_that_find_a_dead_process_one_goes_on(tmp_path):
    file = tmp_path / "a.claim"
    with other_process(file) as dead:
        dead.stdout.readline()
        dead.kill()
    others = [other_process(file) for _ in range(6)]
    answers = [other.stdout.readline() for other in others]
    for other in others:
        other.communicate()
    assert sorted(answer.startswith("in work") for answer in answers) == [False] + [True] * 5


@pytest.mark.parametrize(
    ("owner", "is_taken_over"),
    [
        (f"process {os.getpid()} on {platform.node()}", True),  # an earlier process that had our number
        (f"process {os.getpid()} on another-machine", False),
        (f"process 1 on {platform.node()}", False),
        ("", False),
    ],
    ids=["its own number", "another machine", "a living process", "nothing yet"],
)
def test_what_is_found_in_a_claim_decides(tmp_path, owner, is_taken_over):
    file = tmp_path / "a.claim"
    file.write_text(owner)
    assert (claim(file) is None) == is_taken_over
    assert (file.read_text() == owner) != is_taken_over or owner.endswith(platform.node())
    release(file)
