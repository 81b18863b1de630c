import os
from pathlib import Path

import pytest

from datamodules.files.data_root import DataRoot
from datamodules.files.read_once import leave_out_unreadable, read_once


def records(names: list[str], unreadable: dict[str, str]) -> dict[str, dict]:
    return {name: {"unreadable": unreadable.get(name)} for name in names}


def test_unreadable_files_are_named_once_and_left_out(capsys):
    names = [f"cat/{number}.wav" for number in range(10)]
    assert leave_out_unreadable(records(names, {"cat/3.wav": "not a sound"})) == names[:3] + names[4:]
    [heading, line] = capsys.readouterr().out.splitlines()
    assert "1 unreadable" in heading
    assert "cat/3.wav: not a sound" in line


def test_more_than_a_tenth_unreadable_is_an_error_that_names_them():
    names = [f"cat/{number}.wav" for number in range(100)] + [f"dog/{number}.wav" for number in range(19)]
    with pytest.raises(ValueError, match="2 of the 19 files of class 'dog'") as error:
        leave_out_unreadable(records(names, {"dog/3.wav": "torn", "dog/4.wav": "empty", "cat/5.wav": "torn"}))
    assert "dog/3.wav: torn\n  dog/4.wav: empty" in str(error.value)
    assert "cat/5.wav" not in str(error.value)


@pytest.fixture
def root(tmp_path) -> DataRoot:
    folder = tmp_path / "data/notes/cat"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.txt").write_text(str(number))
    return DataRoot(str(tmp_path / "data"), str(tmp_path / "cache"))


class Reader:
    """Reads numbers, and counts how often it does so."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, path: Path, version: str) -> dict[str, int]:
        self.names.append(name)
        return {"number": int(path.read_text())}


def test_a_file_is_read_once_and_when_it_changes(root):
    read = Reader()
    first = read_once(root, "notes", "notes_read", read)
    assert {name: record["number"] for name, record in first.items()} == {f"cat/{i}.txt": i for i in range(3)}
    assert read_once(root, "notes", "notes_read", read) == first
    assert read.names == list(first)
    Path(root.path, "notes/cat/1.txt").write_text("100")
    assert read_once(root, "notes", "notes_read", read)["cat/1.txt"]["number"] == 100
    assert read_once(root, "notes", "notes_read", read, is_kept=lambda name, version: name != "cat/2.txt")
    assert read.names == [*first, "cat/1.txt", "cat/2.txt"]


def test_an_unreadable_file_is_read_again_only_if_that_is_asked_for(root):
    Path(root.path, "notes/cat/1.txt").write_text("one")
    read = Reader()
    for retry in (False, False, True):
        found = read_once(root, "notes", "notes_read", read, retry_unreadable=retry)
        assert "invalid literal" in found["cat/1.txt"]["unreadable"]
    assert read.names == [*found, "cat/1.txt"]


def test_a_dangling_link_is_unreadable_until_its_target_is_there(root):
    link = Path(root.path, "notes/cat/99.txt")
    link.symlink_to(Path(root.path, "gone"))
    read = Reader()
    assert "99.txt is no file that can be opened" in read_once(root, "notes", "x", read)["cat/99.txt"]["unreadable"]
    assert "cat/99.txt" not in read.names
    Path(root.path, "gone").write_text("99")
    assert read_once(root, "notes", "x", read)["cat/99.txt"]["number"] == 99


@pytest.mark.skipif(os.name != "posix", reason="bytes that are no text are a matter of POSIX")
def test_names_that_are_no_text_are_kept(root):
    name = os.fsdecode(b"\xff.txt")
    try:
        Path(root.path, "notes/cat", name).write_text("7")
    except OSError:
        pytest.skip("the file system takes text only")
    read = Reader()
    for _ in range(2):
        assert read_once(root, "notes", "x", read)[f"cat/{name}"]["number"] == 7
    assert len(read.names) == 4
