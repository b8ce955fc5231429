/* The maps that are computed in f64: the RARE rows of maps.inc, of f32 too. */
#include "doubles.h"
#include "math64_tables.h"
#include "rows.h"
#include <math.h>

#define CR__TEMPLATE "doubles_body.h"
#include "for_each_set.h"

typedef struct rows_of_set {
    cr__map_fn *const *of[CR_DTYPES];
} rows_of_set;
#define ROWS_OF_SET(SET)                                         \
    {                                                            \
        {                                                        \
            [CR_F32] = f32_rare##SET, [CR_F64] = f64_rare##SET,  \
            [CR_BF16] = f32_rare##SET, [CR_F16] = f32_rare##SET, \
        }                                                        \
    }
static const rows_of_set rows_of_sets[CR__ISAS] = { CR__EACH_SET(ROWS_OF_SET) };

cr__map_fn *cr__doubles_find_for(cr__isa isa, cr__map_code code, cr_dtype dtype)
{
    cr__map_fn *const *rows = rows_of_sets[isa].of[dtype];
    return rows ? rows[code] : NULL;
}
