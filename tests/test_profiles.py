import pytest

from leukkit import papers, profiles


@pytest.fixture
def card():
    return papers.load("farag2025")


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(item)}' for key, item in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def write(path, profile):
    path.write_text("\n".join(f"{key} = {toml(value)}" for key, value in profile.items()))
    return path


def test_a_file_with_the_same_keys_is_a_profile(card, tmp_path):
    path = write(tmp_path / "mine.toml", {**card.profile("paper"), "image_size": 96})
    assert profiles.load(card, path) == {**card.profile("paper"), "image_size": 96}
    assert profiles.label(path) == "mine"
    assert profiles.label("sample") == "sample"


def test_a_missing_or_unknown_key_is_named(card, tmp_path):
    profile = dict(card.profile("paper"))
    profile["epochs"] = profile.pop("seed")
    with pytest.raises(papers.CardError, match=r"missing: seed; unknown: epochs"):
        profiles.load(card, write(tmp_path / "mine.toml", profile))


def test_an_unknown_profile_lists_the_built_in_ones(card, tmp_path):
    with pytest.raises(papers.CardError, match="sample, paper"):
        profiles.load(card, "quick")
    with pytest.raises(papers.CardError, match="sample, paper"):
        profiles.load(card, tmp_path / "none.toml")


def test_weights_are_none_imagenet_or_a_path_with_variables_filled_in(monkeypatch):
    monkeypatch.setenv("LEUKKIT_WEIGHTS_DIR", "/weights")
    assert profiles.weights({"weights": "none"}) is None
    assert profiles.weights({"weights": "imagenet"}) == "imagenet"
    assert profiles.weights({"weights": "$LEUKKIT_WEIGHTS_DIR/a.h5"}) == "/weights/a.h5"
