// A program that upgrades itself (nginx on SIGUSR2) hands its listeners to the new binary with an environment made from scratch: the
// preload object would be lost by that. So whoever inherits a selected listener gets it, unless the environment has a word on
// LD_PRELOAD itself. Every other environment is passed as it is.
#include "environ.h"

#include <fcntl.h>
#include <string.h>

#include "fdmap.h"
#include "knobs.h"
#include "raw.h"

static void look(int fd, struct file *f, void *found)
{
    if (f->kind == FD_LISTENER && RAW(SYS_fcntl, fd, F_GETFD) == 0)
        *(bool *)found = true;
}

static bool passes_listener(void)
{
    bool found = false;
    if (atomic_load(&fd_files) != 0)
        fd_each(NULL, look, &found);
    return found;
}

// has tells whether a variable of the same name as entry's is there.
static bool has(char *const envp[], const char *entry)
{
    size_t len = strcspn(entry, "=") + 1;
    for (; envp && *envp; envp++)
        if (strncmp(*envp, entry, len) == 0)
            return true;
    return false;
}

size_t environ_room(char *const envp[])
{
    if (!knobs.preload || has(envp, "LD_PRELOAD=") || !passes_listener())
        return 0;
    size_t n = 0;
    while (envp && envp[n])
        n++;
    return n + sizeof knobs.env / sizeof knobs.env[0] + 2;
}

char *const *environ_carry(char **room, char *const envp[])
{
    size_t n = 0;
    for (; envp && envp[n]; n++)
        room[n] = envp[n];
    room[n++] = (char *)knobs.preload;
    for (size_t i = 0; knobs.env[i]; i++)
        if (!has(envp, knobs.env[i]))
            room[n++] = (char *)knobs.env[i];
    room[n] = NULL;
    return room;
}
