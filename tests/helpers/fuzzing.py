"""Damaged files made from seeds, and processes in which code may hang or die of them.

Another callable is fuzzed in the same way:

    failures = run_damaged(check, sources, seeds, folder)   # check(path) reads the file and writes beside it
    assert not failures, "\n".join(failures)
"""

import multiprocessing
import random
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock

import av

CONTEXT = multiprocessing.get_context("spawn")
START_TIMEOUT_S = 120  # a process imports its libraries first
MAX_GROWTH_BYTES = 2**30
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def damaged(sources: dict[str, bytes], seed: int) -> tuple[str, bytes]:
    """The file's name, which contains the seed, and its content: one to three damages to one of the sources.

    Args:
        sources: content of each whole file, by its name.
        seed: of the choice of the file and of the damages; every eighth file also gets the suffix of another one.
    """
    rng = random.Random(seed)
    name = rng.choice(sorted(sources))
    content = bytearray(sources[name])
    for _ in range(rng.randint(1, 3)):
        rng.choice(DAMAGES)(rng, content)
    suffix = Path(rng.choice(sorted(sources)) if rng.random() < 1 / 8 else name).suffix
    return f"{Path(name).stem}_{seed}{suffix}", bytes(content)


def flip_bits(rng: random.Random, content: bytearray) -> None:
    for _ in range(rng.choice([1, 4, 32]) if content else 0):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def truncate(rng: random.Random, content: bytearray) -> None:
    del content[rng.randint(0, len(content)) :]


def overwrite(rng: random.Random, content: bytearray) -> None:
    block = random_block(rng, content)
    length = block.stop - block.start
    content[block] = rng.choice([bytes(length), b"\xff" * length, rng.randbytes(length)])


def remove(rng: random.Random, content: bytearray) -> None:
    del content[random_block(rng, content)]


def duplicate(rng: random.Random, content: bytearray) -> None:
    block = random_block(rng, content)
    content[block.start : block.start] = content[block]


def swap(rng: random.Random, content: bytearray) -> None:
    first, second = sorted((random_block(rng, content), random_block(rng, content)), key=lambda block: block.start)
    if first.stop <= second.start:
        content[second], content[first] = content[first], content[second]


def change_header(rng: random.Random, content: bytearray) -> None:
    """An extreme number of 1 to 8 bytes in the first or the last kilobyte, where headers and indices are."""
    length = rng.choice([1, 2, 4, 8])
    reach = max(1, min(1024, len(content) - length))
    start = rng.randrange(reach) if rng.random() < 0.5 else max(0, len(content) - length - rng.randrange(reach))
    number = rng.choice(EXTREMES) & (1 << 8 * length) - 1
    content[start : start + length] = number.to_bytes(length, rng.choice(["big", "little"]))


DAMAGES = (flip_bits, truncate, overwrite, remove, duplicate, swap, change_header, change_header)


def random_block(rng: random.Random, content: bytearray) -> slice:
    start = rng.randint(0, len(content))
    return slice(start, min(len(content), start + rng.choice([1, 16, 256, 4096])))


def run_damaged(
    check: Callable[[Path], None],
    sources: dict[str, bytes],
    seeds: Iterable[int],
    folder: Path,
    timeout_s: float = 10,
    num_processes: int = 2,
) -> list[str]:
    """Gives each damaged file to `check`, in processes that are started again where one hangs or dies.

    Args:
        check: a function of a module, for it goes to other processes. It may return, or raise a ValueError or an
            OSError with one line that holds the file's stem; all else is a failure, warnings and more than 1 GiB of
            memory for one file included.
        sources: see `damaged`.
        seeds: one for each file.
        folder: each file lies alone in a folder below this one, which is removed afterwards.
        timeout_s: for each file.

    Returns:
        A line for each failure, with its seed.
    """
    waiting, lock, failures = iter(seeds), Lock(), []

    def next_seed() -> int | None:
        with lock:
            return next(waiting, None)

    def work(_: int) -> None:
        worker = None
        while (seed := next_seed()) is not None:
            worker = worker if worker and worker.is_alive else _Worker(check, sources, Path(own))
            if failure := worker.failure(seed, timeout_s):
                failures.append(f"seed {seed}, {damaged(sources, seed)[0]}: {failure}")
        if worker:
            worker.stop()

    with tempfile.TemporaryDirectory(dir=folder) as own, ThreadPoolExecutor(num_processes) as pool:
        list(pool.map(work, range(num_processes)))
    return sorted(failures)


class _Worker:
    def __init__(self, check: Callable[[Path], None], sources: dict[str, bytes], folder: Path) -> None:
        self.is_alive = True
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(theirs, check, sources, folder), daemon=True)
        self.process.start()
        theirs.close()
        if not self.connection.poll(START_TIMEOUT_S) or self.connection.recv() is not None:
            raise TimeoutError(f"A process did not start in {START_TIMEOUT_S} s.")

    def failure(self, seed: int, timeout_s: float) -> str | None:
        self.connection.send(seed)
        if not self.connection.poll(timeout_s):
            self.stop()
            return f"hangs for more than {timeout_s} s"
        try:
            return self.connection.recv()
        except EOFError:
            self.process.join()
            self.stop()
            return f"the interpreter dies with exit code {self.process.exitcode}"

    def stop(self) -> None:
        self.is_alive = False
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, check: Callable[[Path], None], sources: dict[str, bytes], folder: Path) -> None:
    warnings.simplefilter("error")
    connection.send(None)
    while True:
        name, content = damaged(sources, connection.recv())
        with tempfile.TemporaryDirectory(dir=folder) as own:
            path = Path(own) / name
            path.write_bytes(content)
            connection.send(_failure(check, path))


def _failure(check: Callable[[Path], None], path: Path) -> str | None:
    before_bytes = _peak_bytes()
    try:
        check(path)
    except (ValueError, OSError) as error:
        text = str(error)
        if isinstance(error, av.FFmpegError) or "\n" in text or path.stem not in text:
            return f"not a line that names the file: {error!r}"
    except Exception as error:
        return repr(error)
    growth_bytes = _peak_bytes() - before_bytes
    return f"takes {growth_bytes / 2**20:.0f} MiB" if growth_bytes > MAX_GROWTH_BYTES else None


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
