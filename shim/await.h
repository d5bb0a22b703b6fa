// A program whose connections the kernel made since there was no broker gets its engine when there is one: somebody may want them there.
#ifndef SLUICE_AWAIT_H
#define SLUICE_AWAIT_H

void await_engine(void); // asks again from now on, beside the program, until there is an engine or never can be
void await_forked(void);

#endif
