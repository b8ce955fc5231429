/* Kinds of element types. */
#ifndef CR_BASE_DTYPE_H
#define CR_BASE_DTYPE_H

#include "compiler.h"
#include "chainrule.h"

CR__INLINE bool cr__is_half(cr_dtype dtype)
{
    return dtype == CR_BF16 || dtype == CR_F16;
}

CR__INLINE bool cr__is_float(cr_dtype dtype)
{
    return dtype == CR_F32 || dtype == CR_F64 || cr__is_half(dtype);
}

/* The type that elements of a type are computed in. */
CR__INLINE cr_dtype cr__register_dtype(cr_dtype dtype)
{
    return cr__is_half(dtype) ? CR_F32 : dtype;
}

#endif
