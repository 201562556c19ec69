import pytest


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory):
    """A file cache that no earlier run has filled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEUKKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("TQDM_DISABLE", "1")
        yield


@pytest.fixture(scope="session")
def real_cells_folder(test_data):
    return test_data.absolute() / "cnmc-2019-subset"
