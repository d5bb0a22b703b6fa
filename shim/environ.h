// What a program that inherits a selected listener needs in its environment.
#ifndef SLUICE_ENVIRON_H
#define SLUICE_ENVIRON_H

#include <stddef.h>

// environ_room: how many pointers environ_carry needs; 0: the environment is passed as it is.
size_t environ_room(char *const envp[]);
// environ_carry copies envp to room and adds what this process was started with: the preload object and the SLUICE_* variables.
char *const *environ_carry(char **room, char *const envp[]);

// CARRY(name, envp) declares name: the environment to pass instead of envp. It lives on the stack, as malloc is not safe in a
// forked child of a threaded program.
#define CARRY(name, envp)                       \
    size_t name##_n = environ_room(envp);       \
    char *name##_room[name##_n + 1];            \
    char *const *name = name##_n ? environ_carry(name##_room, envp) : (char *const *)(envp)

#endif
