"""The arguments after `python cli.py`: names of configs, the command that resumes, and mistakes in options."""

import difflib
import json
import re
import shlex
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from pydoc import locate

import yaml
from jsonargparse import ArgumentParser

from runtime.program import PROGRAM
from runtime.systems import CONFIGS, list_systems

NAMES = re.compile(r"--(?:data|model)(?:\.init_args)?\.(?:inputs|classes)\+?(?==|$)")  # options for names
CONFIG_OPTIONS = ("--config", "-c")
FRAME = ("Parser key ", "Does not validate", "Subtypes:", "Errors:", "Problem with", "Expected a ", "Given value")


def find_configs(args: list[str], folder: Path = CONFIGS) -> list[str]:
    """Replaces bare config names by paths.

    A name that is no file here is searched for in `folder`. An overlay that differs between systems is a folder
    there: `--config vqvae.yaml --config demo.yaml` finds `configs/demo/vqvae.yaml`, named after the first config.

    Raises:
        FileNotFoundError: if a config is found nowhere; the message lists the existing ones.
    """
    found: list[str] = []
    system = None
    for before, arg in pairwise(["", *args]):
        prefix, name = ("--config=", arg[9:]) if arg.startswith("--config=") else ("", arg)
        if prefix or before in CONFIG_OPTIONS:
            path = _find_config(name, system, folder)
            system = system or path.name
            arg = f"{prefix}{path}"
        found.append(arg)
    return found


def _find_config(name: str, system: str | None, folder: Path) -> Path:
    overlays = folder / Path(name).stem
    candidates = [Path(name), folder / name, *([overlays / system] if system else [])]
    if path := next(filter(Path.is_file, candidates), None):
        return path
    if not system and overlays.is_dir():
        raise FileNotFoundError(f"{name} comes after a system's config: --config vqvae.yaml --config {name}")
    known = sorted({f"{path.stem}.yaml" for path in folder.iterdir() if path.is_dir() or path.suffix == ".yaml"})
    raise FileNotFoundError(
        f"There is no config {name}: looked for {' and '.join(map(str, candidates))}. Shipped configs: "
        f"{', '.join(known)}."
    )


def quote_names(args: list[str]) -> list[str]:
    """Quotes names of files and classes that YAML would misread, such as `#cat.mp4`, `a: b.mp4`, `1` or `no`.

    A list stays a list, unless there is a file of that name.
    """
    parts = [part for arg in args for part in (arg.split("=", 1) if NAMES.match(arg) else [arg])]
    pairs = pairwise(["", *parts])
    return [_quote(part, before) if NAMES.match(before) and part[:2] != "--" else part for before, part in pairs]


def _quote(value: str, option: str) -> str:
    if value.startswith("[") and not Path(value).is_file():
        with suppress(yaml.YAMLError):
            names = yaml.load(value, yaml.BaseLoader)
            if all(isinstance(name, str) for name in names):
                return json.dumps(names, ensure_ascii=False)
    return value if value == "null" or ".classes" in option else json.dumps([value], ensure_ascii=False)


def fit_command(typed: list[str], options: tuple[str, ...] = ()) -> str:
    """Writes the command of a fit with the typed options, without `--fresh`, which is for one start only.

    Args:
        typed: subcommand and its options.
        options: names and values in turn, which replace those that were typed.
    """
    replaced = {"--fresh", *options[::2]}
    kept = [
        arg
        for before, arg in pairwise(typed)
        if arg.split("=")[0] not in replaced and (before not in replaced or arg.startswith("--"))
    ]
    return f"{PROGRAM} {shlex.join(['fit', *kept, *options])}"


def with_overlays(message: str, typed: list[str], folder: Path = CONFIGS) -> str:
    """Completes an error that ends with the fit of a system by the typed options that belong to this fit as well.

    Otherwise a user of the compact models would fit the full-size ones.
    """
    if not (fit := re.search(rf"{PROGRAM} fit (?:--fresh )?--config (\w+\.yaml)$", message)):
        return message
    words = [word for arg in typed for word in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    kept = [
        f"{option} {shlex.quote(value)}"
        for option, value in pairwise(words)
        if option == "--data.root" or (option in CONFIG_OPTIONS and (folder / Path(value).stem / fit[1]).is_file())
    ]
    return " ".join([message, *kept])


def short_error(message: str) -> str:
    """Condenses the parser's explanation into one line: the option, the expected values and the one that was found."""
    which_system = f"Which system? Add --config with one of {', '.join(path.name for path in list_systems())}."
    if "required: " in message and ".model" in message:
        return which_system
    if "subcommand" in message:
        return f"Expected {PROGRAM}, then fit, validate, test, predict or doctor. ({_in_one_line(message)})"
    if refused := re.findall(r"class_path '([\w.]+)':\s+Option '([\w.]+)' is not accepted", message):
        class_path, option = refused[-1]
        if class_path.startswith("lightning."):
            return which_system
        return f"{class_path} has no option {option!r}.{_did_you_mean(option, class_path)}"
    paths = message.lower().startswith("unrecognized arguments: ") and message.split()[2:]
    if paths and all(Path(path).exists() for path in paths):
        return f'Several inputs were given, expected a folder, or a list: "[{paths[0]},…]". ({message})'
    innermost = re.search(r'.*Parser key "([^"]+)":(.*)', message, flags=re.DOTALL)
    key, inner = innermost.groups() if innermost else ("", message)
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    reasons = [line for line in lines if line and not line.startswith(FRAME)]
    if reasons and any(line.startswith(FRAME) for line in lines):
        return _in_one_line(": ".join(filter(None, [key, " ".join(reasons)])))
    expected = re.findall(r"Expected a (<.+>|typing.+\])", inner)
    values = re.findall(r"(?:Given|Got) value: (.+)", inner)
    if not (expected and values):
        return _in_one_line(message)
    a_list = "['…']" if values[0].startswith(("[", "{")) else f"[{values[0]}]"
    kinds = [f'a list: "{a_list}"' if kind == "list" else kind for kind in map(_readable, expected)]
    return f"{key} is {values[0]}, expected {' or '.join(kinds)}."


def _did_you_mean(option: str, class_path: str) -> str:
    known = ArgumentParser().add_class_arguments(locate(class_path), fail_untyped=False)
    near = difflib.get_close_matches(option, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else f" It has: {', '.join(known)}."


def _readable(expected: str) -> str:
    if literal := re.fullmatch(r"typing\.Literal\[(.+)\]", expected):
        return literal[1].replace("'", "")
    return expected.split("'")[1].rpartition(".")[2].replace("NoneType", "null")


def _in_one_line(message: str) -> str:
    return " ".join(message.split())
