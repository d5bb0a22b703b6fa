"""Three servers that do badly: the first resets, the second promises more than it says, the third says nothing."""
import socket, struct, sys, threading


def serve(port, act):
    ls = socket.create_server((sys.argv[1], port))
    while True:
        act(ls.accept()[0])


def reset(s):
    s.recv(1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def ends(s):
    s.recv(4096)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000)
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096):
        pass
    s.close()


kept = []
for port, act in ((9001, reset), (9002, ends), (9003, kept.append)):
    threading.Thread(target=serve, args=(port, act)).start()
