"""Many calls at once from one thread: asynchronous clients on plain sockets."""

import asyncio
import json

from serving import COMPLETIONS, events_of, text_of


def request_bytes(path, body):
    data = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data


def unchunk(data):
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        num = int(size, 16)
        body += data[:num]
        data = data[num + 2:]
        if num == 0:
            break
    return body


async def call(port, path, body):
    """(status, body) of one call."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request_bytes(path, body))
        await writer.drain()
        head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
        return int(head.split()[1]), unchunk(rest) if b"chunked" in head else rest
    finally:
        writer.close()


async def stream_text(port, body, path=COMPLETIONS):
    status, data = await call(port, path, {**body, "stream": True})
    assert status == 200, data
    events = events_of(data)
    errors = [event for event in events if "error" in event]
    assert not errors, errors
    return text_of(events)


async def leave_after(port, body, num_bytes, path=COMPLETIONS):
    """Begins a call and goes away, without a word, after so many bytes of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes(path, body))
    await writer.drain()
    received = b""
    while len(received) < num_bytes:
        part = await reader.read(num_bytes - len(received))
        if not part:
            break
        received += part
    writer.transport.abort()
    return len(received)


async def gather(calls):
    return await asyncio.gather(*calls)
