"""RFC 6455, as much as an echo needs: masked binary messages of up to 64 KiB there and back."""
import base64, hashlib, os, socket, struct, sys, threading

what, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def head(f):
    lines = {}
    first = f.readline()
    while (line := f.readline()).strip():
        name, _, value = line.decode().partition(":")
        lines[name.lower()] = value.strip()
    return first, lines


def frame(data, mask):
    n = bytes([0x82])
    bit = 0x80 if mask else 0
    n += bytes([bit | len(data)]) if len(data) < 126 else bytes([bit | 126]) + struct.pack(">H", len(data)) if len(data) < 65536 else bytes([bit | 127]) + struct.pack(">Q", len(data))
    if not mask:
        return n + data
    key = b"\x11\x22\x33\x44"
    return n + key + bytes(b ^ key[i & 3] for i, b in enumerate(data))


def message(f):
    h = f.read(2)
    if len(h) < 2 or h[0] & 15 == 8:
        return None
    n = h[1] & 127
    if n == 126:
        n = struct.unpack(">H", f.read(2))[0]
    elif n == 127:
        n = struct.unpack(">Q", f.read(8))[0]
    key = f.read(4) if h[1] & 128 else b"\0\0\0\0"
    return bytes(b ^ key[i & 3] for i, b in enumerate(f.read(n)))


def serve(s):
    f = s.makefile("rb")
    _, lines = head(f)
    accept = base64.b64encode(hashlib.sha1(lines["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while (m := message(f)) is not None:
        s.sendall(frame(m, False))
    s.close()


if what == "serve":
    ls = socket.create_server((addr, port), backlog=64)
    while True:
        threading.Thread(target=serve, args=(ls.accept()[0],), daemon=True).start()
else:
    for turn in range(3):
        s = socket.create_connection((addr, port), 30)
        s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        f = s.makefile("rb")
        first, lines = head(f)
        print(first.decode().strip(), lines["sec-websocket-accept"])
        for n in (0, 1, 125, 126, 1000, 65535, 65536, 200000):
            data = (b"0123456789" * (n // 10 + 1))[:n]
            s.sendall(frame(data, True))
            print(n, "echoed" if message(f) == data else "spoilt")
        s.sendall(b"\x88\x80\0\0\0\0")
        s.close()
