// System calls without libc: for the time before libc's own functions have been looked up, and where libc's wrapper
// would come back to one of our interposed names.
#ifndef SLUICE_RAW_H
#define SLUICE_RAW_H

#include <errno.h>
#include <sys/syscall.h>

// raw_call returns what the kernel returns: >= 0, or -errno.
static inline long raw_call(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;
    __asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return ret;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "raw_call: add this architecture"
#endif
}

// RAW(nr, ...) pads the arguments with zeros.
#define RAW_PICK(nr, a, b, c, d, e, f, ...) \
    raw_call((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define RAW(...) RAW_PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

// RAW_ON goes on after a signal: what waits for our own ends is no call of the program's, which a handler of its could end.
#define RAW_ON(...) __extension__({     \
    long on_;                           \
    do                                  \
        on_ = RAW(__VA_ARGS__);         \
    while (on_ == -EINTR);              \
    on_;                                \
})

// raw_result turns -errno into -1 and errno, as libc does.
static inline long raw_result(long r)
{
    if (r < 0 && r > -4096) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

#endif
