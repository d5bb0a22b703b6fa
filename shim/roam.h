// Network namespaces: a thread may go to another one, and come back (setns(2), unshare(2)). The engine's devices, ports and routes are those of the
// namespace in which the process was when it loaded the preload object; sockets made elsewhere are the kernel's.
#ifndef SLUICE_ROAM_H
#define SLUICE_ROAM_H

#include <stdbool.h>

bool roamed(void);        // some thread has changed its namespace, or tried to
bool roam_away(int fd);   // socket fd is not of the engine's namespace, as far as can be told

#endif
