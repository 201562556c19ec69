import os
import pathlib

import hypothesis
import pytest

# A deadline per example measures the machine, not the code.
hypothesis.settings.register_profile("leukkit", deadline=None)
hypothesis.settings.load_profile("leukkit")


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory):
    """Keep the cache of the tests out of the user's, unless LEUKKIT_CACHE_DIR says where."""
    if "LEUKKIT_CACHE_DIR" in os.environ:
        yield pathlib.Path(os.environ["LEUKKIT_CACHE_DIR"])
        return
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("LEUKKIT_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _safe_path(monkeypatch):
    """Take back what a command says to its children: tests start theirs from this folder."""
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.delenv("PYTHONSAFEPATH")


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Have every download fail as Keras fails without a network; return what was asked for."""
    import keras

    asked = []

    def fail(name, url, **_):
        asked.append(name)
        raise Exception(f"URL fetch failure on {url}: None -- Network is unreachable")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", fail)
    return asked


@pytest.fixture
def mixed_precision():
    """Have Keras compute in half precision until the test is over."""
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def test_data():
    """Return the folder of real images that LEUKKIT_TEST_DATA names."""
    folder = os.environ.get("LEUKKIT_TEST_DATA")
    if not folder:
        pytest.skip("needs real images: set LEUKKIT_TEST_DATA to their folder")
    if not pathlib.Path(folder).is_dir():
        pytest.fail(f"LEUKKIT_TEST_DATA={folder} is not a folder")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def mobilenet_weights(test_data):
    """Return the file of ImageNet's weights of MobileNet 0.25, which lies beside the images."""
    path = test_data.parent / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    if not path.exists():
        pytest.skip(f"no MobileNet weights at {path}")
    return path
