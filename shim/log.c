// Writes log lines without libc's streams; safe in a signal handler.
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdmap.h"
#include "knobs.h"
#include "raw.h"

static struct stat stderr_was;
static bool have_stderr;
static char program[32] = "?"; // a copy: the title of nginx is written over the original
static _Atomic int log_fd = -1;

void log_start(void)
{
    have_stderr = fstat(2, &stderr_was) == 0;
    if (program_invocation_short_name)
        strncpy(program, program_invocation_short_name, sizeof program - 1);
}

void log_open(void)
{
    if (!knobs.log_path[0])
        return;
    int fd = (int)RAW(SYS_openat, AT_FDCWD, knobs.log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        log_errno(LOG_ERROR, "open SLUICE_LOG's file", -fd);
    else
        own_move(fd, &log_fd);
}

// Descriptor 2 may have become anything since the start, a connection even. It is still for messages if it is what it was, or a
// file or /dev/null that the program put there.
static bool stderr_good(void)
{
    struct stat st;
    if (fstat(2, &st) != 0)
        return false;
    bool same = have_stderr && st.st_dev == stderr_was.st_dev && st.st_ino == stderr_was.st_ino;
    return same || S_ISREG(st.st_mode) || S_ISCHR(st.st_mode);
}

void log_line(int level, const char *line)
{
    if (level > knobs.log_level)
        return;
    int saved = errno;
    int fd = atomic_load(&log_fd);
    if (fd < 0)
        fd = stderr_good() ? 2 : -1;
    struct text t = TEXT_INIT;
    text_add(text_add(text_add(&t, "sluice: "), program), "[");
    text_add(text_num(&t, RAW(SYS_getpid)), "]: ");
    text_add(&t, line);
    if (t.n > sizeof t.s - 2)
        t.n = sizeof t.s - 2;
    t.s[t.n++] = '\n';
    if (fd >= 0)
        RAW(SYS_write, fd, t.s, t.n);
    errno = saved;
}

void log_errno(int level, const char *what, int err)
{
    struct text t = TEXT_INIT;
    const char *name = strerrorname_np(err);
    text_add(text_add(text_add(&t, what), ": "), name ? name : "?");
    const char *desc = strerrordesc_np(err);
    if (desc)
        text_add(text_add(text_add(&t, " ("), desc), ")");
    log_line(level, t.s);
}
