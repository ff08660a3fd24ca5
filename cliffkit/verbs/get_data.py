"""Data sets that can be downloaded."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from cliffkit.components.load import Plugins
from cliffkit.components.near import near
from cliffkit.data.download import Partial, Show, check_room, fetch
from cliffkit.display.lines import Terminal
from cliffkit.errors import UserError
from cliffkit.events import Notice, Progress
from cliffkit.hookspecs import Download, RemoteFile
from cliffkit.store.checksums import SUMS, checksum
from cliffkit.store.files import make_folder, write_text
from cliffkit.verbs.inputs import AnyPath, installed_plugins, path_of

MEGABYTE = 10**6


def downloads(plugins: Plugins | None = None) -> list[Download]:
    """List the data sets that plugins can download, by name."""
    known: list[Download] = []
    (plugins or installed_plugins()).call("cliffkit_downloads", downloads=known)
    return sorted(known, key=lambda download: download.dataset)


def get_data(
    name: str,
    out: AnyPath | None = None,
    *,
    url: str | None = None,
    progress: bool = True,
    plugins: Plugins | None = None,
) -> Path:
    """Download a data set, and return its folder; files that are there and whole are not asked for again.

    A download that broke off goes on where it was, if the server allows that and still has the same file. A file gets
    its name once its size and checksum are right, as far as these are known. The folder's SHA256SUMS has the checksum
    of every file.

    Args:
        name: of the data set; `cliffkit data get` lists the names.
        out: the folder; by default `data/NAME` in the working folder.
        url: another server's folder with files of the same names.
        progress: show source and terms, and then a bar.
        plugins: those to use; by default the installed ones.

    Raises UserError where no data set of this name can be downloaded, where the server cannot be reached or has another
    file, where the disk has no room, and where a file in the way is another one.

    Example: `cliffkit.get_data("nyu", "/data/nyu")`.
    """
    download = _find(name, plugins)
    folder = Path("data", name) if out is None else path_of(out, "out")
    sources = [(file, _address(file, url)) for file in download.files]
    make_folder(folder)
    try:
        with FileLock(folder / ".download.lock", blocking=False), Terminal(progress) as terminal:
            _get(download, sources, folder, terminal)
    except Timeout as error:
        raise UserError(f"{folder}: another process downloads into it; wait for it, or name another folder") from error
    return folder


def _get(download: Download, sources: Sequence[tuple[RemoteFile, str]], folder: Path, terminal: Terminal) -> None:
    missing = [(file, url) for file, url in sources if not _is_whole(file, folder / file.name, terminal)]
    if missing:
        terminal.show(Notice(f"{download.title}, by {download.page}\nterms: {download.terms}"))
    check_room(folder, sum((file.size or 0) - Partial.of(folder / file.name).size for file, _ in missing))
    for file, url in missing:
        sha256 = fetch(
            file, url, folder / file.name, _shown_by(terminal, file.name), lambda text: terminal.show(Notice(text))
        )
        known = "as known" if file.sha256 else "not known before, now recorded"
        terminal.show(Notice(f"{file.name}: whole; SHA-256 {sha256}, {known}"))
        _record(folder / SUMS, file.name, sha256)


def _find(name: str, plugins: Plugins | None) -> Download:
    known = {download.dataset: download for download in downloads(plugins)}
    if name not in known:
        raise UserError(
            f"no data set '{name}' can be downloaded; {near(name, known, 'there are')} For others, "
            "docs/guides/data.md says how their files lie"
        )
    return known[name]


def _address(file: RemoteFile, url: str | None) -> str:
    """Give a file's address, on another server where one is named. Raises UserError for what is no address of HTTP."""
    address = file.url if url is None else f"{url.rstrip('/')}/{urllib.parse.quote(file.name)}"
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UserError(f"--url {url}: is no address; write https://SERVER/FOLDER, where the files lie")
    return address


def _is_whole(file: RemoteFile, path: Path, terminal: Terminal) -> bool:
    """Tell whether a file is there. Raises UserError where another one is."""
    if not path.exists():
        return False
    size = path.stat().st_size
    if file.size not in (None, size):
        raise UserError(f"{path}: has {size:,} bytes, not {file.size:,}; move it away, and get it again")
    if file.sha256 not in (None, checksum(path).sha256):
        raise UserError(f"{path}: has another SHA-256 than {file.sha256}; move it away, and get it again")
    terminal.show(Notice(f"{file.name}: is there already"))
    return True


def _record(path: Path, name: str, sha256: str) -> None:
    """Write a file's checksum among others, as `sha256sum --check` reads them."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    lines = [line for line in lines if not line.endswith(f"  {name}")]
    write_text(path, "".join(f"{line}\n" for line in sorted([*lines, f"{sha256}  {name}"])))


def _shown_by(terminal: Terminal, name: str) -> Show:
    """Show how many megabytes of a file are done, and how fast."""
    began, first = time.monotonic(), -1

    def show(done: int, total: int | None) -> None:
        nonlocal began, first
        if first < 0 or done < first:
            began, first = time.monotonic(), done
        speed = (done - first) / MEGABYTE / max(0.1, time.monotonic() - began)
        whole = max(done, total or 0)
        if whole >= MEGABYTE:
            terminal.show(Progress(name, done // MEGABYTE, whole // MEGABYTE, "megabyte", {"MB/s": speed}))

    return show
