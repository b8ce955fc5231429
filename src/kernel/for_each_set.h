/* Includes the template CR__TEMPLATE once for each instruction set, with its vocabulary. */
#define CR__ISA 0
#include "vec.h"
#include CR__TEMPLATE
#undef CR__ISA
#ifdef CR__HAVE_X86
#define CR__ISA 1
#include "vec.h"
#include CR__TEMPLATE
#undef CR__ISA
#define CR__ISA 2
#include "vec.h"
#include CR__TEMPLATE
#undef CR__ISA
#endif
#undef CR__TEMPLATE
