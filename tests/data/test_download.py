"""Downloads from a local server that breaks off, ignores ranges, changes its file or has another one."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import cliffkit
import cliffkit_datasets
from cliffkit.data.download import WAITS_S, fetch
from cliffkit.errors import UserError
from cliffkit.hookspecs import Download, RemoteFile
from cliffkit.verbs import get_data as verb

from ..conftest import Invoke

CONTENT = np.random.default_rng(0).bytes(3 * 2**20)


@dataclass
class Server:
    """What the server has, how it behaves, and what it was asked."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    stated: int | None = None
    """Size that it states in place of its file's."""
    breaks: list[int] = field(default_factory=list)
    """Bytes after which each answer breaks off; answers after the last are whole."""
    errors: list[int] = field(default_factory=list)
    """Codes of the next answers."""
    asked: list[str | None] = field(default_factory=list)
    """Range of each request."""
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        if self.errors and (code := self.errors.pop(0)):
            handler.send_error(code)
            return
        tag = self.etag or self.modified
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        partly = bool(asked) and self.ranges and handler.headers.get("If-Range") == tag
        if partly and start >= len(self.content):
            handler.send_error(416)
            return
        body = self.content[start:] if partly else self.content
        handler.send_response(206 if partly else 200)
        handler.send_header("Content-Length", str(self.stated or len(body)))
        for name, value in (("ETag", self.etag), ("Last-Modified", self.modified)):
            if value:
                handler.send_header(name, value)
        if partly:
            size = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        handler.end_headers()
        handler.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version: ClassVar[str] = "HTTP/1.0"

        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *words: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setattr(running, "handle_error", lambda request, address: None)  # a client that has seen enough
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{running.server_port}/data"
    yield state
    running.shutdown()
    running.server_close()
    thread.join()


FILE = RemoteFile("a.bin", "https://elsewhere/a.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
UNKNOWN = RemoteFile("a.bin", "https://elsewhere/a.bin")

Get = Callable[..., str]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def get(server: Server, tmp_path: Path, told: list[str]) -> Get:
    """Download the file once, without waiting between tries."""

    def once(file: RemoteFile = FILE) -> str:
        return fetch(file, f"{server.url}/a.bin", tmp_path / "a.bin", lambda done, total: None, told.append, no_sleep)

    return once


def no_sleep(seconds: float) -> None:
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_gets_its_name_and_nothing_else_stays(server: Server, get: Get, tmp_path: Path) -> None:
    assert get() == FILE.sha256
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert (names(tmp_path), server.asked) == (["a.bin"], [None])


@pytest.mark.parametrize("by", ["etag", "modified"])
def test_a_download_that_breaks_off_goes_on_where_it_was(
    server: Server, get: Get, tmp_path: Path, told: list[str], by: str
) -> None:
    server.breaks = [1_000_000, 700_000]
    if by == "modified":
        server.etag, server.modified = None, "Sun, 06 Nov 2011 08:49:37 GMT"
    get()
    assert server.asked == [None, "bytes=1000000-", "bytes=1700000-"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert "a.bin: the connection broke off after 1,000,000 of 3,145,728 bytes; again in" in told[0]


def test_a_later_call_goes_on_where_an_earlier_one_was_stopped(server: Server, get: Get, tmp_path: Path) -> None:
    server.breaks = [100_000] * 20
    with pytest.raises(UserError, match=r"the connection broke off .* times in a row; [0-9,]+ bytes are kept"):
        get()
    assert len(server.asked) == len(WAITS_S) + 1
    server.breaks = []
    kept = (tmp_path / "a.bin.partial").stat().st_size
    assert kept == 600_000
    get()
    assert server.asked[-1] == f"bytes={kept}-"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_tries_begin_anew_as_long_as_they_bring_a_megabyte(server: Server, get: Get) -> None:
    server.content = CONTENT * 4
    server.breaks = [1_100_000] * 11
    get(UNKNOWN)
    assert len(server.asked) == 12


def test_a_server_that_ignores_ranges_sends_all_again(
    server: Server, get: Get, tmp_path: Path, told: list[str]
) -> None:
    server.breaks, server.ranges = [1_000_000], False
    get()
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert "the server sends the file from its beginning" in told[1]


def test_a_changed_file_is_begun_anew(server: Server, get: Get, tmp_path: Path) -> None:
    server.breaks = [100_000] * 6
    with pytest.raises(UserError, match="broke off"):
        get(UNKNOWN)
    server.content, server.etag = CONTENT[::-1], '"two"'
    get(UNKNOWN)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[::-1], "no mixture of both"


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_tag_that_tells_changes_nothing_is_gone_on_with(server: Server, get: Get, etag: str | None) -> None:
    server.etag, server.breaks = etag, [1_000_000]
    get()
    assert server.asked == [None, None]


def test_a_part_left_by_a_longer_file_is_begun_anew(server: Server, get: Get, tmp_path: Path) -> None:
    server.breaks = [100_000] * 6
    with pytest.raises(UserError, match="broke off"):
        get(UNKNOWN)
    server.content = CONTENT[:50_000]
    get(UNKNOWN)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[:50_000]


def test_another_size_is_another_file_and_is_not_downloaded(server: Server, get: Get, tmp_path: Path) -> None:
    server.content = CONTENT[:-1]
    with pytest.raises(UserError, match=r"the server's file has 3,145,727 bytes, not 3,145,728: it is another one"):
        get()
    assert names(tmp_path) == []


def test_fewer_bytes_than_were_stated_never_become_the_file(server: Server, get: Get, tmp_path: Path) -> None:
    server.stated = len(CONTENT) + 5
    with pytest.raises(UserError, match=r"[0-9] times in a row"):
        get(UNKNOWN)
    assert "a.bin" not in names(tmp_path)


def test_another_checksum_is_told_and_nothing_of_the_file_stays(server: Server, get: Get, tmp_path: Path) -> None:
    server.content = bytes(len(CONTENT))
    with pytest.raises(
        UserError, match=rf"its SHA-256 is {hashlib.sha256(server.content).hexdigest()}, not {FILE.sha256}"
    ):
        get()
    assert names(tmp_path) == []


def test_a_file_that_is_not_there_is_not_asked_for_again(server: Server, get: Get) -> None:
    server.errors = [404]
    with pytest.raises(UserError, match=r"the server answers 404 .*name another server with --url"):
        get()
    assert len(server.asked) == 1


def test_a_server_that_is_busy_is_asked_again(server: Server, get: Get, told: list[str]) -> None:
    server.errors = [503, 429, 408]
    get()
    assert len(server.asked) == 4
    assert "the server answers 503" in told[0]
    server.errors = [500] * 10
    with pytest.raises(UserError, match=r"the server answers 500 .*, 6 times in a row"):
        fetch(FILE, f"{server.url}/b.bin", Path("b.bin").absolute(), lambda done, total: None, told.append, no_sleep)


def test_where_no_server_answers_the_message_comes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    waited: list[float] = []
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/a\.bin: the server cannot be reached .* is there a network"):
        fetch(FILE, "http://127.0.0.1:9/a.bin", tmp_path / "a.bin", lambda *_: None, lambda text: None, waited.append)
    assert waited == []


# ---- data sets


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> RemoteFile:
    """A data set 'nyu' of one small file in the place of the true one."""
    download = Download("nyu", "a small file", "https://example.org/page", "be kind.", (FILE,))
    monkeypatch.setattr(cliffkit_datasets, "NYU", download)
    return FILE


def test_a_data_set_lies_in_its_folder_with_its_checksums(
    server: Server, small: RemoteFile, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = cliffkit.get_data("nyu", tmp_path / "nyu", url=server.url)
    assert (folder / "SHA256SUMS").read_text() == f"{small.sha256}  a.bin\n"
    shown = capfd.readouterr().err
    assert shown.index("terms: be kind.") < shown.index("a.bin: whole; SHA-256 ")
    assert cliffkit.get_data("nyu", tmp_path / "nyu", url="http://127.0.0.1:9") == folder, "nothing is asked for"
    assert "is there already" in capfd.readouterr().err
    (folder / "a.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(UserError, match=r"a\.bin: has another SHA-256 .* move it away"):
        cliffkit.get_data("nyu", folder, url=server.url, progress=False)


def test_a_full_disk_is_told_before_anything_is_asked_for(
    server: Server, small: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("cliffkit.data.download.shutil.disk_usage", lambda folder: free)
    with pytest.raises(UserError, match=r"nyu: 3,145,728 bytes are needed and 1,000 are free; make room"):
        cliffkit.get_data("nyu", tmp_path / "nyu", url=server.url, progress=False)
    assert server.asked == []


def test_a_checksum_that_is_not_known_is_recorded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cliffkit_datasets, "NYU", Download("nyu", "t", "p", "t", (UNKNOWN,)))
    folder = cliffkit.get_data("nyu", tmp_path / "nyu", url=server.url)
    assert f"SHA-256 {FILE.sha256}, not known before, now recorded" in capfd.readouterr().err
    assert (folder / "SHA256SUMS").read_text() == f"{FILE.sha256}  a.bin\n"


def test_two_downloads_into_one_folder_do_not_mix(server: Server, small: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "nyu").mkdir()
    with (
        verb.FileLock(tmp_path / "nyu" / ".download.lock"),
        pytest.raises(UserError, match="another process downloads into it"),
    ):
        cliffkit.get_data("nyu", tmp_path / "nyu", url=server.url, progress=False)


@pytest.mark.parametrize("url", ["ftp://server/folder", "server/folder", "file:///etc"])
def test_an_address_that_is_not_http_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--url .*: is no address; write https://SERVER/FOLDER"):
        cliffkit.get_data("nyu", tmp_path, url=url)


def test_the_true_files_are_named_with_sizes_and_checksums() -> None:
    (nyu,) = [download for download in verb.downloads() if download.dataset == "nyu"]
    assert [file.name for file in nyu.files] == ["nyu_depth_v2_labeled.mat", "splits.mat"]
    assert all(file.size and file.sha256 and len(file.sha256) == 64 for file in nyu.files)
    with pytest.raises(UserError, match="no data set 'nuy' can be downloaded; did you mean 'nyu'"):
        cliffkit.get_data("nuy")


def test_scripts_read_what_can_be_downloaded(invoke: Invoke) -> None:
    (nyu,) = json.loads(invoke("data", "get", "--json").stdout)["downloads"]
    assert (nyu["dataset"], [file["name"] for file in nyu["files"]]) == (
        "nyu", ["nyu_depth_v2_labeled.mat", "splits.mat"],
    )  # fmt: skip
