"""Two kinds of Python clients against serve.py."""
import asyncio, hashlib, sys, urllib.request

addr, port = sys.argv[1], int(sys.argv[2])
url = f"http://{addr}:{port}"
for n in (1, 1000, 1000000):
    print(n, hashlib.sha256(urllib.request.urlopen(f"{url}/{n}", timeout=30).read()).hexdigest())


async def ask(i):
    reader, writer = await asyncio.open_connection(addr, port)
    total = 0
    for n in range(20):
        writer.write(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % (i * n * 10))
        await writer.drain()
        size = 0
        while (h := await reader.readline()).strip():
            if h.lower().startswith(b"content-length:"):
                size = int(h.split(b":")[1])
        total += len(await reader.readexactly(size))
    writer.close()
    await writer.wait_closed()
    return total


async def main():
    print(await asyncio.gather(*(ask(i) for i in range(50))))


asyncio.run(main())
