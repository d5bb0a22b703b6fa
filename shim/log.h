// Messages: one line each, one write each, on stderr or in the file that SLUICE_LOG names.
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

#include "text.h"

enum { LOG_ERROR = 1, LOG_INFO = 2, LOG_DEBUG = 3 };

void log_start(void);                        // remembers what stderr is
void log_open(void);                         // opens the file that SLUICE_LOG names, if it does
void log_line(int level, const char *line);  // "sluice: program[pid]: line"
void log_errno(int level, const char *what, int err);

#endif
