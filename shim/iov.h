// Walking through a vector of buffers.
#ifndef SLUICE_IOV_H
#define SLUICE_IOV_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

// What is left of a caller's vector: a copy in pieces of at most 64, so that the caller's stays as it is.
struct iov_rest {
    const struct iovec *iov;
    int n;
    size_t skip; // octets of iov[0] that are done
};

static inline void iov_advance(struct iov_rest *r, size_t done)
{
    while (r->n > 0 && done >= r->iov->iov_len - r->skip) {
        done -= r->iov->iov_len - r->skip;
        r->iov++, r->n--, r->skip = 0;
    }
    r->skip += done;
}

// iov_view makes the next piece; the result is its length. More may follow.
static inline int iov_view(const struct iov_rest *r, struct iovec *out, int max)
{
    int n = r->n < max ? r->n : max;
    if (n > 0) { // of no buffers the address may be NULL
        memcpy(out, r->iov, (size_t)n * sizeof *out);
        out[0].iov_base = (char *)out[0].iov_base + r->skip;
        out[0].iov_len -= r->skip;
    }
    return n;
}

static inline size_t iov_sum(const struct iovec *iov, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

// iov_total: -1: more than SSIZE_MAX, or a bad count (EINVAL).
static inline ssize_t iov_total(const struct iovec *iov, int n)
{
    size_t sum = 0;
    if (n < 0 || n > IOV_MAX)
        return -1;
    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - sum)
            return -1;
        sum += iov[i].iov_len;
    }
    return (ssize_t)sum;
}

// iov_left: what is left of it, as iov_total.
static inline ssize_t iov_left(const struct iov_rest *r)
{
    ssize_t all = iov_total(r->iov, r->n);
    return all < 0 ? all : all - (ssize_t)r->skip;
}

#endif
