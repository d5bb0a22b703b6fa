# Several clients at once, before anybody answers; then each by itself, with mail of some size.
import imaplib, socket, sys, threading

host, port = sys.argv[1], int(sys.argv[2])
text = b"Subject: %d\r\n\r\n" + b"0123456789abcdef\r\n" * 20000

first = [socket.create_connection((host, port), 30) for _ in range(6)]
for s in first:
    f = s.makefile("rb")
    f.readline()
    s.sendall(b"a NOOP\r\nb LOGOUT\r\n")
    print([line.split(b" ")[:2] for line in f])

def session(n, said):
    m = imaplib.IMAP4(host, port, timeout=30)
    said.append(m.login("u%d" % n, "secret")[0])
    for i in range(5):
        said.append(m.append("INBOX", None, None, text % i)[0])
    said.append(m.select("INBOX"))
    for i in range(5):
        ok, parts = m.fetch(str(i + 1), "(RFC822.SIZE BODY.PEEK[])")
        said.append((ok, len(parts[0][1]), parts[0][1] == text % i))
    said.append(m.search(None, "SUBJECT", "3"))
    said.append(m.store("1:3", "+FLAGS", "\\Deleted")[0])
    said.append(m.expunge())
    said.append(m.logout()[0])

said = [[] for _ in range(8)]
threads = [threading.Thread(target=session, args=(n, said[n])) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
for s in said: print(s)

late = imaplib.IMAP4(host, port, timeout=30)
try:
    late.login("u0", "wrong")
except imaplib.IMAP4.error as e:
    print(e)
print(late.logout()[0])
