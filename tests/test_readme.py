"""What README and docs say is typed here as it stands there: commands, options, files and figures."""

import functools
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import Namespace

import cli
from cli_arguments import CONFIGS
from networks import build
from runtime import doctor
from runtime.precision import Device

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = "\n".join([README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))])
PROSE = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
ONLY_WITH_A_SUBCOMMAND = {"config", "ckpt_path"}


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every shell command of README and docs once, those of notebook cells too."""
    shell = [line for language in ("bash", "powershell") for block in blocks(language) for line in block.splitlines()]
    cells = [line[1:] for block in blocks("ipython") for line in block.splitlines() if line.startswith("!")]
    return list(dict.fromkeys([*shell, *cells]))


DOCTOR_COMMANDS = [command for command in commands() if command.startswith("python cli.py doctor")]
CLI_COMMANDS = [c for c in commands() if c.startswith("python cli.py") and c not in DOCTOR_COMMANDS]
OTHER_COMMANDS = [command for command in commands() if not command.startswith("python cli.py")]


@functools.cache
def parsed(*args: str) -> Namespace:
    """The configuration that the command line gives, types checked; no object is made, nothing runs or is written."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "find_device", lambda accelerator: Device("cpu", "CPU", True))
        patch.setattr(cli.Video2AudioCLI, "instantiate_classes", lambda self: None)
        patch.chdir(folder)
        config = cli.main(list(args), run=False).config
        assert list(Path(folder).iterdir()) == []
        return config


def test_there_are_commands_to_check() -> None:
    assert len(CLI_COMMANDS) > 20
    assert {"make demo", "make test"} <= set(OTHER_COMMANDS)


@pytest.mark.parametrize("command", CLI_COMMANDS)
def test_a_command_of_the_project_is_parsed(command: str) -> None:
    subcommand, *args = shlex.split(command)[2:]
    assert subcommand in cli.Video2AudioCLI.subcommands()
    if "--ckpt_path" in args:
        place = args.index("--ckpt_path")
        del args[place : place + 2]
    if args[-1] == "--print_config":
        with pytest.raises(SystemExit, match="0"):
            parsed(*args)
    else:
        assert parsed(*args).model


@pytest.mark.parametrize("command", DOCTOR_COMMANDS)
def test_the_doctor_knows_the_options_that_it_is_asked_with(command: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        doctor.main([*shlex.split(command)[3:], "--help"], build=None)


def test_every_option_in_the_text_exists() -> None:
    known = set(ONLY_WITH_A_SUBCOMMAND)
    for path in CONFIGS.glob("*.yaml"):
        args = ("--data.inputs", "clip.mp4") if path.stem == "video2audio" else ()
        known |= {name.replace("init_args.", "") for name in parsed("--config", path.name, *args).keys(branches=True)}
    options = set(re.findall(r"`--([\w.]+)", PROSE))
    assert len(options) > 15
    assert options <= known, options - known


@pytest.mark.parametrize("command", OTHER_COMMANDS)
def test_any_other_command_names_what_exists(command: str) -> None:
    program, *args = shlex.split(command.replace("\\", "/"))
    if program == "make":
        assert args
        assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in args)
    elif program in ("git", "cp"):
        assert "YOUR_" in command
    elif program in ("pip", "wandb"):
        assert program == "pip" or re.search(r"^wandb", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    else:
        name = Path(program).name
        assert name in ("python", "python3", "ruff")
        assert name != "ruff" or args in (["check", "."], ["format", "--check", "."])
        assert name == "ruff" or (args[0], args[1]) in {
            ("-m", module) for module in ("venv", "pip", "demo", "pytest", "benchmarks")
        } | {
            ("-m", f"{package}.{module}")
            for package, modules in {
                "benchmarks": ("perplexity", "timing", "inverse"),
                "results": ("arrange", "manifest", "pictures", "cost"),
            }.items()
            for module in modules
        }
    for name in args:
        if name.startswith(("requirements", "tests/")):
            assert (ROOT / name).exists(), name


def test_the_plain_commands_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin").replace("$(PYTHON)", "python3")
    recipes = {line.strip() for line in makefile.splitlines() if line.startswith("\t")} - {"touch $@"}
    assert recipes <= set(OTHER_COMMANDS)


def test_files_and_folders_in_the_text_exist() -> None:
    made = (
        "outputs/",
        "checkpoints/",
        "cache/",
        "logs/",
        "data/",
        "path/",
        "wandb_id.txt",
    )  # by the commands, or the user's own
    figures = ("train/", "val/", "trainer/")
    names = re.findall(r"`([\w.-]+(?:/[\w.-]*)+|LICENSE|[\w-]+\.(?:txt|py))`", PROSE)
    names += re.findall(r"\]\((?!https?:|#)([^)#]+)", PROSE)
    names += re.findall(r"^([\w.]+/|cli\.py) ", blocks("text")[-1], flags=re.MULTILINE)
    names = [name for name in names if not name.startswith((*made, *figures))]
    assert len(names) > 12
    missing = [name for name in names if not (ROOT / name).exists()]
    assert not missing


def test_links_within_the_readme_lead_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", PROSE, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PROSE)) <= anchors


@pytest.mark.parametrize("snippet", blocks("python"))
def test_python_is_python_and_imports_what_exists(snippet: str) -> None:
    compile(snippet, "README.md", "exec")
    for line in snippet.splitlines():
        if re.match(r"from (lightning_modules|media)|import cli", line):
            exec(line, {})


def test_the_weights_are_those_of_the_configs() -> None:
    names = {
        "VQ-VAE-2": "vqvae",
        "Top prior": "top",
        "Bottom prior": "bottom",
        "ResNet-50, two classes": "classifier",
    }
    for name, system in names.items():
        description = yaml.safe_load((CONFIGS / f"{system}.yaml").read_text())["model"]["init_args"]["network"]
        with torch.device("meta"):
            network = build(description)
        (row,) = re.findall(rf"^\| {name} \|.*\| ([\d,]+) \| [\d,]+ \|$", PROSE, flags=re.MULTILINE)
        assert row == f"{sum(parameter.numel() for parameter in network.parameters()):,}"


def test_the_defaults_in_the_table_are_those_of_the_config() -> None:
    config = parsed("--config", "video2audio.yaml", "--data.inputs", "clip.mp4")
    rows = re.findall(r"^\| `--([\w.]+)` \| ([^ |]+) \|", PROSE, flags=re.MULTILINE)
    assert len(rows) > 8
    for option, default in rows:
        value = config[re.sub(r"^(model|data)\.", r"\1.init_args.", option)]
        shown = str(value).replace("'", "").lower() if isinstance(value, bool | list) else str(value)
        assert default in (
            {"null"} if value is None else {shown, f"{value:g}" if isinstance(value, float) else shown}
        ), option


@pytest.mark.slow
def test_a_fresh_clone_installs_itself_and_runs_the_demo(tmp_path: Path) -> None:
    clone = tmp_path / "video2audio"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    subprocess.run(["make", "demo", f"PYTHON={sys.executable}"], cwd=clone, check=True)
    (table,) = re.findall(r"^\| file \|.*?\n\n", README, flags=re.DOTALL | re.MULTILINE)
    results = re.findall(r"^\| `([^`]+)`", table, flags=re.MULTILINE)
    assert "outputs/demo.mp4" in results
    assert all((clone / result).exists() for result in results)
