"""Download a published data set through kagglehub, or say how to get it by hand."""

import os
import pathlib

from leukkit.datasets import published
from leukkit.datasets.cells import DatasetError
from leukkit.datasets.checks import check
from leukkit.datasets.published import FACTS
from leukkit.files import data_dir

SERIOUS = ("damaged", "size", "count")

BY_HAND = """\
To get {title} by hand:
  1. Open {page} in a browser, sign in to Kaggle, read the terms and download the archive.
  2. Unpack it into {folder}/{name}
     (any folders inside the archive may stay as they are; layouts: data/README.md).
  3. Set LEUKKIT_DATA_DIR={folder}
  4. Run: leukkit check {name}"""

BY_APPLICATION = """\
{title} is given out on application only, and must not be passed on. To get it:
  1. Open {page} and follow what it says about obtaining the database: its authors at the
     University of Milan send the files to researchers who accept their terms.
  2. Unpack the 260 TIFF images (Im001_1.tif, ...) into {folder}/{name}
  3. Set LEUKKIT_DATA_DIR={folder}
  4. Run: leukkit check {name}"""


class FetchError(RuntimeError):
    """A data set cannot be downloaded, or not completely. The message says what to do by hand."""


def fetch(name: str, to: str | os.PathLike | None = None) -> pathlib.Path:
    """Download a data set, check its counts and image sizes, and put it where `load` finds it.

    kagglehub downloads a pinned version into its own cache and goes on where an interrupted
    download stopped. ``<to>/<name>`` becomes a link to it: on Colab that cache is a mount.

    Args:
        name: ``"cnmc-2019"`` or ``"all-2021"``; ``"all-idb2"`` is by application.
        to: Folder that holds the data sets; by default ``LEUKKIT_DATA_DIR``.

    Returns:
        The data set's folder, ``<to>/<name>``.

    Raises:
        FetchError: The data set is by application; or network, sign-in, license or disk stand in
            the way; or what arrived is not the official data set. The message lists manual steps.
        ValueError: The name is not known, or there is no folder to put the data set into.
    """
    if name not in FACTS:
        raise ValueError(
            f"{name!r} cannot be fetched. Published data sets are: {', '.join(FACTS)}; the samples "
            "are synthetic and need no download"
        )
    folder = to or data_dir()
    if "kaggle" not in FACTS[name]:
        raise FetchError(_steps(name, folder or "DATA_FOLDER"))
    if folder is None:
        raise ValueError(
            "fetch into which folder? Set LEUKKIT_DATA_DIR to the folder that is to hold the data "
            "sets, or pass --data-dir (in Python: to=)"
        )
    folder = pathlib.Path(folder).expanduser().absolute()
    target = folder / name
    if not target.exists() or not any(target.iterdir()):
        _link(target, _download(name, folder), name)
    _verify(name, target, folder)
    return target


def _download(name: str, folder: pathlib.Path) -> pathlib.Path:
    import kagglehub

    handle = FACTS[name]["kaggle"]
    try:
        return pathlib.Path(kagglehub.dataset_download(handle))
    except Exception as error:  # network, sign-in, license, disk: kagglehub has no common class
        raise FetchError(
            f"kagglehub could not download {handle}: {type(error).__name__}: {error}\n"
            "Run the same command again to go on where the download stopped. A Kaggle account may "
            f"be needed: kagglehub.login().\n{_steps(name, folder)}"
        ) from error


def _link(target: pathlib.Path, downloaded: pathlib.Path, name: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():  # to a folder that is gone
            target.unlink()
        elif target.exists():  # and is empty
            target.rmdir()
        target.symlink_to(downloaded.absolute(), target_is_directory=True)
    except OSError as error:
        raise FetchError(
            f"{name} was downloaded to {downloaded}, but {target} cannot be made a link to it "
            f"({error}). Move the folder there, or load with root={str(downloaded)!r}"
        ) from error


def _verify(name: str, target: pathlib.Path, folder: pathlib.Path) -> None:
    try:
        problems = check(published.load(name, target, damaged="keep"))
    except DatasetError as error:
        raise FetchError(f"{error}\n{_steps(name, folder)}") from error
    serious = problems[problems["kind"].isin(SERIOUS)]
    if len(serious):
        shown = "\n".join(f"  {row.kind}: {row.detail}" for row in serious.head(10).itertuples())
        raise FetchError(
            f"{target} is not the complete official data set, {len(serious)} problems:\n{shown}\n"
            f"List all with: leukkit check {name}. Remove {target.resolve()} to download "
            f"again.\n{_steps(name, folder)}"
        )


def _steps(name: str, folder: str | os.PathLike) -> str:
    """Say how to get a data set without this module."""
    facts = FACTS[name]
    template, page = BY_APPLICATION, facts["url"]
    if "kaggle" in facts:
        handle = facts["kaggle"].split("/versions/")[0]
        template, page = BY_HAND, f"https://www.kaggle.com/datasets/{handle}"
    return template.format(name=name, title=facts["title"], page=page, folder=folder)
