"""Ten threads set and get, each its own keys, over several connections; the sum of all that came back is printed."""
import hashlib, socket, sys, threading

sums = {}


def talk(n):
    h = hashlib.sha256()
    for turn in range(3):
        s = socket.create_connection((sys.argv[1], 11211), 30)
        f = s.makefile("rb")
        for i in range(300):
            data = bytes([65 + n]) * (i * 37 % 9000)
            s.sendall(b"set k%d-%d 0 0 %d\r\n" % (n, i, len(data)) + data + b"\r\n")
            assert f.readline() == b"STORED\r\n"
        keys = b" ".join(b"k%d-%d" % (n, i) for i in range(20))
        s.sendall(b"get " + keys + b"\r\n")
        while (line := f.readline()) != b"END\r\n":
            h.update(line)
        s.close()
    sums[n] = h.hexdigest()


threads = [threading.Thread(target=talk, args=(n,)) for n in range(10)]
for t in threads:
    t.start()
for t in threads:
    t.join()
for n in sorted(sums):
    print(n, sums[n])
