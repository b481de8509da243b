"""What httptools (llhttp) and h11 make of requests: for the module beside it.

Each line of the input is a stream in hexadecimal digits. Each line of the output says in JSON which
requests each of them saw in it, as [method, target, body] in hexadecimal digits, and whether it
refused what came after them.
"""

import json
import sys

import h11
import httptools


class Seen:
    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.url = b""
        self.body = b""
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.url = self.body = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        request = (self.parser.get_method(), self.url, self.body)
        self.requests.append([part.hex() for part in request])


def by_httptools(stream: bytes) -> tuple[list[list[str]], bool]:
    seen = Seen()
    try:
        seen.parser.feed_data(stream)
    except httptools.HttpParserError:
        return seen.requests, True
    except httptools.HttpParserUpgrade:
        # It leaves what comes after the head, a body too, to the protocol that was asked for.
        return seen.requests[:-1], True
    return seen.requests, False


def by_h11(stream: bytes) -> tuple[list[list[str]], bool]:
    requests: list[list[str]] = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(stream)
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                parts = (request.method, request.target, body)
                requests.append([bytes(part).hex() for part in parts])
                connection.send(h11.Response(status_code=204, headers=[]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    return requests, True
                connection.start_next_cycle()
            else:
                return requests, False
    except h11.ProtocolError:
        return requests, True


for line in sys.stdin:
    stream = bytes.fromhex(line)
    print(json.dumps([by_httptools(stream), by_h11(stream)]))
