/* The choice of the instruction set: once for the process. */
#include "isa.h"
#include "kernel.h"

#include "chainrule.h"

#include <stdlib.h>
#include <string.h>

static const char *const isa_names[CR__ISAS] = {
    [CR__GENERIC] = "generic",
    [CR__AVX2] = "avx2",
    [CR__AVX512] = "avx512",
    [CR__NEON] = "neon",
};

const char *cr__isa_name(cr__isa isa)
{
    return isa_names[isa];
}

/* Exactly the features that the targets in isa.h let the compiler use; the builtin asks
 * for the system's support of the registers too. */
bool cr__isa_usable(cr__isa isa)
{
    if (isa == CR__GENERIC)
        return true;
#ifdef CR__HAVE_AVX
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == CR__AVX2)
        return avx2;
    if (isa == CR__AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
#ifdef CR__HAVE_NEON
    if (isa == CR__NEON)
        return true;
#endif
    return false;
}

static const char *wanted_isa(void)
{
    const char *wanted = getenv("CHAINRULE_ISA");
    return wanted && *wanted ? wanted : NULL;
}

const char *cr__isa_refused(void)
{
    const char *wanted = wanted_isa();
    for (cr__isa isa = CR__GENERIC; wanted && isa < CR__ISAS; isa++)
        if (cr__isa_usable(isa) && strcmp(wanted, isa_names[isa]) == 0)
            return NULL;
    return wanted;
}

static cr__isa choose(void)
{
    const char *wanted = wanted_isa();
    cr__isa best = CR__GENERIC;
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++) {
        if (!cr__isa_usable(isa))
            continue;
        best = isa;
        if (wanted && strcmp(wanted, isa_names[isa]) == 0)
            break;
    }
    return best;
}

atomic_int cr__isa_chosen;

/* The first choice stays, should the environment change meanwhile. */
int cr__isa_choose(void)
{
    int before = 0, mine = (int)choose() + 1;
    return atomic_compare_exchange_strong(&cr__isa_chosen, &before, mine) ? mine : before;
}

const char *cr_isa(void)
{
    return cr__isa_name(cr__isa_in_use());
}
