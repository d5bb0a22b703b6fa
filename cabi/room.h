/* SPDX-License-Identifier: Apache-2.0
 *
 * Room for Go's runtime, which ends the process when it is refused memory. */
#ifndef SLUICE_ROOM_H
#define SLUICE_ROOM_H

/* room_keep keeps address space and data that the runtime gets if the kernel refuses it some; again after it got some. 1: all of it is there;
 * 0: not to be had now, or nobody would be asked for it. One thread at a time. */
int room_keep(void);

#endif
