"""A saved model in one file, ``model.leukkit``, to give to others.

A zip archive in which nothing is compressed: what lies beside the model (`leukkit.saved`), its
card, and ``SHA256SUMS``, as ``sha256sum -c`` reads it. The file may come from anywhere: names,
kinds and sizes of its members are looked at before anything is written, and only known names are.
The hashes show damage; they do not show who has made the file.
"""

import contextlib
import hashlib
import os
import pathlib
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterator

from leukkit import saved
from leukkit.files import replace_when_done
from leukkit.models import WeightsError
from leukkit.models.weights import sha256
from leukkit.records import BACKBONES
from leukkit.saved.classifier_files import ModelFileError, check_archive, damaged

SUFFIX = ".leukkit"
CARD, SUMS = "CARD.md", "SHA256SUMS"
ALWAYS = {saved.RECORD, saved.ARRAYS, CARD, SUMS}
MODELS = [{saved.NETWORK}, {saved.CLASSIFIER}, *({saved.CLASSIFIER, one} for one in BACKBONES)]


def pack(model: pathlib.Path | str, path: pathlib.Path | str, card: str) -> None:
    """Write a saved model into one file, whole or not at all; equal models give equal bytes.

    ``model`` and errors are those of `saved.read`, ``path`` ends in ``.leukkit`` (else ValueError),
    ``card`` is Markdown.
    """
    if pathlib.Path(path).suffix != SUFFIX:
        raise ValueError(f"{path}: a packed model is known by its name; let it end in {SUFFIX}")
    found = saved.read(model)
    folder, names = found.folder, (saved.RECORD, *sorted(found.record.sha256))
    sums = "".join(f"{sha256(folder / name)}  {name}\n" for name in names)
    sums += f"{hashlib.sha256(card.encode()).hexdigest()}  {CARD}\n"
    with replace_when_done(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in names:
            member = zipfile.ZipInfo(name)  # of 1980: when it was packed does not count
            member.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, archive.open(member, "w") as target:
                shutil.copyfileobj(source, target)
        archive.writestr(zipfile.ZipInfo(CARD), card.encode())
        archive.writestr(zipfile.ZipInfo(SUMS), sums.encode())


@contextlib.contextmanager
def opened(path: pathlib.Path | str) -> Iterator[pathlib.Path]:
    """Yield where a saved model lies: the path, or for the block what a packed file holds.

    ModelFileError says that the file is damaged, or holds what `pack` does not write.
    """
    path = pathlib.Path(path)
    if path.suffix != SUFFIX or not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="leukkit-model-") as folder:
        _unpack(path, pathlib.Path(folder))
        try:
            yield pathlib.Path(folder)
        except (ModelFileError, WeightsError) as error:  # nobody knows the passing folder
            text = str(error).replace(folder + os.sep, f"{path}: ").replace(folder, str(path))
            raise type(error)(text) from error


def _unpack(path: pathlib.Path, folder: pathlib.Path) -> None:
    check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            problem = _problem(members, path.stat().st_size)
            for member in [] if problem else members:
                with archive.open(member) as source, (folder / member.filename).open("xb") as file:
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, struct.error) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise damaged(path, problem)
    names = sorted({member.filename for member in members} - {SUMS})
    stated = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    other = [name for name in names if f"{sha256(folder / name)}  {name}" not in stated]
    if other or len(stated) != len(names):
        raise damaged(path, f"{(*other, SUMS)[0]} is not what {SUMS} was written for")


def _problem(members: list[zipfile.ZipInfo], size: int) -> str:
    """Return what is wrong with the members of an archive of so many bytes; "" if nothing is."""
    names = [member.filename for member in members]
    if {*names} - ALWAYS not in MODELS or not {*names} >= ALWAYS or len({*names}) < len(names):
        return f"it holds {names[:20]}"
    for member in members:
        if member.flag_bits & 1 or stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            return f"{member.filename} in it is encrypted, or no plain file"
    stated = sum(member.file_size for member in members)
    return f"its members would be {stated:,} bytes, and it has {size:,}" if stated > size else ""
