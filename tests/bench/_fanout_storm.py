"""A thousand clients that come back at once and lack a hundred events each."""

import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.bench._fanout_peers import Environment, running

CLIENTS, MISSED = 1000, 100
TAIL = 800  # bytes in which the end of what was received is searched

Took = tuple[float, int]  # seconds, and nanoseconds of the server's processor
LINE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer bench\r\n"
    "Origin: http://127.0.0.1:{port}\r\n{more}\r\n"
)
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def publish(driver: int, count: int) -> None:
    body = msgspec.json.encode({"text": "x" * 580})
    with socket.create_connection(("127.0.0.1", driver)) as line:
        for _ in range(count):
            head = f"POST /pub/0 HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            line.sendall(head.encode() + body)
            line.recv(1000)


def connect(port: int, request: bytes) -> list[socket.socket]:
    lines = []
    for _ in range(CLIENTS):
        line = socket.create_connection(("127.0.0.1", port))
        line.setblocking(False)
        if request:
            line.send(request)
        lines.append(line)
    return lines


def collect(lines: list[socket.socket], end: bytes) -> tuple[float, list[bytes]]:
    """Return when the last client received `end` (monotonic), and what each received."""
    poll = select.epoll()
    received: dict[int, list[bytes]] = {}
    known = {line.fileno(): line for line in lines}
    for number in known:
        poll.register(number, select.EPOLLIN)
        received[number] = [b""]
    left = set(received)
    while left:
        found = poll.poll(20)
        if not found:
            raise RuntimeError(f"{len(left)} clients received no end")
        for number, _ in found:
            data = known[number].recv(1 << 17)
            if end in received[number][-1][-TAIL:] + data[-TAIL:]:
                left.discard(number)
            received[number].append(data)
    return time.monotonic(), [b"".join(parts) for parts in received.values()]


def check(received: list[bytes], mark: bytes) -> None:
    """Raise `RuntimeError` unless each client received every event that it lacked once."""
    counts = {one.count(mark) for one in received}
    if counts != {MISSED}:
        raise RuntimeError(f"clients received {sorted(counts)} events, not {MISSED}")


def storm(environment: Environment, run: Callable[[int, int, int], Took]) -> None:
    with running("reelroom", environment) as peer:
        assert peer
        publish(environment.driver, MISSED)
        with socket.create_connection(("127.0.0.1", peer.port)) as line:
            line.sendall(request(peer.port, "/events/0").encode())
            received = b""
            while b"sync.ready" not in received or not received.endswith(b"\n\n\r\n"):
                received += line.recv(1 << 20)
        head = int(received.rpartition(b'"cursor":"bench.')[2].partition(b'"')[0])
        for _ in range(3):
            took, used = run(peer.port, peer.pids[0], head - MISSED)
            print(f"{took * 1000:8.0f} ms, of the server's processor {used / 1e6:.0f} ms")


def cpu(pid: int) -> int:
    """Nanoseconds on a processor so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def request(port: int, path: str, more: str = "") -> str:
    return LINE.format(path=path, port=port, more=more)


def over_sse(port: int, pid: int, after: int) -> Took:
    """Everything: handshakes, rights, catching up."""
    began, before = time.monotonic(), cpu(pid)
    asked = request(port, f"/events/0?after=bench.{after}").encode()
    lines = connect(port, asked)
    ended, received = collect(lines, b"sync.ready")
    took, used = ended - began, cpu(pid) - before
    check(received, b"event: scene.updated")
    for line in lines:
        line.close()
    return took, used


def over_socket(port: int, pid: int, after: int) -> Took:
    """Catching up alone: all are connected, and say hello at once."""
    lines = connect(port, request(port, "/socket/0", UPGRADE).encode())
    collect(lines, b"\r\n\r\n")
    hello = b'{"type":"hello","after":"bench.%d"}' % after
    frame = struct.pack("!BB4x", 0x81, 0x80 | len(hello)) + hello
    began, before = time.monotonic(), cpu(pid)
    for line in lines:
        line.send(frame)
    ended, received = collect(lines, b"sync.ready")
    took, used = ended - began, cpu(pid) - before
    check(received, b'"type":"scene.updated"')
    for line in lines:
        line.close()
    return took, used


def measure(environment: Environment) -> None:
    print(f"\n## {CLIENTS:,} clients come back and lack {MISSED} events each")
    print("SSE, with their handshakes and rights:")
    storm(environment, over_sse)
    print("WebSocket, connected, from their hello on:")
    storm(environment, over_socket)
