"""API keys and loopback, without a server."""

import pytest

from toyflow.errors import UsageError
from toyflow.robot.runtime.serving.access import check_host, is_allowed, read_key


def test_where_keys_come_from(tmp_path, monkeypatch):
    file = tmp_path / "key"
    monkeypatch.delenv("SOME_KEY", raising=False)
    assert read_key(None, "SOME_KEY") is None
    monkeypatch.setenv("SOME_KEY", " from-variable ")
    assert read_key(None, "SOME_KEY") == "from-variable"
    file.write_text("from-file\n")
    assert read_key(file, "SOME_KEY") == "from-file"
    for content in ("", "two words", "schlüssel"):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(UsageError, match="one word") as caught:
            read_key(file, "SOME_KEY")
        assert not content or content not in str(caught.value)
    with pytest.raises(UsageError, match="cannot be read"):
        read_key(tmp_path / "none", "SOME_KEY")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "robot.local", ""])
def test_off_loopback_a_key_is_required(host):
    with pytest.raises(UsageError, match="an API key is required"):
        check_host(host, None, "SOME_KEY")
    check_host(host, "key", "SOME_KEY")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_none_is(host):
    check_host(host, None, "SOME_KEY")


def test_odd_authorizations_are_refused():
    assert is_allowed([], None) and is_allowed(["api-key k"], "k")
    for headers in ([], [""], ["Api-Key"], ["k"], ["Api-Key k", "Api-Key k"], ["Api-Key \udcff"]):
        assert not is_allowed(headers, "k")
