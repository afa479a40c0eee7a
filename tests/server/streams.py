"""Many calls at once from one thread: asynchronous clients on plain sockets."""

import asyncio
import json

from serving import COMPLETIONS, events_of, text_of


def request_bytes(path, body, **headers):
    data = json.dumps(body).encode()
    headers = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": len(data), "Connection": "close", **headers}
    return "\r\n".join([f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode() + data


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


async def call(port, path, body, **headers):
    """(status, body) of one call."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request_bytes(path, body, **headers))
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


async def leave_at(port, path, body, delay_s):
    """Begins a call and goes away, without a word, after so long; reads until then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes(path, body))
    try:
        await asyncio.wait_for(reader.read(-1), delay_s)
    except asyncio.TimeoutError:
        pass
    writer.transport.abort()


async def read_slowly(port, path, body, num_bytes, pause_s):
    """(status, body) of one call, read in small pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=num_bytes)
    try:
        writer.write(request_bytes(path, body))
        data = b""
        while part := await reader.read(num_bytes):
            data += part
            await asyncio.sleep(pause_s)
        head, _, rest = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), unchunk(rest) if b"chunked" in head else rest
    finally:
        writer.close()


async def pipelined(port, path, bodies):
    """[(status, body)] of calls that are sent at once on one connection; none may be streamed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for i, body in enumerate(bodies):
            writer.write(request_bytes(path, body, Connection="close" if i + 1 == len(bodies) else "keep-alive"))
        answers = []
        for _ in bodies:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(next(line.split(":")[1] for line in head.split("\r\n") if line.startswith("Content-Length:")))
            answers.append((int(head.split()[1]), await reader.readexactly(length)))
        return answers
    finally:
        writer.close()


async def gather(calls):
    return await asyncio.gather(*calls)
