"""What is typed after `python cli.py`: names of configs, the command that goes on, and what is wrong with an option."""

import difflib
import importlib
import inspect
import re
import shlex
from itertools import pairwise
from pathlib import Path

from runtime.program import PROGRAM
from runtime.systems import CONFIGS, list_systems


def find_configs(args: list[str], folder: Path = CONFIGS) -> list[str]:
    """Arguments in which bare config names have become paths.

    A name that is no file here is looked for in `folder`. An overlay that differs from system to system is a folder
    there: `--config vqvae.yaml --config demo.yaml` finds `configs/demo/vqvae.yaml`, named after the first config.

    Raises:
        FileNotFoundError: where a config is found nowhere; the message lists those that exist.
    """
    found, system, is_value = [], None, False
    for arg in args:
        prefix, name = ("--config=", arg[9:]) if arg.startswith("--config=") else ("", arg)
        if prefix or is_value:
            path = _find_config(name, system, folder)
            system = system or path.name
            found.append(f"{prefix}{path}")
        else:
            found.append(arg)
        is_value = arg in ("--config", "-c")
    return found


def _find_config(name: str, system: str | None, folder: Path) -> Path:
    candidates = [Path(name), folder / name]
    if system:
        candidates.append(folder / Path(name).stem / system)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not system and (folder / Path(name).stem).is_dir():
        raise FileNotFoundError(f"{name} comes after a system's config: --config vqvae.yaml --config {name}")
    known = sorted(
        {path.name for path in folder.glob("*.yaml")}
        | {f"{path.name}.yaml" for path in folder.iterdir() if path.is_dir()}
    )
    raise FileNotFoundError(
        f"There is no config {name}: looked for {' and '.join(map(str, candidates))}. Shipped configs: "
        f"{', '.join(known)}."
    )


def fit_command(typed: list[str], options: tuple[str, ...] = ()) -> str:
    """The command of a fit with the options that were typed, and others in place of what they change.

    A fresh start is asked for once, so that `--fresh` is left out.

    Args:
        typed: the subcommand and its options.
        options: to be added, name and value in turn.
    """
    replaced = {"--fresh", *options[::2]}
    kept, is_value = [], False
    for arg in typed[1:]:
        if is_value and not arg.startswith("--"):
            is_value = False
            continue
        is_value = arg in replaced
        if not is_value and arg.split("=")[0] not in replaced:
            kept.append(arg)
    return f"{PROGRAM} {shlex.join(['fit', *kept, *options])}"


def with_overlays(message: str, typed: list[str], folder: Path = CONFIGS) -> str:
    """A message that ends with the fit of a system, completed by what was typed that belongs to this fit as well.

    Without that, who measures the compact models would be sent to the full-size ones.

    Args:
        message: of an error.
        typed: the subcommand and its options.
        folder: of the shipped configs.
    """
    if not (fit := re.search(rf"{PROGRAM} fit (?:--fresh )?--config (\w+\.yaml)$", message)):
        return message
    words = [word for arg in typed for word in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    options = [pair for pair in pairwise(words) if pair[0] in ("--config", "-c", "--data.root")]
    kept = [
        f"{option} {shlex.quote(value)}"
        for option, value in options
        if option == "--data.root" or (folder / Path(value).stem / fit[1]).is_file()
    ]
    return " ".join([message, *kept])


def short_error(message: str) -> str:
    """The parser's explanation in one line: the option, what was expected and what was found."""
    configs = ", ".join(f"{system.name}.yaml" for system in list_systems())
    if "required: " in message and ".model" in message:
        return f"Which system? Add --config with one of {configs}."
    if "subcommand" in message:
        return f"Expected {PROGRAM}, then fit, validate, test, predict or doctor. ({_in_one_line(message)})"
    if refused := re.findall(r"class_path '([\w.]+)':\s+Option '([\w.]+)' is not accepted", message):
        class_path, option = refused[-1]
        if class_path.startswith("lightning."):
            return f"Which system? Add --config with one of {configs}."
        return f"{class_path} has no option {option!r}.{_did_you_mean(option, _options_of(class_path))}"
    listed = re.search(r"NestedArg\(key='(\w+)', val='([^']*)'\)", message)
    if listed and "list" in message.lower():
        return f'{listed[1]} is {listed[2]}, expected null or a list: "[{listed[2]}]".'
    if re.search(r"unrecognized arguments: ", message, flags=re.IGNORECASE):
        paths = message.partition("arguments: ")[2].split()
        if paths and all(Path(path).exists() for path in paths):
            return f'Several inputs were given, expected a folder, or a list: "[{paths[0]},…]". ({message})'
    if found := re.findall(r'Parser key "([^"]+)":\s+Expected a (.+?)\. Got value: (.+)', message):
        option, expected, value = found[-1]
        return f"{option} is {value}, expected {_readable(expected)}."
    if problems := re.findall(r"Problem with given class_path '[\w.]+':\n +(?!- |Given |Does not )(.+)", message):
        return problems[-1]
    if reasons := re.findall(r"^ *- (?!Expected a |Problem with |Does not validate)(.+)", message, flags=re.MULTILINE):
        return reasons[-1]
    key = re.match(r'Parser key "([^"]+)":', message)
    expected = re.findall(r"- Expected a (.+)", message)
    value = re.findall(r"Given value: (.+)", message)
    if key and expected and value:
        return f"{key[1]} is {value[-1]}, expected {' or '.join(map(_readable, expected))}."
    return _in_one_line(message)


def _options_of(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)


def _did_you_mean(option: str, known: list[str]) -> str:
    near = difflib.get_close_matches(option, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else f" It has: {', '.join(known)}."


def _readable(expected: str) -> str:
    named = re.fullmatch(r"<class '([\w.]+)'>", expected)
    if named:
        return "null" if named[1] == "NoneType" else named[1].rpartition(".")[2]
    literal = re.fullmatch(r"typing\.Literal\[(.+)\]", expected)
    return literal[1].replace("'", "") if literal else expected


def _in_one_line(message: str) -> str:
    return " ".join(message.split())
