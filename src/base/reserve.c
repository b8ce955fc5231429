/* Reserved memory: large blocks from the allocator, regions, that are divided into pieces and
 * joined again, each in constant time. Knows nothing of contexts; who takes what is memory.c's. */
#include "memory.h"

/* In front of each piece. Pieces of a region stand one behind the other, and behind the last one
 * stands a head without bytes, in use. All are multiples of 16. */
typedef struct cr__spare {
    _Alignas(16) size_t bytes; /* the head included; 0: the end */
    size_t before;             /* of the piece before; 0: this is the first */
    struct cr__spare *next,
        **link; /* of free ones: the next of the size class, what points here */
} spare;

#define HEAD  ((size_t)16)
#define LEAST sizeof(spare)
_Static_assert(offsetof(spare, next) <= HEAD && sizeof(spare) % 16 == 0,
               "heads of 16 bytes");

static spare *at(void *from, ptrdiff_t bytes)
{
    return (spare *)(void *)((char *)from + bytes);
}

/* Whether it is free: its bytes are odd then. */
#define FREE ((size_t)1)

static int class_of(size_t bytes)
{
    int size_class = cr__size_class(bytes);
    return size_class < 0 ? CR__SIZE_CLASSES - 1 : size_class;
}

static void list_piece(cr__reserve *r, spare *p, size_t bytes)
{
    int c = class_of(bytes);
    spare **first = &r->free[c];
    p->bytes = bytes | FREE;
    at(p, (ptrdiff_t)bytes)->before = bytes;
    p->next = *first;
    p->link = first;
    if (p->next)
        p->next->link = &p->next;
    *first = p;
    r->any[c / 64] |= (uint64_t)1 << c % 64;
}

static void unlist_piece(cr__reserve *r, spare *p)
{
    int c = class_of(p->bytes & ~FREE);
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    if (!r->free[c])
        r->any[c / 64] &= ~((uint64_t)1 << c % 64);
}

/* The first piece of a class above this one, whose pieces are all large enough. */
static spare *larger_piece(const cr__reserve *r, int size_class)
{
    int c = size_class + 1;
    for (int i = c / 64; i < CR__SIZE_CLASSES / 64; i++) {
        uint64_t any = r->any[i];
        if (i == c / 64)
            any &= ~(uint64_t)0 << c % 64;
        if (any)
            return r->free[i * 64 + __builtin_ctzll(any)];
    }
    return NULL;
}

#define TRIES 8 /* pieces of the class itself, some of which are large enough */

void *cr__reserve_take(cr__reserve *r, size_t bytes, bool stays)
{
    size_t wanted = (bytes + HEAD + 15) / 16 * 16;
    wanted = wanted < LEAST ? LEAST : wanted;
    spare *p = r->free[class_of(wanted)];
    for (int i = 0; p && (p->bytes & ~FREE) < wanted; i++)
        p = i < TRIES ? p->next : NULL;
    if (!p)
        p = larger_piece(r, class_of(wanted));
    if (!p)
        return NULL;
    unlist_piece(r, p);
    size_t rest = (p->bytes & ~FREE) - wanted;
    p->bytes &= ~FREE;
    if (rest < LEAST)
        return at(p, HEAD);
    spare *free = p;
    if (stays)
        p = at(p, (ptrdiff_t)rest);
    else
        free = at(p, (ptrdiff_t)wanted);
    p->bytes = wanted;
    at(p, (ptrdiff_t)wanted)->before = wanted;
    list_piece(r, free, rest);
    return at(p, HEAD);
}

void *cr__reserve_give(cr__reserve *r, void *memory)
{
    spare *p = at(memory, -(ptrdiff_t)HEAD), *next = at(p, (ptrdiff_t)p->bytes);
    spare *before = at(p, -(ptrdiff_t)p->before);
    size_t bytes = p->bytes;
    if (next->bytes & FREE) {
        unlist_piece(r, next);
        bytes += next->bytes & ~FREE;
    }
    if (p->before && before->bytes & FREE) {
        unlist_piece(r, before);
        bytes += before->bytes & ~FREE;
        p = before;
    }
    list_piece(r, p, bytes);
    return p->before || at(p, (ptrdiff_t)bytes)->bytes ? NULL : p;
}

void cr__reserve_withdraw(cr__reserve *r, void *whole)
{
    unlist_piece(r, whole);
}

void cr__reserve_add(cr__reserve *r, void *memory, size_t bytes)
{
    spare *p = (spare *)memory;
    bytes = (bytes - HEAD) / 16 * 16;
    p->before = 0;
    at(p, (ptrdiff_t)bytes)->bytes = 0;
    list_piece(r, p, bytes);
}
