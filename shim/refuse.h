// Whether this process can bear a Go runtime.
#ifndef SLUICE_REFUSE_H
#define SLUICE_REFUSE_H

#include <stdbool.h>

void refuse_start(void);           // notes what the process started with (a container's own filter is no obstacle)
bool refuse_confined(void);        // it filters its own system calls
const char *refuse_reason(void);   // NULL: it can; else one line for the log

#endif
