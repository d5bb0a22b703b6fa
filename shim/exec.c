// Another program takes over, in this process or in a new one: connections it inherits become the kernel's before.
#include <errno.h>
#include <string.h>
#include <stdlib.h>

#include "environ.h"
#include "ours.h"
#include "process.h"
#include "raw.h"
#include "space.h"

extern char **environ;

// leave prepares for an exec that is likely to succeed; one that can't, as in a search along PATH, changes nothing.
static void leave(int dir, const char *path, int flags)
{
    if (atomic_load(&fd_files) == 0)
        return;
    int saved = errno;
    if (flags & AT_EMPTY_PATH || RAW(SYS_faccessat, dir, path, X_OK) >= 0) {
        handover_inherited();
        process_leave();
    }
    errno = saved;
}

// leave_search: execvp's look along PATH finds a program with this name.
static void leave_search(const char *file)
{
    if (atomic_load(&fd_files) == 0)
        return;
    if (strchr(file, '/')) {
        leave(AT_FDCWD, file, 0);
        return;
    }
    handover_inherited(); // most likely it is found; handing over harms nothing if it is not
    process_leave();
}

INTERPOSE int execve(const char *path, char *const argv[], char *const envp[])
{
    CARRY(env, envp);
    leave(AT_FDCWD, path, 0);
    bool left = space_leave(env);
    int r = real.execve(path, argv, env);
    space_back(left);
    return r;
}

INTERPOSE int execv(const char *path, char *const argv[])
{
    return execve(path, argv, environ);
}

INTERPOSE int execvp(const char *file, char *const argv[])
{
    return execvpe(file, argv, environ);
}

INTERPOSE int execvpe(const char *file, char *const argv[], char *const envp[])
{
    CARRY(env, envp);
    leave_search(file);
    bool left = space_leave(env);
    int r = real.execvpe(file, argv, env);
    space_back(left);
    return r;
}

INTERPOSE int fexecve(int fd, char *const argv[], char *const envp[])
{
    CARRY(env, envp);
    leave(fd, "", AT_EMPTY_PATH);
    bool left = space_leave(env);
    int r = real.fexecve(fd, argv, env);
    space_back(left);
    return r;
}

INTERPOSE int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
    CARRY(env, envp);
    leave(dir, path, flags);
    bool left = space_leave(env);
    int r = real.execveat(dir, path, argv, env, flags);
    space_back(left);
    return r;
}

// count_args counts the list of execl and its kin, with the NULL at its end.
static size_t count_args(va_list ap)
{
    size_t n = 2;
    while (va_arg(ap, char *))
        n++;
    return n;
}

static void fill_args(char **argv, const char *arg, va_list ap)
{
    *argv = (char *)arg;
    while (*argv)
        *++argv = va_arg(ap, char *);
}

// Each collects its list on the stack (malloc is not safe after fork in a threaded program).
#define COLLECT(argv, arg, ap)                    \
    va_list ap, count;                            \
    va_start(ap, arg);                            \
    va_copy(count, ap);                           \
    char *argv[count_args(count)];                \
    va_end(count);                                \
    fill_args(argv, arg, ap)

INTERPOSE int execl(const char *path, const char *arg, ...)
{
    COLLECT(argv, arg, ap);
    va_end(ap);
    return execve(path, argv, environ);
}

INTERPOSE int execlp(const char *file, const char *arg, ...)
{
    COLLECT(argv, arg, ap);
    va_end(ap);
    return execvp(file, argv);
}

INTERPOSE int execle(const char *path, const char *arg, ...)
{
    COLLECT(argv, arg, ap);
    char **envp = va_arg(ap, char **);
    va_end(ap);
    return execve(path, argv, envp);
}

INTERPOSE int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *at,
                          char *const argv[], char *const envp[])
{
    CARRY(env, envp);
    handover_inherited();
    return real.posix_spawn(pid, path, fa, at, argv, env);
}

INTERPOSE int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *at,
                           char *const argv[], char *const envp[])
{
    CARRY(env, envp);
    handover_inherited();
    return real.posix_spawnp(pid, file, fa, at, argv, env);
}

// The child will have fd as another number, without FD_CLOEXEC.
INTERPOSE int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *fa, int fd, int to)
{
    handover_for_good(fd);
    return real.posix_spawn_file_actions_adddup2(fa, fd, to);
}

// libc starts the shell of these two itself.
INTERPOSE int system(const char *line)
{
    if (line)
        handover_inherited();
    return real.system(line);
}

INTERPOSE FILE *popen(const char *line, const char *mode)
{
    handover_inherited();
    return real.popen(line, mode);
}
