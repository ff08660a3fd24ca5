"""One file over HTTP: resumed where the server allows it, and checked before it gets its name."""

from __future__ import annotations

import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cliffkit.errors import UserError, cause
from cliffkit.hookspecs import RemoteFile
from cliffkit.store.checksums import checksum
from cliffkit.store.files import write_json, writing

CHUNK = 2**18
TIMEOUT_S = 30.0

WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Pauses before a file is asked for again. They begin anew once the file has grown by PROGRESS bytes in a try."""
PROGRESS = 2**20

LATER = (408, 425, 429)
"""Codes below 500 by which a server asks for another try."""

Show = Callable[[int, int | None], None]
"""Called with the bytes that are there, and those of the whole file where they are known."""
Tell = Callable[[str], None]


class _BrokeOff(Exception):  # noqa: N818  # no fault of anyone: tried again
    """A try ended before the file was whole. Another may succeed."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s
        """Pause that the server asks for."""


class _Unreachable(_BrokeOff):
    """No server answers at all."""


@dataclass(frozen=True)
class Partial:
    """A file that is not whole yet, with what tells whether the server still has the same one."""

    path: Path

    @classmethod
    def of(cls, final: Path) -> Partial:
        """Name the partial file of a final one."""
        return cls(final.with_name(f"{final.name}.partial"))

    @property
    def _facts(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self, url: str) -> str | None:
        """Look up the tag or time that the server gave the file; None where another address did, or none."""
        try:
            facts = json.loads(self._facts.read_text(encoding="utf-8"))
            return str(facts["validator"]) if facts["url"] == url and facts["validator"] else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def begin(self, url: str, validator: str | None) -> None:
        """Begin the file anew."""
        with writing(self.path):
            self.path.write_bytes(b"")
        write_json(self._facts, {"url": url, "validator": validator})

    def remove(self) -> None:
        """Remove the file and what is known of it."""
        self.path.unlink(missing_ok=True)
        self._facts.unlink(missing_ok=True)

    def finish(self, final: Path) -> None:
        """Give the file its final name."""
        with writing(final):
            self.path.replace(final)
        self._facts.unlink(missing_ok=True)


def fetch(
    file: RemoteFile, url: str, final: Path, show: Show, tell: Tell, sleep: Callable[[float], None] = time.sleep
) -> str:
    """Download a file from an address, and return its SHA-256.

    What an earlier call left of it is kept where the server still has the same file. Raises UserError where the server
    cannot be reached, does not have the file, has another one, breaks off too often, or where the disk is full.
    """
    partial = Partial.of(final)
    failures, reached, most = 0, False, partial.size
    while True:
        try:
            _try(file, url, partial, show, tell)
            break
        except _BrokeOff as error:
            gained = partial.size - most  # a file that is begun anew is no progress
            most = max(most, partial.size)
            reached = reached or gained > 0
            failures = 0 if gained >= PROGRESS else failures + 1
            kept = f"{partial.size:,} bytes are kept in {partial.path}, and the same command goes on from there"
            if isinstance(error, _Unreachable) and not reached:
                raise UserError(
                    f"{url}: {error}; is there a network, and a proxy to name in https_proxy? Else download the file "
                    f"on another machine and put it at {final}, or name another server with --url"
                ) from error
            if failures > len(WAITS_S):
                raise UserError(f"{url}: {error}, {failures} times in a row; {kept}; try later, or --url") from error
            wait_s = max(error.wait_s, WAITS_S[max(0, failures - 1)])
            tell(f"{final.name}: {error}; again in {wait_s:g} s")
            sleep(wait_s)
    tell(f"{final.name}: all bytes are here, and their SHA-256 is computed")
    sha256 = checksum(partial.path).sha256
    if file.sha256 not in (None, sha256):
        partial.remove()
        raise UserError(
            f"{url}: its SHA-256 is {sha256}, not {file.sha256}: it was damaged on its way, or is another file; it was "
            "removed, download it again, or name another server with --url"
        )
    partial.finish(final)
    return sha256


def check_room(folder: Path, needed: int) -> None:
    """Raise UserError where a folder's disk has less room than is needed, in bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(f"{folder}: {needed:,} bytes are needed and {free:,} are free; make room, or name another disk")


def _try(file: RemoteFile, url: str, partial: Partial, show: Show, tell: Tell) -> None:
    """Ask for what is missing of a file, and write what comes. Raises _BrokeOff where it does not come whole."""
    have, validator = partial.size, partial.validator(url)
    headers = {"Accept-Encoding": "identity", "User-Agent": "cliffkit"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with _opened(urllib.request.Request(url, headers=headers), url, partial) as response:
        resumed = response.status == 206
        if resumed:
            total = _total(response, have, partial)
            tell(f"{partial.path.name}: goes on after {have:,} bytes")
        else:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            if have:
                tell(f"{partial.path.name}: the server sends the file from its beginning")
        if file.size is not None and total not in (None, file.size):
            raise UserError(
                f"{url}: the server's file has {total:,} bytes, not {file.size:,}: it is another one; name another "
                "server with --url"
            )
        total = total if total is not None else file.size
        if not resumed:
            have = 0
            partial.begin(url, _validator(response))
        if total is not None:
            check_room(partial.path.parent, total - have)
        _write(response, partial, have, total, show)


def _write(response: http.client.HTTPResponse, partial: Partial, have: int, total: int | None, show: Show) -> None:
    with writing(partial.path), partial.path.open("ab") as stream:
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _BrokeOff(f"the connection broke off after {have:,} bytes ({cause(error)})") from error
            if not chunk:
                break
            stream.write(chunk)
            have += len(chunk)
            show(have, total)
    if total is not None and have < total:
        raise _BrokeOff(f"the connection broke off after {have:,} of {total:,} bytes")
    if total is not None and have > total:
        partial.remove()
        raise UserError(f"{response.url}: more than {total:,} bytes came: it is another file; see --url")


def _opened(request: urllib.request.Request, url: str, partial: Partial) -> Any:
    """Send a request. Raises _BrokeOff where another may succeed, else UserError."""
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # what is here is no beginning of what is there
                partial.remove()
                raise _BrokeOff("the server has less than what is here; it is begun anew") from error
            if error.code >= 500 or error.code in LATER:
                asked = error.headers.get("Retry-After", "")
                wait_s = min(60.0, float(asked)) if asked.isdecimal() else 0.0
                raise _BrokeOff(f"the server answers {error.code} {error.reason}", wait_s) from error
            raise UserError(
                f"{url}: the server answers {error.code} {error.reason}; the file may have moved: see the data set's "
                "page, and name another server with --url"
            ) from error
    except urllib.error.URLError as error:
        why = error.reason if isinstance(error.reason, Exception) else error
        raise _Unreachable(f"the server cannot be reached ({cause(why)})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokeOff(f"the connection broke off ({cause(error)})") from error


def _total(response: http.client.HTTPResponse, have: int, partial: Partial) -> int | None:
    """Read the whole file's size from the header of a part, which must begin where this file ends."""
    given = response.headers.get("Content-Range", "")
    span, _, whole = given.removeprefix("bytes ").partition("/")
    if span.partition("-")[0] != str(have):
        partial.remove()
        raise _BrokeOff(f"the server sends another part than was asked for ({given or 'it does not say which'})")
    return int(whole) if whole.isdecimal() else None


def _validator(response: http.client.HTTPResponse) -> str | None:
    """Find what tells a file from a changed one: a strong tag, else the time of its last change."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
