"""The clients of the scenarios: what one of them does, and what it lived through.

Owns: the bytes of each scenario, reading answers, telling an end in peace from a reset.
Must not: judge; start servers; know which server it talks to.

Each client gives a report, a dictionary: `due` answers are owed to it and `delivered` came whole;
`sent` is "whole" or the error of a send; `end` is "fin", "kept" (the connection is good for
another request), "reset", "silent" (the client gave up) or "open"; `seconds` from the connect on.
"""

import errno
import select
import socket
import struct
import threading
import time

from servers import FILES, REFUSED

# A client gives up after this long, whatever comes.
PATIENCE_S = 45
# Between the end of the upload and the first look at the answer, shorter than any goodbye.
LATE_S = 1.0
# How long a reset that follows the end may be on its way, beside the round trip.
GRACE_S = 0.05
# Between the two pieces of a request, where nothing is meant to happen between them.
PAUSE_S = 0.02
PIECE = bytes(64 << 10)


def name(error):
    """The word for an error of a socket."""
    if isinstance(error, TimeoutError):
        return "silent"
    return errno.errorcode.get(error.errno, str(error))


def connect(address, port, patience_s=PATIENCE_S, receive_bytes=None):
    """A connection whose calls end when the patience does."""
    link = socket.socket()
    if receive_bytes:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.settimeout(patience_s)
    link.connect((address, port))
    return link


def put(link, data):
    """Sends all; "whole", or what went wrong."""
    try:
        link.sendall(data)
        return "whole"
    except OSError as error:
        return name(error)


def answers(data, ended):
    """The whole answers at the start of `data`: (status, whether it says that it is the last).

    An answer without a length ends with the connection.
    """
    found = []
    while True:
        head, mark, rest = data.partition(b"\r\n\r\n")
        if not mark:
            return found
        lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b":", 1) for line in lines[1:] if b":" in line)
        status = int(lines[0].split(b" ")[1])
        last = (fields.get(b"connection", b"").strip() == b"close"
                or lines[0].startswith(b"HTTP/1.0"))
        if b"content-length" in fields:
            length = int(fields[b"content-length"])
            if len(rest) < length:
                return found
            data = rest[length:]
        elif b"chunked" in fields.get(b"transfer-encoding", b""):
            body, mark, data = rest.partition(b"0\r\n\r\n")
            if not mark:
                return found
        else:
            if not ended:
                return found
            data = b""
        found.append((status, last))


class Ear:
    """Hears a connection: its bytes, and how it ends."""

    def __init__(self, link, rtt_s):
        self.link, self.rtt_s = link, rtt_s
        self.data = b""
        self.end = "open"

    def more(self, most=65536):
        """One read; whether there may be more."""
        try:
            piece = self.link.recv(most)
        except OSError as error:
            self.end = "silent" if name(error) == "silent" else "reset"
            return False
        if not piece:
            self.end = "fin"
            return False
        self.data += piece
        return True

    def until(self, due):
        """Hears until `due` answers are there and the last of them keeps, or until the end."""
        while True:
            heard = answers(self.data, False)
            if len(heard) >= due and not heard[due - 1][1]:
                self.end = "kept"
                break
            if not self.more():
                break
        return answers(self.data, self.end == "fin")

    def reset_afterwards(self):
        """Whether a reset follows the end: a client that looks at its socket sees it."""
        if self.end != "fin":
            return self.end == "reset"
        time.sleep(2 * self.rtt_s + GRACE_S)
        return self.link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def report(ear, sent, due, heard, began):
    """What a client lived through, from what it noted."""
    failed = sent not in ("whole", "silent") or ear.reset_afterwards()
    return {"due": due, "delivered": min(len(heard), due), "sent": sent, "end": ear.end,
            "reset": failed, "statuses": [status for status, _ in heard][:8],
            "bytes": len(ear.data), "seconds": round(time.monotonic() - began, 3)}


def upload(place, size, late):
    """A refused upload: everything is written first; `late` looks at the answer a while after."""
    address, port, rtt_s = place
    began = time.monotonic()
    link = connect(address, port)
    head = (f"POST {REFUSED} HTTP/1.1\r\nHost: lab\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Length: {size}\r\n\r\n").encode()
    sent = put(link, head)
    left = size
    while left and sent == "whole":
        if time.monotonic() - began > PATIENCE_S:
            sent = "silent"
            break
        piece = PIECE[:left]
        sent = put(link, piece)
        if sent == "whole":
            left -= len(piece)
    took_s = time.monotonic() - began
    if late:
        time.sleep(LATE_S)
    ear = Ear(link, rtt_s)
    heard = ear.until(1)
    found = report(ear, sent, 1, heard, began)
    found["cut_after_s"] = round(took_s, 3) if left else None
    link.close()
    return found


def get(name_of_file, *fields):
    """A request for one of the files."""
    lines = [f"GET /{name_of_file} HTTP/1.1", "Host: lab", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def pipeline(place):
    """Three requests, one that is broken (it has no Host), and a thousand that come for nothing."""
    address, port, rtt_s = place
    began = time.monotonic()
    link = connect(address, port, 20)
    sent = put(link, get("32k") * 3 + b"GET /32k HTTP/1.1\r\nAccept: */*\r\n\r\n"
               + get("small") * 1000)
    ear = Ear(link, rtt_s)
    while ear.more():
        pass
    heard = answers(ear.data, ear.end == "fin")
    found = report(ear, sent, 4, heard, began)
    statuses = [status for status, _ in heard]
    found["right"] = statuses[:3] == [200] * 3 and statuses[3:] == [400]
    link.close()
    return found


def half_closed(place):
    """One request, and the client's FIN right behind it. The answer is still owed."""
    address, port, rtt_s = place
    began = time.monotonic()
    link = connect(address, port, 20)
    sent = put(link, get("256k"))
    link.shutdown(socket.SHUT_WR)
    ear = Ear(link, rtt_s)
    while ear.more():
        pass
    found = report(ear, sent, 1, answers(ear.data, ear.end == "fin"), began)
    link.close()
    return found


def slow_reader(place):
    """Reads little by little, and not at all for 3 s, twice: once near the end."""
    address, port, rtt_s = place
    began = time.monotonic()
    link = connect(address, port, receive_bytes=8192)
    sent = put(link, get("512k", "Connection: close"))
    ear = Ear(link, rtt_s)
    pauses = [FILES["512k"] // 3, FILES["512k"] - 20_000]
    while ear.more(8192):
        if pauses and len(ear.data) > pauses[0]:
            pauses.pop(0)
            time.sleep(3)
        time.sleep(0.02)
    found = report(ear, sent, 1, answers(ear.data, ear.end == "fin"), began)
    link.close()
    return found


def idle_s(place):
    """How long this server keeps an idle connection, as its client sees it; None: it keeps none."""
    address, port, rtt_s = place
    with connect(address, port, 10) as link:
        put(link, get("small"))
        ear = Ear(link, rtt_s)
        ear.until(1)
        if ear.end != "kept":
            return None
        began = time.monotonic()
        ear.more()
        return time.monotonic() - began


def heard_after_s(link):
    """Seconds from the last bytes that were sent to the last packet that came, of the kernel's
    clock (tcpi_last_data_sent and tcpi_last_ack_recv of linux/tcp.h), so that a client that is
    late does not count."""
    info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 60)
    sent_ms, = struct.unpack_from("=I", info, 44)
    came_ms, = struct.unpack_from("=I", info, 56)
    return (sent_ms - came_ms) / 1000


def in_pieces(link, request, pause_s):
    """Sends one byte, and the rest after the pause if the connection has not ended until then.

    What became of it, and how long the byte had been sent when the end came, or None.
    """
    sent = put(link, request[:1])
    if sent == "whole" and select.select([link], [], [], pause_s)[0]:
        return sent, heard_after_s(link)
    return (put(link, request[1:]) if sent == "whole" else sent), None


def race(place, offset_s, pause_s):
    """A second request `offset_s` behind the first answer; its first byte alone then, and the rest
    after a pause, if there is one.

    `outcome`: "answered", "fin" (no byte of an answer), "early" (the end had come before the
    request was sent), or what else happened. `pause_s` is that of the request, `ended_after_s`
    how long its first byte had been sent when the end came in the pause.
    """
    address, port, rtt_s = place
    began = time.monotonic()
    link = connect(address, port, 15)
    put(link, get("small"))
    ear = Ear(link, rtt_s)
    ear.until(1)
    if ear.end != "kept":
        return {"outcome": f"first answer: {ear.end}", "reset": False}
    first = len(ear.data)
    asked = time.monotonic()
    time.sleep(max(0.0, asked + offset_s - time.monotonic()))
    link.setblocking(False)
    try:
        early = link.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        early = False
    except OSError:
        link.close()
        return {"outcome": "reset", "reset": True}
    link.settimeout(15)
    if early:
        link.close()
        return {"outcome": "early", "reset": False}
    request = get("small", "Connection: close")
    ended_after_s = None
    if pause_s:
        sent, ended_after_s = in_pieces(link, request, pause_s)
    else:
        sent = put(link, request)
    while ear.more():
        pass
    heard = answers(ear.data, ear.end == "fin")
    if ear.end == "fin" and len(heard) == 2 and heard[1][0] == 200:
        outcome = "answered"
    elif ear.end == "fin" and len(ear.data) == first:
        outcome = "fin"
    elif len(ear.data) == first:
        outcome = "reset"
    else:
        outcome = f"torn: {ear.end}, {[status for status, _ in heard]}"
    failed = outcome not in ("answered",) and (sent != "whole" or ear.reset_afterwards())
    link.close()
    return {"outcome": outcome, "reset": failed, "pause_s": pause_s,
            "ended_after_s": ended_after_s, "seconds": time.monotonic() - began}


def endless(place, most_bytes):
    """An upload that never ends, in chunks, as fast as it goes; how much of it was taken."""
    address, port, _ = place
    began = time.monotonic()
    link = connect(address, port)
    sent = put(link, f"POST {REFUSED} HTTP/1.1\r\nHost: lab\r\n"
               "Transfer-Encoding: chunked\r\n\r\n".encode())
    chunk = b"10000\r\n" + PIECE + b"\r\n"
    taken = 0
    while sent == "whole" and taken < most_bytes and time.monotonic() - began < PATIENCE_S:
        sent = put(link, chunk)
        taken += len(chunk)
    found = {"sent": sent, "bytes": taken, "seconds": round(time.monotonic() - began, 3)}
    link.close()
    return found


def together(function, many):
    """Calls `function` with each of `many` at the same time; the results in order."""
    results = [None] * len(many)

    def one(index):
        try:
            results[index] = function(*many[index])
        except OSError as error:
            results[index] = {"failed": name(error), "outcome": name(error), "due": 1,
                              "delivered": 0, "reset": name(error) == "ECONNRESET"}

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(many))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
