// Parsers of SLUICE_LISTEN and SLUICE_CONNECT.
#ifndef SLUICE_RULES_H
#define SLUICE_RULES_H

#include "knobs.h"

// Each returns NULL and sets *rules, or tells what is wrong and leaves *rules alone.
const char *rules_listen(const char *value, struct rules *rules);
const char *rules_connect(const char *value, struct rules *rules);
// number reads exactly len decimal digits' value, at most max; -1: it is none.
long number(const char *s, int len, long max);

#endif
