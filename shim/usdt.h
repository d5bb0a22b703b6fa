// USDT probes: places that bpftrace, perf and gdb find by name (`bpftrace -l 'usdt:…/libsluice.so:*'`) and that cost one nop each.
//
// A probe is a note in the section .note.stapsdt (SystemTap's format, type 3), which tools read from the file:
//
//   owner "stapsdt"   address of the nop | address of .stapsdt.base | semaphore (none) | provider NUL name NUL arguments NUL
//
// An argument is size@operand in the assembler's words, -8 for a signed one of eight octets. The base tells a tool by how much a prelinker
// has moved the file since the note was written.
#ifndef SLUICE_USDT_H
#define SLUICE_USDT_H

#if defined(__x86_64__) || defined(__aarch64__)
#define PROBE(name, a, b)                                                                   \
    __asm__ volatile("7770: nop\n"                                                          \
                     ".pushsection .note.stapsdt, \"\", \"note\"\n"                         \
                     ".balign 4\n"                                                          \
                     ".4byte 7772f - 7771f, 7774f - 7773f, 3\n"                             \
                     "7771: .asciz \"stapsdt\"\n"                                           \
                     "7772: .balign 4\n"                                                    \
                     "7773: .8byte 7770b, sluice_probe_base, 0\n"                           \
                     ".asciz \"sluice\", \"" #name "\", \"-8@%0 -8@%1\"\n"                  \
                     "7774: .balign 4\n"                                                    \
                     ".popsection\n"                                                        \
                     ".ifndef sluice_probe_base\n"                                          \
                     ".pushsection .stapsdt.base, \"aG\", \"progbits\", sluice_probe_base, comdat\n" \
                     ".weak sluice_probe_base\n"                                            \
                     ".hidden sluice_probe_base\n"                                          \
                     "sluice_probe_base: .space 1\n"                                        \
                     ".popsection\n"                                                        \
                     ".endif\n"                                                             \
                     :                                                                      \
                     : "nor"((long)(a)), "nor"((long)(b)))
#else
#define PROBE(name, a, b) ((void)(a), (void)(b))
#endif

#endif
