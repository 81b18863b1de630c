from pathlib import Path

import pytest

from cli import CONFIGS, find_configs


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of configs, seen from an empty folder."""
    for name in ("vqvae.yaml", "top.yaml", "demo/vqvae.yaml", "demo/top.yaml"):
        (tmp_path / "configs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "configs" / name).touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "configs"


def test_a_bare_name_is_found_among_the_shipped_configs(folder):
    args = ["fit", "--config", "vqvae.yaml", "--trainer.max_steps", "3"]
    assert find_configs(args, folder) == ["fit", "--config", str(folder / "vqvae.yaml"), "--trainer.max_steps", "3"]


@pytest.mark.parametrize("system", ["vqvae", "top"])
def test_an_overlay_in_a_folder_is_that_of_the_first_config(folder, system):
    args = ["fit", "--config", f"{system}.yaml", "-c", "demo.yaml"]
    assert find_configs(args, folder)[2::2] == [str(folder / f"{system}.yaml"), str(folder / f"demo/{system}.yaml")]


def test_the_form_with_an_equals_sign(folder):
    args = ["fit", "--config=top.yaml", "--config=demo.yaml"]
    assert find_configs(args, folder) == [
        "fit",
        f"--config={folder / 'top.yaml'}",
        f"--config={folder / 'demo/top.yaml'}",
    ]


def test_a_file_that_exists_comes_first(folder):
    Path("vqvae.yaml").touch()
    assert find_configs(["--config", "vqvae.yaml"], folder) == ["--config", "vqvae.yaml"]
    absolute = str(folder / "top.yaml")
    assert find_configs(["--config", absolute, "--config", "demo.yaml"], folder)[1::2] == [
        absolute,
        str(folder / "demo/top.yaml"),
    ]


def test_other_arguments_are_left_alone(folder):
    args = ["fit", "--data.root", "vqvae.yaml", "--print_config", "top.yaml"]
    assert find_configs(args, folder) == args


@pytest.mark.parametrize("args", [["--config", "vae.yaml"], ["--config=vae.yaml"], ["-c", "vae.yaml"]])
def test_an_unknown_name_lists_those_that_exist(folder, args):
    with pytest.raises(FileNotFoundError, match=r"no config vae.yaml.*: demo.yaml, top.yaml, vqvae.yaml \("):
        find_configs(args, folder)


def test_an_overlay_that_the_system_lacks_is_named(folder):
    (folder / "demo/top.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"no config demo.yaml.*demo/top.yaml"):
        find_configs(["--config", "top.yaml", "--config", "demo.yaml"], folder)


def test_the_shipped_configs_are_found_from_anywhere(folder):
    assert find_configs(["--config", "vqvae.yaml"]) == ["--config", str(CONFIGS / "vqvae.yaml")]
