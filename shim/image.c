// Finds libsluice_engine.so beside libsluice.so and loads it, also where no path leads to it any more (chroot).
#include "image.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdmap.h"
#include "log.h"
#include "process.h"
#include "raw.h"
#include "text.h"

#define ENGINE_NAME "libsluice_engine.so"

static _Atomic int image_fd = -1; // the file
static _Atomic int image_dir = -1; // its directory, for a chroot without /proc

static char here[PATH_MAX]; // the directory of libsluice.so, with the slash

void image_start(void)
{
    Dl_info self;
    if (!dladdr((void *)image_start, &self) || !self.dli_fname || !strrchr(self.dli_fname, '/'))
        return;
    size_t dir = (size_t)(strrchr(self.dli_fname, '/') - self.dli_fname) + 1;
    size_t at = 0;
    if (*self.dli_fname != '/') { // relative to where the program started
        long n = RAW(SYS_getcwd, here, sizeof here);
        if (n <= 1)
            return;
        at = (size_t)n;
        here[at - 1] = '/';
    }
    if (at + dir + sizeof ENGINE_NAME > sizeof here)
        here[0] = 0;
    else
        memcpy(here + at, self.dli_fname, dir);
}

void image_find(void)
{
    char path[PATH_MAX];
    if (atomic_load(&image_fd) >= 0)
        return;
    int dir = (int)RAW(SYS_openat, AT_FDCWD, here, O_PATH | O_DIRECTORY | O_CLOEXEC);
    strcpy(stpcpy(path, here), ENGINE_NAME);
    int fd = (int)RAW(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        own_move(fd, &image_fd);
    if (dir >= 0)
        own_move(dir, &image_dir);
}

// image_copy: the file's bytes in a memfd. The copy is another file, so the loader maps it anew.
static int image_copy(void)
{
    struct stat st;
    int from = atomic_load(&image_fd);
    int to = (int)RAW(SYS_memfd_create, ENGINE_NAME, MFD_CLOEXEC);
    if (to < 0 || fstat(from, &st) != 0)
        return -1;
    off_t at = 0;
    while (at < st.st_size)
        if (RAW(SYS_sendfile, to, from, &at, st.st_size - at) <= 0) {
            RAW(SYS_close, to);
            return -1;
        }
    return to;
}

struct in_dir {
    void *image;
    const char *why;
};

// Without /proc there is no path to a descriptor, but a thread of its own may have a working directory of its own.
static void *open_in_dir(void *arg)
{
    struct in_dir *in = arg;
    if (unshare(CLONE_FS) != 0)
        in->why = "no working directory of its own for a thread";
    else if (fchdir(atomic_load(&image_dir)) != 0)
        in->why = "its directory cannot be entered";
    else if (!(in->image = dlopen("./" ENGINE_NAME, RTLD_NOW | RTLD_LOCAL)))
        in->why = dlerror();
    return NULL;
}

static void *open_fd(int fd)
{
    struct text t = TEXT_INIT;
    text_num(text_add(&t, "/proc/self/fd/"), fd);
    return dlopen(t.s, RTLD_NOW | RTLD_LOCAL);
}

void *image_open(bool copy)
{
    image_find();
    if (atomic_load(&image_fd) < 0) {
        log_line(LOG_ERROR, "no " ENGINE_NAME " beside libsluice.so: the kernel serves");
        return NULL;
    }
    int fd = copy ? image_copy() : atomic_load(&image_fd);
    void *image = fd >= 0 ? open_fd(fd) : NULL;
    const char *why = image ? NULL : dlerror();
    if (copy && fd >= 0)
        RAW(SYS_close, fd);
    pthread_t t;
    struct in_dir in = { NULL, why };
    if (!image && !copy && access("/proc/self/fd", F_OK) != 0 && pthread_create(&t, NULL, open_in_dir, &in) == 0) {
        pthread_join(t, NULL);
        image = in.image, why = in.why;
    }
    if (!image) {
        struct text line = TEXT_INIT;
        text_add(text_add(text_add(&line, "load the engine: "), why ? why : "no memory"), ": the kernel serves");
        log_line(LOG_ERROR, line.s);
    }
    return image;
}
