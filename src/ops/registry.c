/* All operations of the library: the one place that knows the families. */
#include "ops.h"

#include <string.h>

static const cr_op *const *const families[] = {
    cr__ops_unary, cr__ops_binary,   cr__ops_reduce, cr__ops_view,
    cr__ops_slice, cr__ops_contract, cr__ops_index,  cr__ops_norm,
    cr__ops_loss,  cr__ops_create,   cr__ops_random,
};

const cr_op *cr_op_list(int i)
{
    for (int f = 0; f < CR__COUNT(families) && i >= 0; f++)
        for (const cr_op *const *op = families[f]; *op; op++)
            if (i-- == 0)
                return *op;
    return NULL;
}

const cr_op *cr_op_find(const char *name)
{
    for (int f = 0; f < CR__COUNT(families) && name; f++)
        for (const cr_op *const *op = families[f]; *op; op++)
            if (strcmp((*op)->name, name) == 0)
                return *op;
    return NULL;
}
