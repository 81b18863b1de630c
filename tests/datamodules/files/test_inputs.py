import re
from pathlib import Path

import pytest

from datamodules.files.inputs import Inputs, _Share, list_inputs, output_names


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ("a.mp4 b.mp4", "a b"),
        ("a.mp4 a.MOV b.mp4", "- - b"),
        ("a.mp4 A.mov", "- -"),
        ("x/a.mp4 y/a.mp4 c.mp4", "- - c"),
        ("m\u0301.mp4 \u1e3f.mov", "- -"),
        ("a.mp4 a_v2.mp4 b_v2.mp4", "a - b_v2"),
        ("A.mp4 a_V2.mp4", "A -"),
        ("a.mp4 a_v2.mp4 a_v2_v3.mp4", "a - -"),
        ("a", "a"),
    ],
)
def test_a_name_is_the_stem_and_a_hash_only_if_another_input_or_its_variant_has_the_same(files, kept):
    paths = [Path("/f") / file for file in files.split()]
    names = output_names(paths)
    for path, name, stem in zip(paths, names, kept.split(), strict=True):
        assert name == stem or (stem == "-" and re.fullmatch(re.escape(path.stem) + "_[0-9a-f]{10}", name))
    assert names == output_names(paths), "a hash does not depend on the call"
    assert output_names(paths[::-1]) == names[::-1]


def test_a_file_with_the_hashed_name_of_another_gets_a_name_of_its_own():
    twins = [Path("/x/a.mp4"), Path("/y/a.mp4")]
    hashed = output_names(twins)[0]
    for thief in (hashed, hashed.upper(), f"{hashed}_v2"):
        names = output_names([*twins, Path(f"/z/{thief}.mp4")])
        assert len({name.lower().removesuffix("_v2") for name in names}) == 3


def test_names_are_unique_and_short_enough_for_a_file():
    paths = [Path(f"/{top}/{folder}/{'ü' * 122}{kind}") for top in "ab" for folder in "cd" for kind in (".mp4", ".mov")]
    names = output_names(paths)
    assert len(set(names)) == 8
    assert max(len(name.encode()) for name in names) < 200
    assert len(set(output_names([Path(f"/{top}/c/clip.mp4") for top in "abc"]))) == 3


def test_two_processes_share_every_input_between_them():
    inputs = Inputs([Path(f"{name}.wav") for name in "abc"], lambda path, name: path)
    for num_processes in (2, 5):
        shares = [_Share(inputs, num_processes, rank) for rank in range(num_processes)]
        assert sorted(index for share in shares for index in share) == [0, 1, 2]
        assert [len(list(share)) for share in shares] == [len(share) for share in shares]


def test_sounds_of_a_folder_are_listed_in_natural_order_and_others_counted(tmp_path, capsys):
    for name in ("b_10.WAV", "b_2.wav", "notes.md", ".hidden.wav"):
        (tmp_path / name).touch()
    assert [path.name for path in list_inputs(str(tmp_path), {".wav"}, "sound")] == ["b_2.wav", "b_10.WAV"]
    assert "1 of the 3 files in" in (printed := capsys.readouterr().out)
    assert "are left out, expected sound" in printed
    with pytest.raises(FileNotFoundError, match="There is no photo in the folder"):
        list_inputs(str(tmp_path), {".png"}, "photo")


def test_an_error_while_opening_stays_with_its_input(tmp_path):
    (tmp_path / "a.wav").touch()
    inputs = Inputs([tmp_path / "a.wav"], lambda path, name: 1 / 0)
    assert (inputs[0].name, inputs[0].reason) == ("a", "ZeroDivisionError: division by zero")
