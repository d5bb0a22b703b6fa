// A line of text put together without malloc or stdio (both may be the program's own).
#ifndef SLUICE_TEXT_H
#define SLUICE_TEXT_H

#include <stddef.h>
#include <string.h>

struct text {
    size_t n;
    char s[512]; // always ends with 0; what does not fit is cut
};
#define TEXT_INIT { .n = 0, .s = { 0 } }

static inline struct text *text_add(struct text *t, const char *s)
{
    size_t len = strlen(s);
    size_t room = sizeof t->s - 1 - t->n;
    len = len < room ? len : room;
    memcpy(t->s + t->n, s, len);
    t->n += len;
    t->s[t->n] = 0;
    return t;
}

static inline struct text *text_num(struct text *t, long v)
{
    char buf[24];
    char *p = buf + sizeof buf - 1;
    unsigned long u = v < 0 ? -(unsigned long)v : (unsigned long)v;
    *p = 0;
    do
        *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        *--p = '-';
    return text_add(t, p);
}

#endif
