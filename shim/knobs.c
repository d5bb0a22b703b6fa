// The knob table: one line per variable, its parser beside it.
#include "knobs.h"

#include <stddef.h>
#include <string.h>

#include "rules.h"
#include "text.h"

struct knobs knobs = {
    .on = true,
    .broker = "/run/sluice/broker.sock",
    .listen = { .n = 1, .rule = { { .low = 1, .top = 65535 } } },
    .spin_usec = 20,
    .fast = FAST_ALL,
    .log_level = 1,
};

static const char *set_on(struct knobs *k, const char *v)
{
    if (strcmp(v, "on") != 0 && strcmp(v, "off") != 0 && strcmp(v, "1") != 0 && strcmp(v, "0") != 0)
        return "want on or off";
    k->on = strcmp(v, "on") == 0 || *v == '1';
    return NULL;
}

static const char *set_broker(struct knobs *k, const char *v)
{
    if (*v != '/' || strlen(v) >= sizeof k->broker)
        return "want an absolute path of at most 107 bytes";
    strcpy(k->broker, v);
    return NULL;
}

static const char *set_connect(struct knobs *k, const char *v) { return rules_connect(v, &k->connect); }
static const char *set_listen(struct knobs *k, const char *v) { return rules_listen(v, &k->listen); }

// The engine picks devices; here only whether the list can be one.
static const char *set_devices(struct knobs *k, const char *v)
{
    (void)k;
    int names = 0;
    for (const char *s = v;; s++) {
        size_t len = strcspn(s, ",");
        if (len == 0 || len > 15 || strcspn(s, "/ :") < len || ++names > RULES_MAX)
            return "want names of devices, comma-separated";
        s += len;
        if (*s == 0)
            return NULL;
    }
}

// The engine's, too.
static const char *set_congestion(struct knobs *k, const char *v)
{
    (void)k;
    static const char *const names[] = { "host", "cubic", "reno", "bbr", "bbr3" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(v, names[i]) == 0)
            return NULL;
    return "want host, cubic, reno, bbr or bbr3";
}

static const char *set_spin(struct knobs *k, const char *v)
{
    long n = number(v, (int)strlen(v), 1000000);
    if (n < 0)
        return "want a number from 0 to 1000000";
    k->spin_usec = (unsigned)n;
    return NULL;
}

static const char *set_slow(struct knobs *k, const char *v)
{
    long n = number(v, (int)strlen(v), 1000000);
    if (n < 0)
        return "want a number from 0 to 1000000";
    k->slow_usec = (unsigned)n;
    return NULL;
}

static unsigned fast_bit(const char *name, size_t len)
{
    static const char *const names[] = { "batch", "peek", "cork", "prefetch", "checksum", "tso", "plain", "ack", "recycle" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == len && strncmp(name, names[i], len) == 0)
            return 1u << i;
    return 0;
}

static const char *set_fast(struct knobs *k, const char *v)
{
    unsigned bits = 0;
    if (strcmp(v, "all") == 0 || strcmp(v, "none") == 0) {
        k->fast = *v == 'a' ? FAST_ALL : 0;
        return NULL;
    }
    for (const char *s = v;; s++) {
        size_t len = strcspn(s, ",");
        unsigned bit = fast_bit(s, len);
        if (!bit)
            return "want all, none or some of ack, batch, checksum, cork, peek, plain, prefetch, recycle, tso, comma-separated";
        bits |= bit;
        s += len;
        if (*s == 0)
            break;
    }
    k->fast = bits;
    return NULL;
}

static const char *set_log(struct knobs *k, const char *v)
{
    static const char *const levels[] = { "off", "error", "info", "debug" };
    for (int i = 0; i < 4; i++)
        if (strcmp(v, levels[i]) == 0) {
            k->log_level = i;
            return NULL;
        }
    if (*v != '/' || strlen(v) >= sizeof k->log_path)
        return "want off, error, info, debug or an absolute path";
    k->log_level = 2;
    strcpy(k->log_path, v);
    return NULL;
}

static const struct {
    const char *name;
    const char *(*set)(struct knobs *k, const char *value);
} table[] = {
    { "SLUICE", set_on },
    { "SLUICE_BROKER", set_broker },
    { "SLUICE_CONGESTION", set_congestion },
    { "SLUICE_CONNECT", set_connect },
    { "SLUICE_DEVICES", set_devices },
    { "SLUICE_FAST", set_fast },
    { "SLUICE_LISTEN", set_listen },
    { "SLUICE_LOG", set_log },
    { "SLUICE_SLOW_USEC", set_slow },
    { "SLUICE_SPIN_USEC", set_spin },
};
#define KNOBS (sizeof table / sizeof table[0])

const char *knob_set(struct knobs *k, const char *name, const char *value)
{
    for (size_t i = 0; i < KNOBS; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].set(k, value);
    return "unknown variable";
}

// knob_name copies the name out of NAME=value if it is one of ours (SLUICE, SLUICE_*).
static bool knob_name(const char *entry, char *name, size_t size)
{
    if (strncmp(entry, "SLUICE", 6) != 0 || (entry[6] != '=' && entry[6] != '_'))
        return false;
    size_t len = strcspn(entry, "=");
    if (entry[len] == 0)
        return false;
    if (len >= size)
        len = size - 1;
    memcpy(name, entry, len);
    name[len] = 0;
    return true;
}

// keep copies a variable: programs that change their title (nginx, sshd) write over the environment they were started with.
static const char *keep(const char *entry)
{
    static char store[8192];
    static size_t used;
    size_t len = strlen(entry) + 1;
    if (len > sizeof store - used)
        return NULL;
    used += len;
    return memcpy(store + used - len, entry, len);
}

void knobs_read(char **envp, void (*complain)(const char *line))
{
    size_t kept = 0;
    for (; envp && *envp; envp++) {
        if (strncmp(*envp, "LD_PRELOAD=", 11) == 0)
            knobs.preload = keep(*envp);
        char name[64];
        if (!knob_name(*envp, name, sizeof name))
            continue;
        const char *value = *envp + strcspn(*envp, "=") + 1;
        const char *bad = knob_set(&knobs, name, value);
        if (!bad) {
            if (kept + 1 < sizeof knobs.env / sizeof knobs.env[0] && (knobs.env[kept] = keep(*envp)))
                kept++;
            continue;
        }
        struct text t = TEXT_INIT;
        text_add(&t, name);
        if (strcmp(bad, "unknown variable") != 0)
            text_add(text_add(text_add(&t, "=\""), value), "\"");
        complain(text_add(text_add(&t, ": "), bad)->s);
    }
}
