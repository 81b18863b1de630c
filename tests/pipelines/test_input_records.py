import csv
import json
import os
import re
import shutil
import signal
from unittest.mock import Mock

import pytest
import torch
from PIL import Image

from pipelines.input_records import InputRecords
from tests.helpers.copying import Copied, copy


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (8, 8), name_colour(name)).save(folder / f"{name}.png")
    return folder


def name_colour(name: str) -> tuple[int, int, int]:
    return (ord(name[0]), 0, 0)


def add(photos, name: str):
    return shutil.copy(photos / "a.png", photos / name)


def table(out) -> dict[str, dict[str, str]]:
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return {os.path.basename(row["input"]): row for row in csv.DictReader(file)}


def statuses(out) -> dict[str, str]:
    return {name: row["status"] for name, row in table(out).items()}


def record_of(out, stem: str) -> dict:
    (file,) = (out / "records").glob(f"{stem}-*.json")
    return json.loads(file.read_text())


def test_each_input_has_its_outputs_a_record_and_a_row(photos, tmp_path, capsys):
    out = tmp_path / "out"
    copy(photos, out, num_variants=2)
    made = {path.name for path in out.iterdir()}
    per_input = ["{}.wav", "{}_v2.wav", "{}.html"]
    assert made == {"records", "predictions.csv", *(name.format(stem) for stem in "abc" for name in per_input)}
    row = table(out)["b.png"]
    assert (row["status"], row["output"], row["scenes"]) == ("done", str(out / "b.wav"), "0.0-1.0 s cat")
    assert {path.suffix for path in (out / "records").iterdir()} == {".json"}
    record = record_of(out, "b")
    assert (record["input"], record["status"]) == (str(photos / "b.png"), "done")
    assert record["files"] == ["b.html", "b.wav", "b_v2.wav"]
    assert record["size_bytes"] == (photos / "b.png").stat().st_size
    printed = capsys.readouterr().out
    assert "3 done, 0 skipped, 0 failed" in printed


def test_what_is_done_is_left_out_until_it_or_the_settings_change(photos, tmp_path):
    out = tmp_path / "out"
    assert copy(photos, out) == ["a", "b", "c"]
    assert copy(photos, out) == ["a", "b", "c"]
    assert statuses(out) == dict.fromkeys(("a.png", "b.png", "c.png"), "skipped")
    assert table(out)["a.png"]["output"] == str(out / "a.wav")
    (out / "b.wav").unlink()
    assert copy(photos, out)[3:] == ["b"]
    Image.new("RGB", (9, 9)).save(photos / "c.png")
    assert copy(photos, out)[4:] == ["c"]
    assert (out / "c.wav").read_bytes() == (photos / "c.png").read_bytes()
    assert copy(photos, out, num_variants=2)[5:] == ["a", "b", "c"]
    assert copy(photos, out)[8:] == ["a", "b", "c"], "the second variants are known to be its own"
    assert copy(photos, out, overwrite=True)[11:] == ["a", "b", "c"]


def test_a_done_input_is_known_when_another_of_its_name_comes(photos, tmp_path):
    out = tmp_path / "out"
    copy(photos, out)
    Image.new("RGB", (8, 8)).save(photos / "a.jpg")
    (name,) = copy(photos, out)[3:]
    assert re.fullmatch("a_[0-9a-f]{10}", name)
    assert statuses(out)["a.png"] == "skipped"


def test_what_fails_stops_nothing_is_told_of_and_tried_again(photos, tmp_path, capsys):
    out = tmp_path / "out"
    (photos / "a.mp4").write_text("no video")
    add(photos, "b unsaveable.png")
    with pytest.raises(ValueError, match=r"^2 of 5 inputs failed; see .*predictions.csv$"):
        copy(photos, out)
    printed = capsys.readouterr().out
    assert "3 done, 0 skipped, 2 failed" in printed
    assert printed.index("Failed: ") < printed.index("5 inputs")
    assert "No space left on device" in table(out)["b unsaveable.png"]["reason"]
    assert "a.mp4 is not a readable video" in table(out)["a.mp4"]["reason"]
    assert not list(out.glob("*unsaveable*")), "nothing half done is left"
    assert {path.suffix for path in (out / "records").iterdir()} == {".json"}
    (photos / "a.mp4").unlink()
    (photos / "b unsaveable.png").rename(photos / "e.png")
    assert copy(photos, out)[-1] == "e"
    with pytest.raises(ValueError, match="1 of 2 inputs failed"):
        copy([photos / "a.png", photos / "gone.png"], out)
    assert "There is no file" in table(out)["gone.png"]["reason"]


def test_an_error_of_any_kind_while_saving_stays_with_its_input(photos, tmp_path):
    add(photos, "b odd.png")
    with pytest.raises(ValueError, match="1 of 4 inputs failed"):
        copy(photos, tmp_path / "out")
    assert table(tmp_path / "out")["b odd.png"]["reason"] == "AttributeError: no codec"
    assert not list((tmp_path / "out").glob("*odd*"))


def test_a_folder_that_cannot_be_written_to_is_known_before_the_work(photos, tmp_path, monkeypatch):
    refuse = Mock(side_effect=PermissionError(13, "Permission denied"))
    monkeypatch.setattr("pipelines.input_records.tempfile.TemporaryFile", refuse)
    with pytest.raises(ValueError, match="3 of 3 inputs failed"):
        copy(photos, tmp_path / "out")
    reasons = {row["reason"] for row in table(tmp_path / "out").values()}
    (reason,) = reasons
    assert (
        reason == f"{tmp_path / 'out'} cannot be written to (Permission denied); give another --predictions.output_dir."
    )
    assert not (tmp_path / "out.log").exists(), "nothing was worked on"


@pytest.mark.parametrize("num_put_in_place", [0, 1])
def test_a_call_that_was_killed_among_its_outputs_goes_on(photos, tmp_path, monkeypatch, num_put_in_place):
    out, path = tmp_path / "out", photos / "a.png"
    records = InputRecords(out, {})
    assert records.start(path, "a") is None
    moves = iter([*[os.replace] * (1 + num_put_in_place), None])  # the record, the outputs; and then the end
    monkeypatch.setattr(os, "replace", lambda *paths: next(moves)(*paths))
    with pytest.raises(TypeError):
        records.end(path, [Copied(path, "a", 2)])
    monkeypatch.undo()
    assert len(list(out.glob("a*"))) == num_put_in_place
    assert list((out / "records").glob("a-*.lock"))
    records.release()
    assert copy(photos, out, num_variants=2) == ["a", "b", "c"]
    assert set(statuses(out).values()) == {"done"}
    assert {file.suffix for file in (out / "records").iterdir()} == {".json"}


def test_what_another_process_works_on_is_skipped(photos, tmp_path):
    out = tmp_path / "out"
    records = InputRecords(out, {})
    records.start(photos / "b.png", "b")
    assert copy(photos, out) == ["a", "c"]
    assert (statuses(out)["b.png"], statuses(out)["c.png"]) == ("skipped", "done")
    assert f"in work by process {os.getpid()}" in table(out)["b.png"]["reason"]
    records.release()
    assert copy(photos, out) == ["a", "c", "b"]


@pytest.mark.parametrize(("name", "error"), [("stopped", SystemExit), ("out of memory", torch.OutOfMemoryError)])
def test_a_stop_and_a_full_memory_end_the_call_and_leave_no_lock(photos, tmp_path, name, error, capsys):
    out = tmp_path / "out"
    add(photos, f"{name}.png")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(error):
        copy([photos / "a.png", photos / f"{name}.png", photos / "b.png"], out)
    signal.signal(signal.SIGINT, handler)  # Lightning lets a second Ctrl-C pass
    assert ("Stopped after 1 of 3 inputs." in capsys.readouterr().out) == (name == "stopped")
    assert {path.suffix for path in (out / "records").iterdir()} == {".json"}
    (photos / f"{name}.png").unlink()
    assert copy(photos, out) == ["a", name, "b", "c"]


def test_no_file_is_replaced_that_was_not_made_from_the_input(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mp4").write_text("precious")
    (out / "b.html").write_text("precious")
    with pytest.raises(ValueError, match="2 of 3 inputs failed"):
        copy(photos, out)
    assert "a.mp4 is there already and was not made from" in table(out)["a.png"]["reason"]
    assert "--predictions.overwrite true" in table(out)["b.png"]["reason"]
    assert copy(photos / "c.png", out) == ["b", "c"], "of a it is known before the work"
    assert ((out / "a.mp4").read_text(), (out / "b.html").read_text()) == ("precious", "precious")
    assert not (out / "b.wav").exists()
    copy(photos, out, overwrite=True)
    assert (out / "b.html").read_text() != "precious"


def test_an_output_that_was_changed_by_hand_is_neither_done_nor_replaced(photos, tmp_path, capsys):
    out = tmp_path / "out"
    copy(photos, out)
    (out / "b.wav").write_text("mastered by hand")
    for num_variants in (1, 2):
        with pytest.raises(ValueError, match="1 of 3 inputs failed"):
            copy(photos, out, num_variants=num_variants)
        assert "b.wav is there already and was not made from" in table(out)["b.png"]["reason"]
        assert (out / "b.wav").read_text() == "mastered by hand"
    assert "a.png is done again, and its outputs are replaced: model.num_variants: 1 → 2" in capsys.readouterr().out


def test_an_input_whose_output_was_replaced_is_done_again(photos, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    copy(photos / "a.png", out)
    other.mkdir()
    Image.new("RGB", (20, 20)).save(other / "a.png")
    with pytest.raises(ValueError, match="1 of 1 inputs failed"):
        copy(other / "a.png", out)
    copy(other / "a.png", out, overwrite=True)
    assert (out / "a.wav").read_bytes() == (other / "a.png").read_bytes()
    with pytest.raises(ValueError, match="1 of 1 inputs failed"):
        copy(photos / "a.png", out)
    assert "was not made from" in table(out)["a.png"]["reason"]


def test_an_input_in_the_folder_for_the_outputs_is_refused(photos, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(photos)
    for out in (photos, link):
        with pytest.raises(ValueError, match="3 of 3 inputs failed"):
            copy(photos, out, overwrite=True)
        assert "is in the folder for the outputs" in table(out)["a.png"]["reason"]
    assert not list(photos.glob("*.wav"))


def test_the_screen_shows_twenty_rows_and_always_the_failed_ones(photos, tmp_path, capsys):
    for number in range(30):
        add(photos, f"d{number}.png")
    (photos / "z.mp4").write_text("no video")
    with pytest.raises(ValueError, match="1 of 34 inputs failed"):
        copy(photos, tmp_path / "out")
    shown = capsys.readouterr().out.split("34 inputs")[1]
    assert "z.mp4" in shown
    assert shown.count("done") == 19 + 1  # and the line below
    assert "33 done, 0 skipped, 1 failed" in shown


def test_names_that_are_no_text_are_no_obstacle(photos, tmp_path):
    odd = os.fsencode(photos / "a.png").replace(b"a.png", b"\xff[red] \xe9.png")
    shutil.copy(photos / "a.png", odd)
    assert copy(photos, tmp_path / "out")[3].startswith("[red] _")
    assert b"\xff[red]" in (tmp_path / "out/predictions.csv").read_bytes()
