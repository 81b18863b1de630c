"""A record for each input of `predict`, so that a stopped call resumes with the remaining inputs."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from media.files import atomic_path
from pipelines.outputs import Prediction, reason_of
from runtime.resuming import changes
from runtime.tell import tell

OWN_COLUMNS = ("input", "status", "output", "seconds", "reason", "remark")  # the columns of every system


class InputRecords:
    """Protects inputs from being done twice, and other files from being replaced by outputs.

    `records/<stem>-<number>.json` in the output folder has the size, time and settings of an input, and its outputs
    with their sizes. An output of another size was changed by somebody, and is not replaced unless `overwrite` is set.
    A process that works on an input holds `….lock`, which the operating system releases if the process dies. Outputs
    are made in a folder `….partial`, and are put in place when all outputs of the input are complete.

    Args:
        output_dir: folder of all outputs, made if it is missing.
        settings: JSON of everything that the outputs depend on; an input is done again if it has changed.
        overwrite: whether to do all inputs again, and to replace files with the names of outputs, except the input.
        output_suffixes: suffixes that a main output may have, for `start` to find files with its name.

    Raises:
        OSError: if the folder cannot be made.
    """

    def __init__(
        self,
        output_dir: Path,
        settings: dict[str, Any],
        overwrite: bool = False,
        output_suffixes: Collection[str] = (),
    ) -> None:
        self.output_dir, self.output_suffixes = output_dir, output_suffixes
        self.folder = output_dir / "records"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings = json.loads(json.dumps(settings))
        self.overwrite = overwrite
        self._started: dict[Path, tuple[FileLock, float, dict[str, int]]] = {}
        self._skipped: dict[Path, dict[str, Any]] = {}

    def start(self, path: Path, name: str) -> str | None:
        """Locks an input, whose outputs have the name `name`, until `end`.

        Returns:
            The reason for skipping it, or None.

        Raises:
            ValueError: if the folder cannot take outputs, or an output would replace a file not made from the input.
        """
        if self._is_done(path):
            return self._skip(path, "done before")
        try:
            with tempfile.TemporaryFile(dir=self.output_dir):
                pass
        except OSError as error:
            raise ValueError(
                f"{self.output_dir} cannot be written to ({error.strerror}); give another --predictions.output_dir."
            ) from error
        lock = FileLock(self._file(path, ".lock"), thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return self._skip(path, f"in work by {self._read(path).get('worker', 'another process')}")
        self._started[path] = lock, time.monotonic(), _version(path)
        if self._is_done(path):  # by a process that has ended in between
            self.release(path)
            return self._skip(path, "done before")
        before = self._read(path)
        _write_json(self._file(path, ".json"), before | {"worker": f"process {os.getpid()} on {platform.node()}"})
        self._check_place(path, [f"{name}{suffix}" for suffix in self.output_suffixes])
        if before.get("status") == "done" and (changed := changes(before["settings"], self.settings)):
            replaced = f"its outputs are replaced: {', '.join(changed)}"
            tell(f"{path.name} is done again, and {replaced}", by_each_process=True)
        return None

    def end(self, path: Path, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Puts the outputs in place, writes the record and releases the lock.

        Returns:
            The row of the table: input, status (done, skipped or failed), output, further columns of the first
            prediction, seconds, reason.
        """
        if path in self._skipped:
            return self._skipped.pop(path)
        _, started_s, version = self._started.get(path, (None, time.monotonic(), {}))
        record = {"input": os.path.abspath(path), **version, "settings": self.settings, "status": "failed"}
        record |= {"outputs": [], "columns": {}, "reason": "was stopped"}
        files: list[str] = []
        try:
            rows, files = self._save(path, predictions, record)
            remarks = [row["remark"] for row in rows if row.get("remark")]
            outputs = [row["output"] for row in rows if "output" in row] or files
            first = rows[0] if rows else {}
            columns = {name: value for name, value in first.items() if name not in OWN_COLUMNS}
            record |= {"status": "done", "outputs": outputs, "columns": columns, "reason": "; ".join(remarks)}
        except (ValueError, OSError) as error:
            record["reason"] = reason_of(error)
        record["seconds"] = round(time.monotonic() - started_s, 2)
        try:
            self._write(path, record, files)
        except OSError as error:
            record |= {"status": "failed", "reason": reason_of(error)}
        self.release(path)
        return self._row(path, record)

    def release(self, *paths: Path) -> None:
        """Unlocks these inputs for other processes, or all if none is given."""
        for path in paths or tuple(self._started):
            if path in self._started:
                lock, *_ = self._started.pop(path)
                with suppress(OSError):  # on Windows, where an open file cannot be removed, the lock removes it
                    os.unlink(lock.lock_file)
                lock.release()

    def _file(self, path: Path, suffix: str) -> Path:
        number = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:12]
        return self.folder / f"{path.stem[:40]}-{number}{suffix}"

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return json.loads(self._file(path, ".json").read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def _write(self, path: Path, record: dict[str, Any], files: list[str], partial: Path | None = None) -> None:
        """Writes a record with the sizes of outputs, and with the earlier sizes while outputs are put in place."""
        before = self._read(path)
        earlier, known = sorted(_files_of(before) - set(files)), before.get("sizes", {})
        sizes = {file: known[file] for file in earlier if file in known}
        for file in files:
            size = _size((partial or self.output_dir) / file)
            sizes[file] = [size] if partial is None else [size, *known.get(file, [])]
        facts = {"files": files, "earlier_files": earlier, "sizes": sizes}
        _write_json(self._file(path, ".json"), record | facts)

    def _is_done(self, path: Path) -> bool:
        if self.overwrite:
            return False
        record = self._read(path)
        version = _version(path)
        return (
            record.get("status") == "done"
            and record["settings"] == self.settings
            and bool(version)
            and version.items() <= record.items()
            and all([_size(self.output_dir / file)] == record.get("sizes", {}).get(file) for file in record["files"])
        )

    def _check_place(self, path: Path, files: list[str]) -> list[str]:
        """Files of others with these names. Raises ValueError if there are any and `overwrite` is not set."""
        if not path.exists():
            return []  # reported when it is opened
        if os.path.samefile(path.parent, self.output_dir):
            raise ValueError(f"{path} is in the folder for the outputs; give another --predictions.output_dir.")
        record = self._read(path)
        sizes = record.get("sizes", {})
        own = {file for file in _files_of(record) if _size(self.output_dir / file) in (None, *sizes.get(file, []))}
        foreign = [file for file in files if file not in own and os.path.lexists(self.output_dir / file)]
        if foreign and not self.overwrite:
            raise ValueError(
                f"{self.output_dir / foreign[0]} is there already and was not made from {path}, or was changed since; "
                "give another --predictions.output_dir, or --predictions.overwrite true."
            )
        return foreign

    def _save(
        self, path: Path, predictions: Sequence[Prediction], record: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Returns the rows and all files; the `output` of a row and the files are relative to the output folder."""
        partial = self._file(path, ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            try:
                rows = [prediction.save(partial) for prediction in predictions]
            except Exception as error:
                raise ValueError(reason_of(error)) from error
            if failed := [row for row in rows if row.get("status") == "failed"]:
                raise ValueError(failed[0]["reason"])
            for row in rows:
                row |= {name: str(value).replace(str(partial), str(self.output_dir)) for name, value in row.items()}
                if "output" in row:
                    row["output"] = Path(row["output"]).relative_to(self.output_dir).as_posix()
            files = sorted(file.relative_to(partial).as_posix() for file in partial.rglob("*") if file.is_file())
            if replaced := self._check_place(path, files):
                self._disown(set(replaced))
            self._write(path, record, files, partial)  # so that a call killed between two files finds its own
            for file in files:
                (self.output_dir / file).parent.mkdir(parents=True, exist_ok=True)
                os.replace(partial / file, self.output_dir / file)
            return rows, files
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _disown(self, replaced: set[str]) -> None:
        """Marks the inputs whose outputs are replaced as failed."""
        for file in self.folder.glob("*.json"):
            record = json.loads(file.read_text())
            if _files_of(record) & replaced:
                kept = {key: sorted(set(record[key]) - replaced) for key in ("files", "earlier_files")}
                _write_json(file, record | kept | {"status": "failed", "reason": "another input has replaced it"})

    def _skip(self, path: Path, reason: str) -> str:
        row = self._read(path) | {"status": "skipped", "reason": reason, "seconds": 0.0}
        self._skipped[path] = self._row(path, row)
        return reason

    def _row(self, path: Path, record: dict[str, Any]) -> dict[str, Any]:
        output = "; ".join(str(self.output_dir / name) for name in record.get("outputs", []))
        row = {"input": str(path), "status": record["status"], "output": output} | record.get("columns", {})
        return row | {"seconds": record["seconds"], "reason": record["reason"]}


def _version(path: Path) -> dict[str, int]:
    try:
        status = path.stat()
    except OSError:
        return {}
    return {"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _write_json(path: Path, record: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1))


def _files_of(record: dict[str, Any]) -> set[str]:
    return {*record.get("files", []), *record.get("earlier_files", [])}
