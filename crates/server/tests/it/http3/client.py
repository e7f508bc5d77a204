"""A client of HTTP/3 (aioquic): goes through what browsers and tools do, a line for each answer."""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.answers = {}
        self.ended = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated) and not self.ended.done():
            self.ended.set_result(event.error_code)
        if isinstance(event, StreamReset) and event.stream_id in self.answers:
            self.answers[event.stream_id].fail(event.error_code)
        for said in self.http.handle_event(event):
            if said.stream_id in self.answers:
                self.answers[said.stream_id].take(said)

    def begin(self, method, path, fields=(), end=True):
        stream = self._quic.get_next_available_stream_id()
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", b"shop.test"), (b":path", path)]
        self.http.send_headers(stream, head + list(fields), end_stream=end)
        self.answers[stream] = Answer()
        self.transmit()
        return stream

    async def ask(self, method, path, fields=(), body=None, trailers=None):
        stream = self.begin(method, path, fields, end=body is None)
        if body is not None:
            self.http.send_data(stream, body, end_stream=trailers is None)
            if trailers is not None:
                self.http.send_headers(stream, trailers, end_stream=True)
            self.transmit()
        return await asyncio.wait_for(self.answers[stream].done, 20)


class Answer:
    def __init__(self):
        self.heads, self.body = [], b""
        self.done = asyncio.get_running_loop().create_future()
        self.came = asyncio.Event()

    @property
    def status(self):
        return int(self.heads[0][b":status"])

    def field(self, name):
        return self.heads[0].get(name, b"").decode()

    def take(self, said):
        if isinstance(said, HeadersReceived):
            self.heads.append(dict(said.headers))
        if isinstance(said, DataReceived):
            self.body += said.data
        self.came.set()
        if said.stream_ended and not self.done.done():
            self.done.set_result(self)

    def fail(self, code):
        if not self.done.done():
            self.done.set_exception(ConnectionError(code))


def configuration(tickets=None):
    made = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="shop.test", max_datagram_size=1300)
    made.verify_mode = ssl.CERT_NONE
    made.session_ticket = tickets[-1] if tickets else None
    return made


async def session(port, act, tickets=None, local_port=0):
    keep = tickets.append if tickets is not None else None
    async with connect(
        "127.0.0.1",
        port,
        configuration=configuration(tickets),
        create_protocol=Client,
        session_ticket_handler=keep,
        local_port=local_port,
    ) as client:
        return await act(client)


async def plain(client):
    answer = await client.ask(b"GET", b"/hello?a=1")
    print("get", answer.status, json.loads(answer.body)["target"])
    answer = await client.ask(b"POST", b"/echo", body=b"x" * 300_000)
    print("post", answer.status, json.loads(answer.body)["body_length"])
    answer = await client.ask(b"POST", b"/echo", [(b"content-length", b"3")], body=b"abc", trailers=[(b"x-sum", b"1")])
    print("trailers", answer.status, json.loads(answer.body)["body_length"])
    answers = await asyncio.gather(*(client.ask(b"GET", b"/hello") for _ in range(100)))
    print("many", sorted({answer.status for answer in answers}), len(answers))
    answer = await client.ask(b"GET", b"/hello", [(b"cookie", b"a=1"), (b"cookie", b"b=2")])
    print("cookies", [value for name, value in json.loads(answer.body)["headers"] if name.lower() == "cookie"])


async def large(client):
    answer = await client.ask(b"GET", b"/large")
    print("large", answer.status, len(answer.body))


async def moved(client):
    answer = await client.ask(b"GET", b"/hello")
    print("before", answer.status)
    # what a NAT does that forgets: the same client, from another port
    loop = asyncio.get_running_loop()
    for _ in range(8):
        old = client._transport
        transport, _ = await loop.create_datagram_endpoint(lambda: client, local_addr=("::", 0))
        client._transport = transport
        answer = await client.ask(b"POST", b"/echo", body=b"y" * 5000)
        print("moved", answer.status, json.loads(answer.body)["body_length"])
        old.close()


async def resumed(client):
    answer = await client.ask(b"GET", b"/hello")
    print("resumed", client._quic.tls.session_resumed, answer.status)


async def cancelled(client):
    """Requests that are given up: those that were begun before others ended."""
    for _ in range(3):
        stream = client.begin(b"GET", b"/held")
        del client.answers[stream]
        client._quic.stop_stream(stream, 0x10C)
        client.transmit()
    answer = await client.ask(b"GET", b"/hello")
    print("after cancelled", answer.status)


async def websocket(client):
    stream = client._quic.get_next_available_stream_id()
    head = [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"https"),
        (b":authority", b"shop.test"),
        (b":path", b"/socket"),
        (b"sec-websocket-version", b"13"),
    ]
    client.http.send_headers(stream, head)
    answer = client.answers[stream] = Answer()
    client.transmit()
    await asyncio.wait_for(answer.came.wait(), 20)
    print("websocket", answer.status)
    # a text frame, masked with zeros
    client.http.send_data(stream, b"\x81\x85\x00\x00\x00\x00hello", end_stream=False)
    client.transmit()
    while not answer.body:
        answer.came.clear()
        await asyncio.wait_for(answer.came.wait(), 20)
    print("echoed", answer.body)


async def until_told(client):
    """Asks for something that takes its time, and waits for the end of the connection."""
    answer = await client.ask(b"GET", b"/held")
    print("answered", answer.status)
    print("ended", hex(await asyncio.wait_for(client.ended, 20)))


async def main():
    port, names = int(sys.argv[1]), sys.argv[2:]
    tickets = []
    for name in names:
        await session(port, globals()[name], tickets if name in ("plain", "resumed") else None)


asyncio.run(main())
