# A program that connects by the kernel's connect, or accepts by its accept, and then sends each line of its standard input to its peer and writes what comes back. It waits for
# that as it is told, or has done something to the connection that keeps it with the kernel. First it writes the port that it has.
import asyncio, os, select, socket, sys, threading

peer, how = (sys.argv[1], 7777), sys.argv[2]


def say(b):
    os.write(1, b)


def accept():
    return socket.create_server(("", 7777)).accept()[0]


def connect():
    s = socket.socket(socket.AF_INET6 if ":" in peer[0] else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if how == "priority":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 3)
    if how != "select":
        s.connect(peer)
        return s
    s.setblocking(False)
    s.connect_ex(peer)
    select.select([], [s], [])
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    return s


def wait(s):
    if how == "select":
        select.select([s], [], [])
    if how == "poll":
        p = select.poll()
        p.register(s, select.POLLIN)
        p.poll()


def answer(s):
    got = b""
    while not got.endswith(b"\n"):
        wait(s)
        got += s.recv(1 << 16)
    return got


def in_turn(s):
    while line := os.read(0, 1 << 16):
        s.sendall(line)
        say(answer(s))


# A thread of its own is in recv all the time.
def with_thread(s):
    def answers():
        while b := s.recv(1 << 16):
            say(b)

    t = threading.Thread(target=answers)
    t.start()
    while line := os.read(0, 1 << 16):
        s.sendall(line)
    s.shutdown(socket.SHUT_WR)
    t.join()


async def by_epoll(s):
    reader, writer = await asyncio.open_connection(sock=s)
    loop = asyncio.get_running_loop()

    def more():
        if line := os.read(0, 1 << 16):
            writer.write(line)
        else:
            loop.remove_reader(0)
            writer.write_eof()

    loop.add_reader(0, more)
    while line := await reader.readline():
        say(line)


s = accept() if how == "accept" else connect()
if how == "dup":
    other = os.dup(s.fileno())
if how == "fork":
    end = os.pipe()
    if os.fork() == 0:
        os.close(end[1])
        os.read(end[0], 1)
        os._exit(0)
say(b"%d\n" % s.getsockname()[1])
if how == "epoll":
    asyncio.run(by_epoll(s))
elif how == "thread":
    with_thread(s)
else:
    in_turn(s)
