/* Includes the template CR__TEMPLATE once for each instruction set, with its vocabulary. */
#include "vec_generic.h"
#include CR__TEMPLATE
#ifdef CR__HAVE_AVX
#include "vec_avx2.h"
#include CR__TEMPLATE
#include "vec_avx512.h"
#include CR__TEMPLATE
#endif
#ifdef CR__HAVE_NEON
#include "vec_neon.h"
#include CR__TEMPLATE
#endif
#undef CR__TEMPLATE
