/* All operations of the library, by number and by name: the rows of ops.inc. */
#include "ops.h"

#include <string.h>

#define OP(NAME) &cr__op_##NAME,
#define INTERNAL(NAME)
static const cr_op *const listed[] = {
#include "ops.inc"
};

#define OP(NAME)
#define INTERNAL(NAME) &cr__op_##NAME,
static const cr_op *const internal[] = {
#include "ops.inc"
};

const cr_op *cr_op_list(int i)
{
    return i >= 0 && i < CR__COUNT(listed) ? listed[i] : NULL;
}

const cr_op *cr__op_internal(int i)
{
    return i >= 0 && i < CR__COUNT(internal) ? internal[i] : NULL;
}

const cr_op *cr_op_find(const char *name)
{
    for (int i = 0; i < CR__COUNT(listed) && name; i++)
        if (strcmp(listed[i]->name, name) == 0)
            return listed[i];
    for (int i = 0; i < CR__COUNT(internal) && name; i++)
        if (strcmp(internal[i]->name, name) == 0)
            return internal[i];
    return NULL;
}
