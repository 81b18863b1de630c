import importlib
import sys
from pathlib import Path

import pytest

from pipelines.evaluation.program_digest import PROJECT, digest_of_program

FILES = {
    "makers/__init__.py": "from makers.tone import LEVEL, tone\nfrom makers.other import other\n",
    "makers/tone.py": 'LEVEL = 2\n\n\ndef tone():\n    """A tone."""\n    return LEVEL  # loud\n',
    "makers/other.py": "def other():\n    return 3\n",
    "makers/generator.py": "import json\nfrom makers import tone\n\n\ndef make():\n    return tone()\n",
}


@pytest.fixture
def makers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a package, with some files in another version or place, and gives the digest of its generator."""

    def digest(**changed: str) -> str:
        for name in [name for name in sys.modules if name.split(".")[0] == "makers"]:
            del sys.modules[name]
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in (FILES | {f"makers/{name}.py": text for name, text in changed.items()}).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(root)
            importlib.import_module("makers.generator")
        return digest_of_program(["makers.generator"], root)

    yield digest
    for name in [name for name in sys.modules if name.split(".")[0] == "makers"]:
        del sys.modules[name]


def test_a_makers_code_changes_the_digest_and_a_comment_does_not(makers):
    tone, before = FILES["makers/tone.py"], makers()
    assert makers() == before
    assert makers(tone=tone.replace("# loud", "# very loud").replace("A tone.", "A tone, in short.")) == before
    assert makers(tone=tone.replace("LEVEL = 2", "LEVEL = 3")) != before
    assert makers(generator=FILES["makers/generator.py"].replace("tone()", "tone() + 1")) != before


def test_only_what_is_imported_counts_wherever_it_is(makers):
    before = makers()
    assert makers(other="def other():\n    return 4\n") == before, "the package exports it, but nothing here uses it"
    moved = {"__init__": "from makers.deep import tone\n", "tone": "", "deep": FILES["makers/tone.py"]}
    louder = moved | {"deep": moved["deep"].replace("LEVEL = 2", "LEVEL = 3")}
    assert makers(**moved) != makers(**louder)


def test_packages_installed_below_the_root_are_no_part_of_it(makers, tmp_path):
    packages = tmp_path / ".venv/lib/python3/site-packages"
    (packages / "makers").mkdir(parents=True)
    (packages / "makers/tone.py").write_text(FILES["makers/tone.py"])
    makers()
    sys.modules["makers.tone"].__file__ = str(packages / "makers/tone.py")
    before = digest_of_program(["makers.generator"], tmp_path)
    (packages / "makers/tone.py").write_bytes(b"compiled\0")
    assert digest_of_program(["makers.generator"], tmp_path) == before


def test_all_that_makes_sound_is_found(monkeypatch):
    parsed = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: parsed.append(path) or read_bytes(path))
    digest_of_program(["pipelines.sound_generator"])
    found = {path.relative_to(PROJECT).as_posix() for path in parsed}
    assert {
        "media/sound/geometry.py",
        "media/sound/grain.py",
        "media/sound/griffin_lim.py",
        "media/sound/phase_gradient.py",
        "media/sound/spectrogram.py",
        "networks/codec/codec.py",
        "networks/codec/quantizer.py",
        "networks/codec/vqvae2.py",
        "networks/prior/best_of_n.py",
        "networks/prior/incremental.py",
        "networks/prior/sampling.py",
        "networks/prior/transformer.py",
        "pipelines/generator.py",
    } < found
    assert not any(name.startswith(("networks/vision", "media/video", "lightning_modules")) for name in found)
