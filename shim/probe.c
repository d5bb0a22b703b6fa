#include "probe.h"

#include <errno.h>

// probe_loop: 0, or 1 by way of probe_fixup. A leaf that keeps nothing on the stack, so that a fault can end it by a jump.
extern long probe_loop(void *to, const void *from, size_t n) __attribute__((visibility("hidden")));
extern const char probe_begin[] __attribute__((visibility("hidden"))), probe_end[] __attribute__((visibility("hidden")));
extern const char probe_fixup[] __attribute__((visibility("hidden")));

__asm__(".text\n"
        ".hidden probe_loop, probe_begin, probe_end, probe_fixup\n"
        ".globl probe_loop, probe_begin, probe_end, probe_fixup\n"
        ".type probe_loop, %function\n"
        "probe_loop:\n"
        "probe_begin:\n"
#if defined(__x86_64__)
        "1:  cmpq $8, %rdx\n"
        "    jb 2f\n"
        "    movq (%rsi), %rax\n"
        "    movq %rax, (%rdi)\n"
        "    addq $8, %rsi\n"
        "    addq $8, %rdi\n"
        "    subq $8, %rdx\n"
        "    jmp 1b\n"
        "2:  testq %rdx, %rdx\n"
        "    jz 3f\n"
        "    movb (%rsi), %al\n"
        "    movb %al, (%rdi)\n"
        "    incq %rsi\n"
        "    incq %rdi\n"
        "    decq %rdx\n"
        "    jmp 2b\n"
        "3:\n"
        "probe_end:\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "probe_fixup:\n"
        "    movl $1, %eax\n"
        "    ret\n"
#elif defined(__aarch64__)
        "1:  cmp x2, #8\n"
        "    b.lo 2f\n"
        "    ldr x3, [x1], #8\n"
        "    str x3, [x0], #8\n"
        "    sub x2, x2, #8\n"
        "    b 1b\n"
        "2:  cbz x2, 3f\n"
        "    ldrb w3, [x1], #1\n"
        "    strb w3, [x0], #1\n"
        "    sub x2, x2, #1\n"
        "    b 2b\n"
        "3:\n"
        "probe_end:\n"
        "    mov x0, #0\n"
        "    ret\n"
        "probe_fixup:\n"
        "    mov x0, #1\n"
        "    ret\n"
#endif
        ".size probe_loop, .-probe_loop\n");

bool probe_copy(void *to, const void *from, size_t n) { return probe_loop(to, from, n) == 0; }

bool probe_there(const void *p, size_t n)
{
    const size_t page = 4096;
    char c;
    for (size_t at = 0; at < n; at += page - ((uintptr_t)p + at) % page)
        if (!probe_copy(&c, (const char *)p + at, 1))
            return false;
    return true;
}

size_t probe_writable(void *p, size_t n)
{
    const size_t page = 4096;
    for (size_t at = 0; at < n; at += page - ((uintptr_t)p + at) % page)
        if (!probe_copy((char *)p + at, (char *)p + at, 1))
            return at;
    return n;
}

int probe_name(const struct sockaddr_storage *name, socklen_t n, struct sockaddr *sa, socklen_t *len)
{
    socklen_t room = 0;
    if (!probe_copy(&room, len, sizeof room))
        return -EFAULT;
    if ((int)room < 0)
        return -EINVAL;
    return probe_copy(len, &n, sizeof n) && probe_copy(sa, name, room < n ? room : n) ? 0 : -EFAULT; // the length first, as the kernel
}

uintptr_t probe_resume(uintptr_t pc)
{
    return pc >= (uintptr_t)probe_begin && pc < (uintptr_t)probe_end ? (uintptr_t)probe_fixup : 0;
}
