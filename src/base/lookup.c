/* Open addressing with linear probing, at most half full. Hashes are stored, so that
 * growing asks for no keys. */
#include "compiler.h"

#include "lookup.h"

/* FNV-1a: Fowler, Noll and Vo. */
uint32_t cr__hash_text(const char *text)
{
    uint32_t hash = 2166136261u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

/* Records lie at equal distances: multiplying by 2^64 over the golden ratio spreads them
 * (Knuth, The Art of Computer Programming, 6.4). */
uint32_t cr__hash_pointer(const void *pointer)
{
    return (uint32_t)(((uint64_t)(uintptr_t)pointer * 0x9e3779b97f4a7c15u) >> 32);
}

int cr__lookup_find(const cr__lookup *lookup, uint32_t hash, cr__same_key *same,
                    const void *rows, const void *key)
{
    if (!lookup->capacity)
        return -1;
    size_t mask = lookup->capacity - 1;
    for (size_t i = hash & mask; lookup->slots[i].place; i = (i + 1) & mask)
        if (lookup->slots[i].hash == hash && same(rows, lookup->slots[i].place - 1, key))
            return lookup->slots[i].place - 1;
    return -1;
}

static void put_place(cr__lookup *lookup, cr__lookup_slot slot)
{
    size_t mask = lookup->capacity - 1, i = slot.hash & mask;
    while (lookup->slots[i].place)
        i = (i + 1) & mask;
    lookup->slots[i] = slot;
    lookup->used++;
}

bool cr__lookup_add(cr_ctx *ctx, cr__lookup *lookup, uint32_t hash, int place)
{
    if (2 * (lookup->used + 1) > lookup->capacity) {
        cr__lookup larger = { .capacity = lookup->capacity ? 2 * lookup->capacity : 8 };
        larger.slots = cr__alloc(ctx, larger.capacity * sizeof *larger.slots);
        if (!larger.slots)
            return false;
        for (size_t i = 0; i < lookup->capacity; i++)
            if (lookup->slots[i].place)
                put_place(&larger, lookup->slots[i]);
        cr__free(ctx, lookup->slots);
        *lookup = larger;
    }
    put_place(lookup, (cr__lookup_slot){ .hash = hash, .place = place + 1 });
    return true;
}

void cr__lookup_free(cr_ctx *ctx, cr__lookup *lookup)
{
    cr__free(ctx, lookup->slots);
    *lookup = (cr__lookup){ 0 };
}
