import os
from pathlib import Path

import pytest

from cli import CONFIGS, find_configs, has_wandb_account


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


@pytest.fixture
def no_account(monkeypatch, tmp_path) -> Path:
    """No key anywhere; gives the path of the netrc file."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path / ".netrc"


def write_netrc(path: Path, content: str) -> None:
    path.write_text(content)
    os.chmod(path, 0o600)


def test_a_new_machine_has_no_account(no_account):
    assert not has_wandb_account()


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"])
def test_a_key_in_the_environment_is_an_account(no_account, monkeypatch, name):
    monkeypatch.setenv(name, "")
    assert not has_wandb_account()
    monkeypatch.setenv(name, "x")
    assert has_wandb_account()


def test_a_login_is_an_account(no_account):
    write_netrc(no_account, "machine github.com login a password b\n")
    assert not has_wandb_account()
    write_netrc(no_account, "machine api.wandb.ai login user password key\n")
    assert has_wandb_account()


def test_a_login_in_a_file_of_another_name_is_an_account(no_account, tmp_path, monkeypatch):
    write_netrc(tmp_path / "mine", "machine api.wandb.ai login user password key\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "mine"))
    assert has_wandb_account()


def test_a_file_that_cannot_be_understood_is_no_account(no_account):
    write_netrc(no_account, "what is this\n")
    assert not has_wandb_account()
