from leukkit import progress


def test_a_log_gets_plain_lines_and_every_item(capsys, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    items = list(progress.progress(range(3), "hashing", unit="image", seconds_between_lines=0))
    assert items == [0, 1, 2]
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"hashing: {done} of 3 images" for done in (1, 2, 3)]


def test_silence_on_request(capsys, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert list(progress.progress(iter("ab"), "x", seconds_between_lines=0)) == ["a", "b"]
    assert capsys.readouterr().err == ""
