import os
import pathlib

import pytest


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory):
    """A file cache that no earlier run has filled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEUKKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("TQDM_DISABLE", "1")
        yield


@pytest.fixture(scope="session")
def real_cells_folder():
    """The real C-NMC cells, or a skip that says how to get this test to run."""
    folder = os.environ.get("LEUKKIT_TEST_DATA")
    if not folder:
        pytest.skip("real cells: set LEUKKIT_TEST_DATA to the folder that holds cnmc-2019-subset")
    return pathlib.Path(folder).absolute() / "cnmc-2019-subset"
