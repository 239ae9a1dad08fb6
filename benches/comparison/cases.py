"""The cases: what is asked in each, and the files that are served.

Owns: requests, connections, and the proof that a server answers a case rightly before it is
measured. Must not: measure, know how a server is started.
"""

import collections
import os
import re
import shutil
import socket
import zlib

MIB = 1 << 20
# bytes: of the content of an answer, None: whatever the first one has; put: bytes of an upload, or
# None; requests: of a round, None: as many as fit into its time.
Case = collections.namedtuple("Case", "name words connections in_flight close path status bytes "
                              "put requests")

SMALL_BYTES = 1024
PATIENCE_S = 60
# Small files that the cache of a small device has no room for all of.
PAGES = [f"/page{index}" for index in range(96)]
PAGE_BYTES = 2048


def small(name, words, connections, in_flight=1, close=False, path="/1k", status=200,
          content=SMALL_BYTES):
    return Case(name, words, connections, in_flight, close, path, status, content, None, None)


def all_cases(quick):
    """Every case in order; a quick run has a smaller file where 1 GiB is due."""
    large = 128 * MIB if quick else 1024 * MIB
    size = "128 MiB" if quick else "1 GiB"
    found = [
        small("ka1", "1 KiB, 1 connection", 1),
        small("ka64", "1 KiB, 64 connections", 64),
        small("ka1000", "1 KiB, 1,000 connections", 1000),
        small("pipe16", "16 connections with 16 pipelined requests", 16, in_flight=16),
        small("close", "a new connection per request, 32 at once", 32, close=True),
        small("n304", "304, 64 connections", 64, status=304, content=0),
        small("e404", "404, 64 connections", 64, path="/none", status=404, content=None),
        Case("f10m", "file of 10 MiB, 1 connection", 1, 1, False, "/10m", 200, 10 * MIB, None,
             None),
        Case("f1g", f"file of {size}, 1 connection", 1, 1, False, "/large", 200, large, None,
             1),
        Case("put1g", f"PUT of {size}, 1 connection", 1, 1, False, "/put/new", 201, None, large,
             1),
    ]
    return {case.name: case for case in found}


def is_large(case):
    """Whether its cost is per GiB."""
    return bool(case.put) or (case.bytes or 0) >= MIB


def gib(case):
    """GiB that one request moves."""
    return (case.put or case.bytes) / (1 << 30)


def scale(case):
    """What ns of a request are divided by, the unit that gives, and how it is written."""
    if is_large(case):
        return gib(case) * 1e9, "s/GiB", ".3f"
    return 1e3, "us", ".2f"


class Site:
    """The directory that all serve."""

    def __init__(self, place, large_bytes):
        self.root = os.path.join(place, "site")
        os.makedirs(os.path.join(self.root, "put"))
        self.large_bytes = large_bytes
        block = bytes((index * 7 + index // 251) % 256 for index in range(MIB))
        self.sums = {}
        for name, size in [("/1k", SMALL_BYTES), ("/10m", 10 * MIB), ("/large", large_bytes),
                           *((path, PAGE_BYTES) for path in PAGES)]:
            total = 0
            with open(self.root + name, "wb") as file:
                for at in range(0, size, MIB):
                    piece = block[:min(MIB, size - at)]
                    file.write(piece)
                    total = zlib.crc32(piece, total)
            self.sums[name] = total
        # The peers serve as nobody, and take uploads so.
        for folder, names, files in os.walk(place):
            for name in [folder, *(os.path.join(folder, one) for one in names)]:
                os.chmod(name, 0o755)
            for name in files:
                os.chmod(os.path.join(folder, name), 0o644)
        os.chmod(os.path.join(self.root, "put"), 0o777)

    def clear(self):
        """Without what was uploaded."""
        for name in os.listdir(os.path.join(self.root, "put")):
            path = os.path.join(self.root, "put", name)
            if os.path.isfile(path):
                os.remove(path)

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Wrong(Exception):
    """A server does not answer a case as it is due."""


Answer = collections.namedtuple("Answer", "status fields bytes sum")


class Reader:
    """Answers from one connection, one by one."""

    def __init__(self, connection):
        self.connection, self.data = connection, b""

    def more(self):
        """Whether more came."""
        piece = self.connection.recv(MIB)
        self.data += piece
        return bool(piece)

    def answer(self):
        """The next one."""
        while b"\r\n\r\n" not in self.data:
            if not self.more():
                raise Wrong("the connection ended without an answer")
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        match = re.match(r"HTTP/1\.1 (\d{3})", lines[0])
        if not match:
            raise Wrong(f"no status line: {lines[0][:60]}")
        fields = {name.strip().lower(): value.strip() for name, _, value in
                  (line.partition(":") for line in lines[1:])}
        status = int(match[1])
        if status in (204, 304):
            return Answer(status, fields, 0, 0)
        if "content-length" not in fields:
            raise Wrong("an answer without a length")
        due, total, here = int(fields["content-length"]), 0, 0
        while here < due:
            if not self.data and not self.more():
                raise Wrong(f"{here} of {due} bytes came")
            piece, self.data = self.data[:due - here], self.data[due - here:]
            total = zlib.crc32(piece, total)
            here += len(piece)
        return Answer(status, fields, due, total)

    def end(self):
        """Nothing follows but the end."""
        if self.data or self.more():
            raise Wrong("bytes behind the last answer")


def head(path, port, *fields):
    """A request, as load.rs sends it."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "User-Agent: load", "Accept: */*",
             *fields]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def condition(port, path):
    """The field that has a server say 304."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(head(path, port))
        fields = Reader(connection).answer().fields
    if "etag" in fields:
        return f"If-None-Match: {fields['etag']}"
    if "last-modified" in fields:
        return f"If-Modified-Since: {fields['last-modified']}"
    raise Wrong("no validator")


def prove(case, port, site):
    """One batch of the case, answered rightly, twice; the further fields of its requests."""
    if case.put:
        return []
    fields = [condition(port, case.path)] if case.status == 304 else []
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        reader = Reader(connection)
        last = ["Connection: close"] if case.close else []
        for _ in range(1 if case.close or is_large(case) else 2):
            connection.sendall(head(case.path, port, *fields, *last) * case.in_flight)
            for _ in range(case.in_flight):
                answer = reader.answer()
                if answer.status != case.status:
                    raise Wrong(f"status {answer.status} where {case.status} is due")
                if case.bytes is not None and answer.bytes != case.bytes:
                    raise Wrong(f"{answer.bytes} bytes where {case.bytes} are due")
                if case.status == 200 and answer.sum != site.sums[case.path]:
                    raise Wrong("not the bytes of the file")
        if case.close:
            reader.end()
    return fields


def prove_put(case, site):
    """What was uploaded is there, whole and right; it is removed."""
    path = os.path.join(site.root, case.path.lstrip("/"))
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != case.put:
                raise Wrong(f"{size} of {case.put} bytes were kept")
            for piece in iter(lambda: file.read(MIB), b""):
                if piece.count(b"u") != len(piece):
                    raise Wrong("not the bytes that were sent")
    except FileNotFoundError:
        raise Wrong("an upload that was answered is not there") from None
    finally:
        site.clear()
