"""An HTTP server in one of three styles: GET /N answers N bytes, PUT answers the sum of what came."""
import asyncio, hashlib, http.server, socketserver, sys

kind, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def page(n):
    return (b"0123456789abcdef" * (n // 16 + 1))[:n]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(page(int(self.path[1:])))

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode() + b"\n")


async def serve(reader, writer):
    try:
        while (line := await reader.readline()).strip():
            method, path, _ = line.decode().split()
            size, expect = 0, False
            while (h := await reader.readline()).strip():
                name, _, value = h.decode().partition(":")
                if name.lower() == "content-length":
                    size = int(value)
                expect |= name.lower() == "expect"
            if expect:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = await reader.readexactly(size)
            body = page(int(path[1:])) if method == "GET" else hashlib.sha256(data).hexdigest().encode() + b"\n"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()


async def main():
    async with await asyncio.start_server(serve, addr, port, backlog=128) as s:
        await s.serve_forever()


if kind == "asyncio":
    asyncio.run(main())
else:
    mixin = {"threads": socketserver.ThreadingMixIn, "forks": socketserver.ForkingMixIn}[kind]
    server = type("Server", (mixin, http.server.HTTPServer), {"daemon_threads": True, "request_queue_size": 128, "max_children": 100})
    server((addr, port), Handler).serve_forever()
