// A thread looks at numbers that the program never gave a descriptor to, while another connects and the engine starts: there is
// nothing to be read from any of them, ever.
//
//   strangers HOST PORT
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOW 3
#define HIGH 24 // numbers that are looked at; the program's own lie above
#define AT_ONCE 40

static _Atomic bool over;
static _Atomic long octets;

static void *look(void *none)
{
    while (!over)
        for (int fd = LOW; fd < HIGH; fd++) {
            char b[256];
            ssize_t n = recv(fd, b, sizeof b, MSG_PEEK | MSG_DONTWAIT);
            if (n > 0 && octets == 0)
                printf("number %d: %zd octets, the first is %d\n", fd, n, b[0]);
            if (n > 0)
                octets += n;
        }
    return none;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])) };
    sa.sin_addr.s_addr = inet_addr(argv[1]);
    pthread_t t;
    int fds[AT_ONCE];
    closefrom(LOW);
    for (int fd = LOW; fd < HIGH; fd++) // so that the program's own are higher
        if (open("/dev/null", O_RDONLY) != fd)
            return 3;
    for (int i = 0; i < AT_ONCE; i++)
        if ((fds[i] = socket(AF_INET, SOCK_STREAM, 0)) < 0)
            return 3;
    for (int fd = LOW; fd < HIGH; fd++)
        close(fd);
    pthread_create(&t, NULL, look, NULL);
    int made = 0;
    for (int i = 0; i < AT_ONCE; i++)
        made += connect(fds[i], (struct sockaddr *)&sa, sizeof sa) == 0;
    over = true;
    pthread_join(t, NULL);
    printf("%d connections, %ld octets\n", made, octets);
    return 0;
}
