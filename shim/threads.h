// Threads that the engine's runtime makes: the program's signals must not be delivered to them.
#ifndef SLUICE_THREADS_H
#define SLUICE_THREADS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

void threads_of_engine(bool on); // threads that this thread makes from now on are the engine's (its image is being loaded)
void threads_image(void *in);    // the image around this address is the engine's
bool threads_in_image(uintptr_t pc);
void threads_start(void); // before there are any
void threads_alone(void); // in a child that libc has not made: it has one thread
bool thread_ours(void *(*run)(void *), void *arg); // a thread of the preload object's own: detached, with a small stack, and no signals; false: there is none
extern _Thread_local bool thread_of_engine __attribute__((tls_model("initial-exec")));

#define THREADS_SIGNAL SIGPROF // the signal that a new thread of the engine sends itself: see threads.c

#endif
