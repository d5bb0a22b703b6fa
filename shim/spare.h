// Threads made ahead for the engine's runtime, for the time when none can be made.
#ifndef SLUICE_SPARE_H
#define SLUICE_SPARE_H

#include <pthread.h>
#include <stdbool.h>

void spare_fill(void); // as many as there should be; signals are blocked
// spare_begin is pthread_create of a detached thread, by one of them. False: there is none, or it does not fit.
bool spare_begin(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);

#endif
