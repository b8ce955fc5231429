/* Rows found by a key in constant time: an open-addressed table of their places. The rows,
 * and what makes two keys equal, are the caller's. */
#ifndef CR_BASE_LOOKUP_H
#define CR_BASE_LOOKUP_H

#include "memory.h"

typedef struct cr__lookup_slot {
    uint32_t hash;
    int place; /* plus 1; 0: free */
} cr__lookup_slot;

typedef struct cr__lookup {
    cr__lookup_slot *slots;
    size_t capacity, used; /* capacity is a power of two above used, or 0 */
} cr__lookup;

/* Whether the row at this place has this key. */
typedef bool cr__same_key(const void *rows, int place, const void *key);

uint32_t cr__hash_text(const char *text);
uint32_t cr__hash_pointer(const void *pointer);

/* The place of the row with the key, -1 if there is none. */
int cr__lookup_find(const cr__lookup *lookup, uint32_t hash, cr__same_key *same,
                    const void *rows, const void *key);
/* False with the error recorded; then nothing has changed. */
bool cr__lookup_add(cr_ctx *ctx, cr__lookup *lookup, uint32_t hash, int place);
void cr__lookup_free(cr_ctx *ctx, cr__lookup *lookup);

#endif
