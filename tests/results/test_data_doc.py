"""What docs/data.md says of the data is what the manifest lists, and its commands are those that there are."""

import re
import shlex
from pathlib import Path

import pytest

from results import arrange, manifest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m results\.(\w+) (.+)$", PAGE, flags=re.MULTILINE)


def of(kind: str, label: str, part: str = "") -> list[manifest.Entry]:
    entries = manifest.read_manifest(manifest.MANIFEST)
    return [e for e in entries if (e.kind, e.label) == (kind, label) and part in ("", e.part)]


@pytest.mark.parametrize(("label", "plural"), [("cat", "cats"), ("dog", "dogs")])
def test_counts_and_lengths(label: str, plural: str) -> None:
    sounds, photos = of("sounds", label), of("photos", label)
    seconds = sum(float(entry.seconds) for entry in sounds)
    assert re.search(rf"\b{len(sounds)} of {plural} \({seconds:.0f} s\)", PAGE)
    assert re.search(rf"\b{len(photos)} of {plural}", PAGE)
    (row,) = re.findall(rf"^\| {label} \|(.+)\|$", PAGE, flags=re.MULTILINE)
    for part, cell in zip(("train", "val", "test"), row.split("|"), strict=True):
        names = [Path(entry.file).stem for entry in of("sounds", label, part)]
        count, first, last = re.fullmatch(r"(\d+) \(`(\w+)` to `(\w+)`\)", cell.strip()).groups()
        assert (int(count), first) == (len(names), names[0])
        assert names[-1].endswith(last)


def test_columns_are_explained() -> None:
    _, table = PAGE.split("| column of the manifest")
    assert re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", table, flags=re.MULTILINE))) == manifest.COLUMNS


@pytest.mark.parametrize(("module", "options"), COMMANDS)
def test_commands_have_these_options(module: str, options: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        {"arrange": arrange, "manifest": manifest}[module].main([*shlex.split(options), "--help"])
    known = capsys.readouterr().out
    assert all(option in known for option in shlex.split(options) if option.startswith("--"))


def test_links_within_the_project_lead_somewhere() -> None:
    targets = [target.partition("#")[0] for target in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGE)]
    assert targets
    assert all((ROOT / "docs" / target).exists() for target in targets)


def test_no_breed_of_the_test_photos_is_in_training() -> None:
    breeds = {
        (label, part): {re.sub(r"_\d+$", "", Path(entry.file).stem) for entry in of("photos", label, part)}
        for label in ("cat", "dog")
        for part in ("train", "test")
    }
    assert all(not breeds[label, "train"] & breeds[label, "test"] for label in ("cat", "dog"))
    found = re.search(r"none of the (\d+)\s+breeds of cats and (\d+) of dogs in the test", PAGE).groups()
    assert tuple(map(int, found)) == (len(breeds["cat", "test"]), len(breeds["dog", "test"]))
