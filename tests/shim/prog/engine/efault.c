// Addresses without memory: EFAULT, and the connection is as it was.
#include "../prog.h"

#include <sys/mman.h>

static int l, port, peer, fd;

static void try_recv(const char *name, void *at, size_t n)
{
    char b[16] = "";
    must(write(peer, "hello", 5) == 5, "give");
    UNTIL(recv(fd, b, 5, MSG_PEEK | MSG_DONTWAIT) == 5);
    result(name, recv(fd, at, n, 0));
    memset(b, 0, sizeof b);
    show("still there", "%zd %s", recv(fd, b, 5, MSG_WAITALL), b);
}

int main(void)
{
    char b[64] = "", *pages = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    must(munmap(pages + 4096, 4096) == 0 && mprotect(pages + 2 * 4096, 4096, PROT_READ) == 0 && mprotect(pages + 3 * 4096, 4096, PROT_NONE) == 0, "pages");
    char *bad[] = { NULL, (char *)8, (char *)0x7000dead0000, pages + 4096, pages + 2 * 4096 - 2, pages + 2 * 4096, pages + 3 * 4096 + 5, (char *)-4096 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char name[32];
        sprintf(name, "recv %zu", i);
        try_recv(name, bad[i], 5);
        if (i != 5) { // that one can be read
            sprintf(name, "send %zu", i);
            result(name, send(fd, bad[i], 5, 0));
        }
    }
    try_recv("recv across", pages + 4096 - 2, 5);
    result("send across", send(fd, pages + 4096 - 2, 5, 0));
    struct iovec v[] = { { b, 2 }, { (char *)16, 3 } };
    must(write(peer, "hello", 5) == 5, "give");
    UNTIL(recv(fd, b, 5, MSG_PEEK | MSG_DONTWAIT) == 5);
    result("readv", readv(fd, v, 2));
    result("writev", writev(fd, v, 2));
    result("thrown away", recv(fd, NULL, 5, MSG_TRUNC));
    result("nothing there", recv(fd, (char *)8, 5, MSG_DONTWAIT));
    result("nothing there", recv(fd, NULL, 5, MSG_DONTWAIT));
    must(write(peer, "abc", 3) == 3, "give");
    UNTIL(recv(fd, b, 3, MSG_PEEK | MSG_DONTWAIT) == 3);
    result("more room than memory", recv(fd, pages + 4096 - 3, 100, 0));
    result("served", send(fd, "xyz", 3, 0));
    memset(b, 0, sizeof b);
    show("peer got", "%zd %s", recv(peer, b, 3, MSG_WAITALL), b);
    result("nothing more", recv(peer, b, 3, MSG_DONTWAIT));
    return 0;
}
