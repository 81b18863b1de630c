import shlex
from pathlib import Path

import pytest
import yaml

import cli
from cli_arguments import find_configs, fit_command, quote_names, with_overlays
from runtime.systems import CONFIGS


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
    with pytest.raises(FileNotFoundError, match=r"no config vae.yaml.*: demo.yaml, top.yaml, vqvae.yaml\."):
        find_configs(args, folder)


def test_an_overlay_that_the_system_lacks_is_named(folder):
    (folder / "demo/top.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"no config demo.yaml.*demo/top.yaml"):
        find_configs(["--config", "top.yaml", "--config", "demo.yaml"], folder)


def test_the_shipped_configs_are_found_from_anywhere(folder):
    assert find_configs(["--config", "vqvae.yaml"]) == ["--config", str(CONFIGS / "vqvae.yaml")]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["test", "--config", "video2audio.yaml"], ""),
        (["test", "--config", "video2audio.yaml", "--config", "compact.yaml"], " --config compact.yaml"),
        (
            ["fit", "--config=top.yaml", "--config=demo.yaml", "--data.root=my data"],
            " --config demo.yaml --data.root 'my data'",
        ),
        (["fit", "--config", "top.yaml", "--config", "mine.yaml", "--trainer.max_steps", "2"], ""),
    ],
)
def test_the_fit_that_makes_a_missing_checkpoint_has_the_overlays_that_were_typed(typed, expected):
    message = "There is no checkpoint best.ckpt. Make it with: python cli.py fit --config vqvae.yaml"
    assert with_overlays(message, typed) == message + expected
    fresh = message.replace("fit --config", "fit --fresh --config")
    assert with_overlays(fresh, typed) == fresh + expected
    assert with_overlays("There is no folder.", typed) == "There is no folder."


def test_an_overlay_alone_is_reported_with_its_place(folder):
    with pytest.raises(FileNotFoundError, match=r"demo.yaml comes after a system's config: --config vqvae.yaml"):
        find_configs(["fit", "--config", "demo.yaml"], folder)


@pytest.mark.parametrize(
    ("typed", "options", "expected"),
    [
        (["fit", "--config", "a.yaml"], (), "--config a.yaml"),
        (["fit", "--fresh", "true", "--config", "a.yaml"], (), "--config a.yaml"),
        (["fit", "--fresh", "--config", "a.yaml"], (), "--config a.yaml"),
        (["fit", "--fresh=true", "--config", "a.yaml"], (), "--config a.yaml"),
        (["fit", "--config", "a.yaml", "--fresh"], (), "--config a.yaml"),
        (["fit", "--steps", "4", "--config", "a b.yaml"], ("--steps", "8"), "--config 'a b.yaml' --steps 8"),
        (["fit", "--steps=4", "--config", "a.yaml"], ("--steps", "8"), "--config a.yaml --steps 8"),
        (["predict", "--config", "a.yaml"], (), "--config a.yaml"),
    ],
)
def test_the_command_that_resumes(typed, options, expected):
    assert fit_command(typed, options) == f"python cli.py fit {expected}"


VQVAE = "fit --config vqvae.yaml"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (f"{VQVAE} --data.bath_size 4", "datamodules.SpectrogramDataModule has no option 'bath_size'.*'batch_size'?"),
        (f"{VQVAE} --model.network.num_code 4", "networks.VQVAE2 has no option 'num_code'.*'num_codes'?"),
        (f"{VQVAE} --data.colour red", "has no option 'colour'. It has: .*root, .*seed"),
        (f"{VQVAE} --data.batch_size abc", "batch_size is abc, expected int"),
        (f"{VQVAE} --data.batch_size 0", "batch_size is 0, expected 1 or more"),
        (f"{VQVAE} --data.num_workers -1", "num_workers is -1, expected 0 or more"),
        (f"{VQVAE} --trainer.precision fp17", "trainer.precision is fp17, expected .*16-mixed.*bf16-mixed"),
        (f"{VQVAE} --modle.learning_rate 1", "unrecognized arguments: --modle.learning_rate"),
        ("predict --data.inputs a.mp4", "Which system\\? Add --config with one of vqvae.yaml, top.yaml"),
        ("predict --config video2audio.yaml --model.classes dog", 'classes is dog, expected .* a list: "\\[dog\\]"'),
        ("predict --config video2audio.yaml --data.inputs / /", 'Several inputs .* a list: "\\[/,…\\]"'),
        ("predict --config video2audio.yaml --model.photo_s -1", "photo_s is -1.*, expected 0.1 to"),
        ("predict --config video2audio.yaml --model.classes []", "classes is an empty list"),
        (
            "test --config video2audio.yaml --model.tagger metrics.YAMNet",
            "no yamnet.tflite. Get it from https:",
        ),
        (f"{VQVAE} --data.root 'a: b'", "root is {'a': 'b'}, expected str.$"),
        ("predict --config video2audio.yaml --model.classes '[dog'", "classes is \\[dog, .* a list: \"\\['…'\\]\".$"),
        (f"{VQVAE} --model.network networks.ResNet50", "^network: .*ResNet50 does not correspond to .* VQVAE2$"),
        (f"{VQVAE} --model nonsense.Class", "^model: No module named 'nonsense'$"),
        (f"{VQVAE} --trainer '[a'", "^trainer: .*did not find expected ',' or ']'"),
        (f"{VQVAE} --trainer.logger foo", "^trainer.logger is foo, expected null or .*bool.$"),
        ("fit", "Which system\\? Add --config with one of vqvae.yaml, top.yaml"),
        ("fiit", "then fit, validate, test, predict or doctor"),
        ("", "then fit, validate, test, predict or doctor"),
    ],
)
def test_a_mistake_is_reported_in_one_line(args, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=expected) as error:
        cli.main(shlex.split(args))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("#fyp #cat.mp4", ["#fyp #cat.mp4"]),
        ("What: is it.mp4", ["What: is it.mp4"]),
        ("clip.mp4", ["clip.mp4"]),
        ("[cat] a.mp4", ["[cat] a.mp4"]),
        ("C:\\films\\a.mp4", ["C:\\films\\a.mp4"]),
        *((name, [name]) for name in ("1", "1.5", "yes", "no", "on", "~", "2024-01-01", "{a: b}", "'a", "-a.mp4")),
        ("[1]", ["1"]),
        ("[yes, no, 'a b.mp4']", ["yes", "no", "a b.mp4"]),
        ("null", None),
    ],
)
def test_names_of_inputs_need_not_be_yaml(value, names):
    for args in (["--data.inputs", value], [f"--data.inputs={value}"], ["--data.init_args.inputs", value]):
        option, quoted = quote_names(args)
        assert option == args[0].split("=")[0]
        assert yaml.safe_load(quoted) == names


def test_names_of_classes_are_texts_and_other_arguments_stay():
    assert quote_names(["--model.classes", "[1, on]", "--seed", "[1]"]) == [
        "--model.classes",
        '["1", "on"]',
        "--seed",
        "[1]",
    ]
    assert quote_names(["--model.classes=cat", "--data.inputs", "--x"]) == [
        "--model.classes",
        "cat",
        "--data.inputs",
        "--x",
    ]


def test_a_file_whose_name_is_a_list_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "[1]").touch()
    assert quote_names(["--data.inputs", "[1]"]) == ["--data.inputs", '["[1]"]']
