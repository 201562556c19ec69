import pathlib

import kagglehub
import pytest
import requests

from leukkit import datasets
from leukkit.datasets.published import FACTS
from tests.datasets.trees import write_all_2021

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def kaggle(monkeypatch, tmp_path):
    """A stand-in for kagglehub's network that lays out a tiny data set in a cache."""
    asked = []
    counts = [{"label": label, "images": 4} for label in FACTS["all-2021"]["classes"]]
    monkeypatch.setitem(FACTS["all-2021"], "counts", counts)

    def download(handle):
        asked.append(handle)
        return str(write_all_2021(tmp_path / "kagglehub" / handle))

    monkeypatch.setattr(kagglehub, "dataset_download", download)
    return asked


def refuse_download(monkeypatch, error):
    def download(handle):
        raise error

    monkeypatch.setattr(kagglehub, "dataset_download", download)


def test_a_pinned_version_is_fetched_and_found_by_load(tmp_path, monkeypatch, kaggle):
    monkeypatch.setenv("LEUKKIT_DATA_DIR", str(tmp_path / "data"))
    folder = datasets.fetch("all-2021")
    assert kaggle == ["mehradaria/leukemia/versions/1"]
    assert folder == tmp_path / "data" / "all-2021"
    assert len(datasets.load("all-2021")) == 16


def test_what_is_there_is_checked_and_not_downloaded_again(tmp_path, kaggle):
    datasets.fetch("all-2021", to=tmp_path / "data")
    datasets.fetch("all-2021", to=tmp_path / "data")
    assert len(kaggle) == 1


@pytest.mark.parametrize("before", [pathlib.Path.mkdir, lambda path: path.symlink_to("gone")])
def test_an_empty_folder_and_a_link_to_a_cleared_cache_are_replaced(tmp_path, kaggle, before):
    before(tmp_path / "all-2021")
    datasets.fetch("all-2021", to=tmp_path)
    assert len(datasets.load("all-2021", tmp_path / "all-2021")) == 16


def test_a_download_of_something_else_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "readme.txt").write_text("moved")
    monkeypatch.setattr(kagglehub, "dataset_download", lambda handle: str(tmp_path / "cache"))
    with pytest.raises(datasets.FetchError, match=r"(?s)none of the 1 files.*by hand:"):
        datasets.fetch("all-2021", to=tmp_path)


def test_missing_and_cut_images_are_noticed(tmp_path, kaggle):
    pro = datasets.fetch("all-2021", to=tmp_path) / "Original" / "Pro"
    (pro / "WBC-Malignant-Pro-001.jpg").unlink()
    image = pro / "WBC-Malignant-Pro-002.jpg"
    image.write_bytes(image.read_bytes()[:-200])
    with pytest.raises(datasets.FetchError, match=r"not the complete.*, 2 problems") as caught:
        datasets.fetch("all-2021", to=tmp_path)
    assert "count: label pro: 3 images, 4 were published" in str(caught.value)
    assert f"damaged: {image}: is damaged or cut short" in str(caught.value)


@pytest.mark.parametrize("name", ["cnmc-2019", "all-2021"])
@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("no route to host"),
        kagglehub.exceptions.UnauthenticatedError(),
        kagglehub.exceptions.DataCorruptionError("checksum mismatch"),
        OSError(28, "No space left on device"),
    ],
)
def test_what_stands_in_the_way_is_said_with_the_steps_by_hand(tmp_path, monkeypatch, name, error):
    refuse_download(monkeypatch, error)
    with pytest.raises(datasets.FetchError) as caught:
        datasets.fetch(name, to=tmp_path)
    message = str(caught.value)
    assert type(error).__name__ in message
    assert str(error) in message
    owner_and_name = FACTS[name]["kaggle"].removesuffix("/versions/1").removesuffix("/versions/2")
    assert f"https://www.kaggle.com/datasets/{owner_and_name} in" in message
    assert f"Unpack it into {tmp_path / name}" in message
    assert f"LEUKKIT_DATA_DIR={tmp_path}" in message
    assert f"leukkit check {name}" in message
    assert not (tmp_path / name).exists()


def test_all_idb2_says_how_to_apply(tmp_path, monkeypatch):
    refuse_download(monkeypatch, AssertionError("must not be downloaded"))
    with pytest.raises(datasets.FetchError, match="on application only") as caught:
        datasets.fetch("all-idb2", to=tmp_path)
    assert "https://homes.di.unimi.it/scotti/all/" in str(caught.value)
    assert "University of Milan" in str(caught.value)


def test_bad_calls_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="'sample-cells' cannot be fetched"):
        datasets.fetch("sample-cells", to=tmp_path)
    monkeypatch.delenv("LEUKKIT_DATA_DIR", raising=False)
    with pytest.raises(ValueError, match="LEUKKIT_DATA_DIR"):
        datasets.fetch("all-2021")


def test_where_no_link_can_be_made_the_download_is_not_lost(tmp_path, monkeypatch, kaggle):
    def refuse(self, *arguments, **options):
        raise OSError("symbolic links are not allowed here")

    monkeypatch.setattr(pathlib.Path, "symlink_to", refuse)
    with pytest.raises(datasets.FetchError, match=r"was downloaded to .*kagglehub.*root="):
        datasets.fetch("all-2021", to=tmp_path / "data")
