/* Allocators over malloc; of the one that counts each block has its size in front. */
#include "supply.h"
#include "op_sample.h"

enum { HEADER = 16, LARGEST = 1 << 22 };

void *supply_give(void *user, size_t bytes)
{
    supply *s = user;
    if (bytes > LARGEST || (s->fails && next_random(&s->rng) % (uint64_t)s->fails == 0))
        return NULL;
    char *memory = malloc(bytes + HEADER);
    if (!memory)
        return NULL;
    memcpy(memory, &bytes, sizeof bytes);
    s->bytes += (long)bytes;
    s->blocks++;
    return memory + HEADER;
}

void supply_take(void *user, void *memory, size_t bytes)
{
    supply *s = user;
    if (!memory)
        return;
    size_t was;
    memcpy(&was, (char *)memory - HEADER, sizeof was);
    s->wrong += was != bytes;
    s->bytes -= (long)bytes;
    s->blocks--;
    free((char *)memory - HEADER);
}

void *dirty_give(void *user, size_t bytes)
{
    (void)user;
    void *memory = malloc(bytes);
    return memory ? memset(memory, 0xfe, bytes) : NULL;
}

void dirty_take(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}
