// Loads and starts the Go engine in this process: lazily, so that a process that never polls a selected listener has no Go in it,
// and again from a copy in a forked child, since a Go runtime does not survive fork.
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "clock.h"
#include "door.h"
#include "engine.h"
#include "image.h"
#include "knobs.h"
#include "locks.h"
#include "log.h"
#include "notes.h"
#include "own.h"
#include "pages.h"
#include "raw.h"
#include "real.h"
#include "process.h"
#include "refuse.h"
#include "signals.h"
#include "space.h"
#include "threads.h"
#include "wait.h"
#include "usdt.h"

struct engine_calls engine;
static struct engine_life no_life;
struct engine_life *engine_life = &no_life;
int engine_pid;
bool engine_loaded;

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool loading __attribute__((tls_model("initial-exec")));
static bool refused; // for good
static struct sl_shared *memory; // shared with an engine that is loaded and not (yet) started

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

// life_new: a page that children of any kind of fork see as zeros.
static bool life_new(void)
{
    if (engine_life != &no_life)
        return true;
    struct engine_life *life = map(4096);
    if (!life || madvise(life, 4096, MADV_WIPEONFORK) != 0)
        return false;
    engine_life = life;
    return true;
}

static bool resolve(void *image)
{
    struct { const char *name; void **slot; } calls[] = {
#define CALL(name) { #name, (void **)(void *)&engine.name }
        CALL(sl_start), CALL(sl_listen), CALL(sl_relisten), CALL(sl_accept), CALL(sl_connect), CALL(sl_connect_data), CALL(sl_recv),
        CALL(sl_send), CALL(sl_send_many), CALL(sl_shutdown), CALL(sl_close), CALL(sl_setsockopt), CALL(sl_getsockopt), CALL(sl_name),
        CALL(sl_ioctl), CALL(sl_poll), CALL(sl_handover), CALL(sl_wished), CALL(sl_takeover), CALL(sl_wish_done), CALL(sl_stop),
#undef CALL
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        *calls[i].slot = dlsym(image, calls[i].name);
        if (!*calls[i].slot) {
            log_line(LOG_ERROR, "the engine lacks a function: it is of another version; the kernel serves");
            return false;
        }
    }
    return true;
}

// PATIENCE is by how much a timer of the runtime's own threads may be late, ns. Its monitor wakes each 20 us while the program is in the engine, and takes the
// processor from whoever works; the engine's own timers are our threads'.
#define PATIENCE 1000000

// open_patiently: threads inherit the slack of the one that makes them. This one is the program's, and keeps its own.
static void *open_patiently(void)
{
    long own = RAW(SYS_prctl, PR_GET_TIMERSLACK);
    bool patient = own > 0 && own < PATIENCE && RAW(SYS_prctl, PR_SET_TIMERSLACK, PATIENCE) == 0;
    threads_of_engine(true);
    void *image = image_open(engine_loaded);
    threads_of_engine(false);
    if (patient)
        RAW(SYS_prctl, PR_SET_TIMERSLACK, own);
    return image;
}

// load maps the image. Signals are blocked: Go's threads inherit that, and Go's own handlers must never run.
static bool load(void)
{
    struct signals_kept kept;
    signals_keep(&kept);
    void *image = open_patiently();
    bool ok = image != NULL && resolve(image) && (memory = map(sizeof *memory)) != NULL;
    if (ok) {
        engine_loaded = true;
        threads_image(engine.sl_start);
        signals_engine(&kept);
    }
    signals_restore(&kept);
    return ok;
}

// start: 0, or what sl_start says.
static int start(void)
{
    struct signals_kept kept;
    signals_keep(&kept);
    door_open();
    struct sl_boot boot = {
        .size = sizeof boot, .abi = SL_ABI, .door_fd = door_fd(), .fd_min = own_base(), .env = knobs.env,
        .flags = SL_KICKS | SL_WATCH,
    };
    engine_inside = 1;
    int r = engine.sl_start(memory, &boot);
    engine_inside = 0;
    signals_restore(&kept);
    return r;
}

// start_retry: when a refused engine may be asked again (the broker may come back).
static int64_t start_retry_ns;
static int64_t start_pause_ns = 1000000000;

static bool bring_up(void)
{
    space_open();
    const char *why = refuse_reason();
    if (why) {
        refused = true;
        space_keep();
        log_line(LOG_ERROR, why);
        return false;
    }
    signals_wrap();
    if (!pages_keep() || !life_new() || (!memory && !load())) {
        refused = true;
        space_keep();
        return false;
    }
    int r = start();
    if (r != 0) {
        notes_log(memory);
        start_retry_ns = now_ns() + start_pause_ns;
        start_pause_ns = start_pause_ns < 30000000000 ? 2 * start_pause_ns : start_pause_ns;
        return false;
    }
    own_sync(memory);
    engine_pid = (int)RAW(SYS_getpid);
    atomic_store_explicit(&engine_life->shared, memory, memory_order_release);
    wait_start();
    PROBE(engine_start, engine_pid, 0);
    return true;
}

bool engine_need(void)
{
    if (shared())
        return true;
    if (refused || loading || !knobs.on || now_ns() < start_retry_ns)
        return false;
    int saved = errno;
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    lock_takes(LOCK_LOAD);
    loading = true; // a handler that comes now must not wait for its own thread
    pthread_mutex_lock(&load_lock);
    lock_has(LOCK_LOAD, 1);
    bool up = shared() != NULL || (!refused && now_ns() >= start_retry_ns && bring_up());
    lock_has(LOCK_LOAD, -1);
    pthread_mutex_unlock(&load_lock);
    loading = false;
    pthread_setcancelstate(cancel, NULL);
    errno = saved;
    return up;
}

int64_t engine_retry(void) { return refused || !knobs.on ? -1 : start_retry_ns; }

void engine_confined(void)
{
    if (shared() && refuse_reason())
        process_leave();
}

void engine_forked(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    memcpy(&load_lock, &fresh, sizeof fresh);
    loading = false;
    engine_inside = 1; // signals wait until the child is whole (process.c)
    signals_forked();
    own_forked(memory);
    notes_forked();
    if (memory)
        door_remember(engine_pid, memory->token); // before the copies of its files are marked as inherited
    memory = NULL; // the parent's, as it was
    start_retry_ns = 0, start_pause_ns = 1000000000;
}
