"""The inputs that a user names for `predict`: files, folders, and text files that list them."""

import codecs
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

from torch.utils.data import DataLoader, Dataset, DistributedSampler

from datamodules.files.data_root import list_visible
from datamodules.files.loading import is_distributed
from pipelines.outputs import FailedInput, reason_of
from runtime.tell import tell

MAX_STEM_BYTES = 120  # of the 255 in a file's name, as outputs and temporary files add to the stem


class Inputs(Dataset):
    """Inputs that are opened when their turn comes, so that a call with thousands of them starts at once.

    Args:
        paths: the files, see `list_inputs`.
        open_input: function of a path and the name of its outputs. Its result is passed to `predict_step`, and has the
            path as attribute `path`. An error makes a `FailedInput`.
        output_suffixes: suffixes that the main output may have. If another file has the place of one, the input fails
            before any work is done on it.

    Attributes:
        names: names of the outputs, see `output_names`.
        ask_first: called with path and name before a file is opened. If it returns a reason, the input is skipped.
    """

    def __init__(
        self, paths: list[Path], open_input: Callable[[Path, str], Any], output_suffixes: Collection[str] = ()
    ) -> None:
        self.paths, self.names = paths, output_names(paths)
        self.open_input, self.output_suffixes = open_input, output_suffixes
        self.ask_first: Callable[[Path, str], str | None] = lambda path, name: None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        path, name = self.paths[index], self.names[index]
        try:
            if (reason := self.ask_first(path, name)) is not None:
                return FailedInput(path, name, reason)
            if not path.is_file():
                there = f"input in the folder {path}" if path.is_dir() else f"file {path}"
                raise FileNotFoundError(f"There is no {there}.")
            return self.open_input(path, name)
        except Exception as error:
            return FailedInput(path, name, reason_of(error))

    def loader(self) -> DataLoader:
        """The inputs, one a batch; several processes divide them."""
        share = _Share(self, shuffle=False) if is_distributed() else None
        return DataLoader(self, batch_size=1, sampler=share, collate_fn=lambda items: items[0])


class _Share(DistributedSampler):
    """The inputs of one process: none is repeated, and if there are fewer inputs than processes some have none."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, len(self.dataset), self.num_replicas))

    def __len__(self) -> int:
        return len(range(self.rank, len(self.dataset), self.num_replicas))


def list_inputs(inputs: str | list[str] | None, suffixes: Collection[str], kind: str) -> list[Path]:
    """The files that are named, each once: files, visible files of folders, and those listed in text files.

    Args:
        inputs: path of a file, of a folder, or of a text file `….txt` with one path on each line; or a list of these.
        suffixes: suffixes, in lower case, of the files that are taken from a folder; its subfolders are not searched.
        kind: the kind of file in words, for messages: "video or photo".

    Raises:
        ValueError: if there is no input.
        FileNotFoundError: if the only input does not exist, or is a folder without such files.
    """
    named = [inputs] if isinstance(inputs, str) else inputs or []
    given = [path for name in named for path in _read_list(Path(name))]
    if not given:
        raise ValueError(f"No input was given: add --data.inputs PATH (a {kind}, a folder, or a list of these).")
    files: dict[str, Path] = {}
    for path in given:
        found = _list_folder(path, suffixes, kind) if path.is_dir() else [path]
        if len(given) == 1 and not (found and found[0].is_file()):
            there = f"{kind} in the folder {path}" if path.is_dir() else f"file {path}"
            raise FileNotFoundError(f"There is no {there}.")
        for file in found or [path]:  # an empty folder among others is reported like a file that cannot be read
            files.setdefault(os.path.abspath(file), file)
    return list(files.values())


def output_names(paths: list[Path]) -> list[str]:
    """A name for the outputs of each input, unlike those of all others and of their variants.

    It is the stem (`clip`), with a short hash of the path (`clip_0f3a91c2d4`) if that is not enough. Upper and lower
    case, and composed and decomposed letters, count as the same, as they do for Windows and macOS. Variants are called
    `clip_v2`, so a file of this name gets a hash if there is a `clip`.
    """
    paths = [Path(os.path.abspath(path)) for path in paths]
    hashed = [f"{_shorten(path.stem)}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:10]}" for path in paths]
    stems = [normalize("NFC", path.stem).casefold() for path in paths]
    counts = Counter(stems + [name.casefold() for name in hashed])

    def is_enough(stem: str) -> bool:
        first = re.sub(r"_v\d+$", "", stem)
        return counts[stem] == 1 and (first == stem or first not in counts)

    return [
        path.stem if is_enough(stem) and path.stem == _shorten(path.stem) else name
        for path, stem, name in zip(paths, stems, hashed, strict=True)
    ]


def _shorten(stem: str) -> str:
    return os.fsencode(stem)[:MAX_STEM_BYTES].decode("utf-8", "ignore")  # without bytes that are no text


def _read_list(path: Path) -> list[Path]:
    if path.suffix.lower() != ".txt" or not path.is_file():
        return [path]
    content = path.read_bytes()
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell 5.1 writes
    lines = content.decode("utf-16" if is_utf16 else "utf-8-sig", "surrogateescape").split("\n")
    if not (names := [line.strip() for line in lines if line.strip()]):
        raise ValueError(f"{path} is empty, expected one path on each line.")
    if any("\0" in name for name in names):
        raise ValueError(f"{path} is no text, expected one path on each line, in UTF-8 or UTF-16.")
    return [Path(name) for name in names]


def _list_folder(folder: Path, suffixes: Collection[str], kind: str) -> list[Path]:
    files = [path for path in list_visible(folder) if path.is_file()]
    known = [path for path in files if path.suffix.lower() in suffixes]
    if num_others := len(files) - len(known):
        tell(f"{num_others} of the {len(files)} files in {folder} are left out, expected {kind}.")
    return known
