"""Where files lie, how they are written whole or not at all, and how long work shows itself."""

import contextlib
import csv
import errno
import io
import os
import pathlib
import shutil
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any

import platformdirs
import tqdm.auto
import tqdm.autonotebook
import tqdm.std

if TYPE_CHECKING:
    import pandas as pd

SECONDS_BETWEEN_LINES = 10.0  # of progress in a log


def cache_dir() -> pathlib.Path:
    """Return the folder for samples, hashes of files and features (``LEUKKIT_CACHE_DIR``)."""
    default = platformdirs.user_cache_dir("leukkit", appauthor=False)
    return _configured("LEUKKIT_CACHE_DIR") or pathlib.Path(default)


def data_dir() -> pathlib.Path | None:
    """Return the folder that holds the data sets (``LEUKKIT_DATA_DIR``), or None if unset."""
    return _configured("LEUKKIT_DATA_DIR")


def results_dir() -> pathlib.Path:
    """Return the folder of results (``LEUKKIT_RESULTS_DIR``), else ``results`` of the project."""
    return _configured("LEUKKIT_RESULTS_DIR") or project_dir() / "results"


def project_dir() -> pathlib.Path:
    """Return the checkout that leukkit is installed from, else the current folder."""
    checkout = pathlib.Path(__file__).resolve().parent.parent
    return checkout if (checkout / "notebooks").is_dir() else pathlib.Path.cwd()


def _configured(variable: str) -> pathlib.Path | None:
    if not (text := os.environ.get(variable)):
        return None
    folder = pathlib.Path(text).expanduser()
    if not folder.is_absolute():
        raise ValueError(
            f"{variable} is {text!r}, which a notebook takes in its own folder and a command in "
            f"another: expected a path from the root, such as {folder.absolute()}"
        )
    return folder


@contextlib.contextmanager
def replace_when_done(path: str | os.PathLike, is_folder: bool = False) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block ends well.

    A run that dies inside the block leaves the old file, or none, but never half a file; so does a
    machine that dies after it. A folder is made once: if another process was faster, its stays.

    Raises:
        OSError: The folder cannot be made or written to; the message names it.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_folder:
            temporary.mkdir()
        else:
            temporary.touch(exist_ok=False)  # with the permissions of any new file
    except OSError as error:
        raise type(error)(
            error.errno,
            f"cannot write into {path.parent}: {error.strerror}. "
            "Choose a folder you may write to (results: --results-dir; cache: LEUKKIT_CACHE_DIR)",
            str(path),
        ) from error
    try:
        yield temporary
        _to_disk(*temporary.rglob("*"), temporary)
        try:
            temporary.replace(path)
        except OSError:
            if not (is_folder and path.is_dir()):  # another process was faster
                raise
        _to_disk(path.parent)
    finally:
        if is_folder:
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _to_disk(*paths: pathlib.Path) -> None:
    """Wait until files, and the names in folders, are on the disk and not in memory alone."""
    for path in paths:
        if path.is_dir() and os.name == "nt":
            continue  # Windows opens no folder; NTFS keeps a journal of names
        handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:  # EINVAL: a file system that syncs no folder, e.g. a mounted drive
            if error.errno != errno.EINVAL or not path.is_dir():
                raise
        finally:
            os.close(handle)


def read_text(path: str | os.PathLike) -> str:
    """Read a text file that somebody has written: UTF-8, with or without a byte-order mark.

    Raises:
        ValueError: It has another encoding.
        OSError: It cannot be read.
    """
    content = pathlib.Path(path).read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: line {line} is no UTF-8 text ({content[error.start :][:8]!r}): save the file "
            "with the encoding UTF-8"
        ) from error


def read_table(path: str | os.PathLike, columns: Sequence[str]) -> "pd.DataFrame":
    """Read a CSV file that somebody has written, with commas, semicolons or tabs.

    Args:
        path: The file, UTF-8.
        columns: That must be there.

    Returns:
        Frame of text without spaces at the ends, all columns, indexed by line; an empty field is
        an empty text.

    Raises:
        ValueError: The file is not UTF-8, a column is missing or there twice, or a line has another
            number of fields; names file and line.
        OSError: The file cannot be read.
    """
    import pandas as pd

    text = read_text(path)
    sign = max(",;\t", key=text.partition("\n")[0].count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=sign, skipinitialspace=True)
    rows: dict[int, dict] = {}
    try:
        header = [name.strip() for name in table.fieldnames or []]
        table.fieldnames = header
        named = [name for name in header if name]
        if not set(columns) <= set(named) or len(set(named)) < len(named):
            raise ValueError(
                f"{path}: expected a CSV file with a first line that names the columns "
                f"{', '.join(columns)}, each once; found was "
                f"{','.join(header)[:100] or 'nothing'!r}"
            )
        for row in table:
            if None in row or None in row.values():
                raise ValueError(
                    f"{path}: line {table.line_num} has too {'many' if None in row else 'few'} "
                    f"fields, expected {len(header)} as in the first line. Correct its commas"
                )
            rows[table.line_num] = {name: value.strip() for name, value in row.items()}
    except csv.Error as error:
        raise ValueError(f"{path}: after line {table.line_num}: {error}") from error
    return pd.DataFrame.from_dict(rows, "index", columns=header, dtype=object)


def progress(iterable: Iterable, description: str, unit: str = "it") -> Iterator:
    """Yield from ``iterable`` and show on standard error how far the work is.

    A terminal or a notebook gets a bar; a log gets at most one plain line in ten seconds, with
    the time left; ``TQDM_DISABLE=1`` in the environment silences both.

    Args:
        iterable: What to go through.
        description: A few words, e.g. ``"hashing"``.
        unit: What one item is, e.g. ``"image"``.
    """
    total = len(iterable) if isinstance(iterable, Sized) else None
    with bar(total, description, unit) as shown:
        for item in iterable:
            yield item
            shown.update()


def printable(text: object) -> str:
    """Return text in which no character can move the cursor or color the terminal."""
    return "".join(
        sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(text)
    )


def bar(total: int | None, description: str, unit: str = "it") -> tqdm.std.tqdm:
    """Return a tqdm bar to move by hand; shown, thinned out or silenced as in `progress`."""
    options: dict[str, Any] = {"unit": unit}
    if not _is_live():
        options = {"unit": unit + ("es" if unit.endswith("ch") else "s"), "file": _Log()}
        options["mininterval"] = SECONDS_BETWEEN_LINES
        options["bar_format"] = "{desc}: {n_fmt} of {total_fmt} {unit}, {remaining} left{postfix}"
    disable = _is_quiet() or total == 0
    return tqdm.auto.tqdm(desc=description, total=total, leave=False, disable=disable, **options)


class _Log(io.StringIO):
    """Where a bar writes in a log: what it shows becomes a plain line on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self.last = time.monotonic()

    def write(self, text: str) -> int:
        line = text.replace("\x1b[A", "").strip()  # no moving up to the bar around it
        if line and time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            print(line, file=sys.stderr, flush=True)
        return len(text)


def _is_quiet() -> bool:
    """Tell whether progress is switched off; tqdm's notebook bar overlooks the variable."""
    return os.environ.get("TQDM_DISABLE", "0") not in ("", "0")


def _is_live() -> bool:
    """Tell whether a line can change: in a terminal or a notebook."""
    return sys.stderr.isatty() or tqdm.autonotebook.tqdm is not tqdm.std.tqdm
