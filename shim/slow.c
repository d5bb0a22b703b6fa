#include "slow.h"

#include "log.h"

void slow_tell(int64_t since, const char *call)
{
    int64_t took = now_ns() - since;
    if (took < knobs.slow_usec * 1000LL)
        return;
    struct text t = TEXT_INIT;
    text_add(text_add(text_add(&t, "slow: "), call), " took ");
    text_add(text_num(&t, took / 1000), " us");
    log_line(LOG_ERROR, t.s);
}
