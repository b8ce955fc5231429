/* Memory for contexts: that counts what it gives, and fails when it is to; that is never zero. */
#ifndef TESTS_SUPPORT_SUPPLY_H
#define TESTS_SUPPORT_SUPPLY_H

#include <stddef.h>
#include <stdint.h>

typedef struct supply {
    long bytes, blocks;
    long wrong; /* blocks that came back as others than they were */
    int fails;  /* one allocation of so many does; 0: none */
    uint64_t rng;
} supply;

/* cr_options.alloc and .free, the supply being their user. Beyond 4 MiB there is nothing. */
void *supply_give(void *user, size_t bytes);
void supply_take(void *user, void *memory, size_t bytes);

/* Memory full of what no kernel has written: so what is read without having been written shows. */
void *dirty_give(void *user, size_t bytes);
void dirty_take(void *user, void *memory, size_t bytes);

#endif
