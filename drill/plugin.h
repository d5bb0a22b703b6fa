/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DRILL_PLUGIN_H
#define DRILL_PLUGIN_H

#include "call.h"

/* queue_init notes that the calling thread is the script's. */
void queue_init(void);

/* queue_call has the machine do a call and waits for its result. */
long long queue_call(struct drill_call *c);

/* queue_now is the time, in ns. */
long long queue_now(void);

#endif
