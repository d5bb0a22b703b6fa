// Executes itself with an environment made from scratch, as nginx does on SIGUSR2, and shows what arrives.
// upgrade HOW: HOW is kept (the listener is inherited), cloexec (it is not), own (the new environment has an LD_PRELOAD).
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int arrived(char **envp)
{
    for (; *envp; envp++)
        puts(*envp);
    return 0;
}

int main(int argc, char **argv, char **envp)
{
    if (argc < 2)
        return arrived(envp);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (void *)&in, sizeof in) != 0 || listen(fd, 8) != 0)
        return 1;
    if (strcmp(argv[1], "cloexec") == 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (char **e = envp; *e; e++) // the title is written over it
        memset(*e, 0, strlen(*e));
    char *args[] = { argv[0], NULL };
    char *env[] = { "NGINX=5;", strcmp(argv[1], "own") == 0 ? "LD_PRELOAD=" : NULL, NULL };
    execve("/proc/self/exe", args, env);
    return 2;
}
