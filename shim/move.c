// Calls that move data between descriptors inside the kernel. sendfile into a connection of the engine is served by reading the
// file; the others need a kernel socket: the connection is handed over first.
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "conn_io.h"
#include "raw.h"
#include "scratch.h"

#define SENDFILE_MAX 0x7ffff000 // the kernel moves no more at once

// send_piece reads up to n octets at *at and sends them: how many were taken; 0: end of file; -1 errno. *full: as many as were read.
static ssize_t send_piece(int out, int in, off_t at, char *buf, size_t n, bool last, bool *full)
{
    ssize_t got = RAW(SYS_pread64, in, buf, n, at);
    if (got <= 0)
        return raw_result(got);
    struct file *f = conn_get(out);
    struct iovec v = { buf, (size_t)got };
    ssize_t sent = f ? conn_send(out, f, &v, 1, last || got < (ssize_t)n ? 0 : MSG_MORE) : real.write(out, buf, (size_t)got);
    *full = sent == got;
    return sent;
}

// send_file: as sendfile, from *at on, which moves by what was sent.
static ssize_t send_file(int out, int in, off_t *at, size_t n)
{
    ssize_t done = 0;
    char *buf = scratch_get();
    if (!buf)
        return raw_result(-ENOMEM);
    struct stat st;
    n = n < SENDFILE_MAX ? n : SENDFILE_MAX;
    if (fstat(in, &st) == 0 && S_ISREG(st.st_mode) && st.st_size - *at < (off_t)n) // so that the last piece is known
        n = st.st_size > *at ? (size_t)(st.st_size - *at) : 0;
    while ((size_t)done < n) {
        bool full = false;
        size_t left = n - (size_t)done;
        ssize_t r = send_piece(out, in, *at, buf, left < SCRATCH ? left : SCRATCH, left <= SCRATCH, &full);
        if (r < 0 && done == 0)
            done = -1;
        if (r <= 0)
            break;
        done += r;
        *at += r;
        if (!full)
            break;
    }
    scratch_put(buf);
    return done;
}

INTERPOSE ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
    struct file *f = conn_get(out);
    off_t at = off ? *off : (off_t)RAW(SYS_lseek, in, 0, SEEK_CUR);
    bool seekable = at >= 0 && RAW(SYS_pread64, in, NULL, 0, at) >= 0;
    if (f && !seekable) // a pipe, or an error that the kernel shall name
        conn_handover(out, f);
    file_put(f);
    if (!f || !seekable)
        return real.sendfile(out, in, off, n);
    ssize_t r = send_file(out, in, &at, n);
    if (r > 0 && off)
        *off = at;
    else if (r > 0)
        RAW(SYS_lseek, in, at, SEEK_SET);
    return r;
}

INTERPOSE ssize_t sendfile64(int out, int in, off64_t *off, size_t n) { return sendfile(out, in, off, n); }

INTERPOSE ssize_t splice(int in, off64_t *ioff, int out, off64_t *ooff, size_t n, unsigned int flags)
{
    handover_fd(in);
    handover_fd(out);
    return real.splice(in, ioff, out, ooff, n, flags);
}

// These refuse sockets of any kind, and the placeholder is one.
INTERPOSE ssize_t tee(int in, int out, size_t n, unsigned int flags) { return real.tee(in, out, n, flags); }
INTERPOSE ssize_t vmsplice(int fd, const struct iovec *v, size_t n, unsigned int flags) { return real.vmsplice(fd, v, n, flags); }
INTERPOSE ssize_t copy_file_range(int in, off64_t *ioff, int out, off64_t *ooff, size_t n, unsigned int flags)
{
    return real.copy_file_range(in, ioff, out, ooff, n, flags);
}
