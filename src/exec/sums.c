/* What the sums of a row program add up: terms that only a sum reads are none of the program's
 * instructions. A sum of products is a dot product. One of -x is 0 - the sum of x, with the same
 * bits: sums that come to 0 are +0. And exponentials of differences from a row's value, which
 * others read too, are added up while they are computed. */
#include "program.h"

/* Whether the unit is such a map of the shape, in the reader's level and of its type. */
static bool is_map(const cr__unit *unit, cr__map_code code, const cr__unit *reader)
{
    return unit && unit->kind == CR__UNIT_MAP && unit->role == CR__EACH &&
           ((const cr__map *)unit->op->internal)->code == code &&
           unit->dtype == reader->dtype && unit->level == reader->level;
}

/* And whether it can be computed where the reader is, which nothing else is. */
static bool is_term(const cr__program *p, const cr__unit *unit, cr__map_code code,
                    const cr__unit *reader)
{
    return is_map(unit, code, reader) && !(unit->flags & CR__STORED) &&
           !(p->joins[unit->place] & (uint8_t)~CR__JOIN_INSIDE) &&
           cr__stays_joined(p, unit, reader);
}

/* Whether the operand has an element for each of the shape; or one for all of a row. */
static bool varies_in_row(const cr__program *p, const cr__use *use)
{
    const cr__unit *made = cr__member(p, use);
    if (made)
        return made->role == CR__EACH;
    const cr__access access = cr__access_of(p->plan, use);
    return access != CR__ACCESS_ONE && access != CR__ACCESS_ROW;
}

static const cr__use *uses_of(const cr__program *p, const cr__unit *unit)
{
    return &p->plan->uses[unit->uses];
}

static cr__unit *first_made(const cr__program *p, const cr__unit *unit)
{
    return cr__member(p, uses_of(p, unit));
}

unsigned cr__terms_of(const cr__program *p, const cr__unit *sum, const cr__use **of)
{
    const cr__unit *unit = first_made(p, sum);
    unsigned terms = p->joins[sum->place];
    *of = uses_of(p, sum);
    if (terms & CR__TERMS_NEGATED) {
        *of = uses_of(p, unit);
        unit = first_made(p, unit);
    }
    if (terms & CR__TERMS_PRODUCTS)
        *of = uses_of(p, unit);
    return terms;
}

const cr__use *cr__exponents_of(const cr__program *p, const cr__unit *unit)
{
    return p->joins[unit->place] & CR__JOIN_SUMMED ? uses_of(p, first_made(p, unit))
                                                   : NULL;
}

/* Exponentials that a sum takes with it. */
static bool is_summed(const cr__program *p, const cr__unit *unit, const cr__unit *sum)
{
    if (p->is_short || p->run || sum->role == CR__COLUMN ||
        !is_map(unit, CR__MAP_exp, sum) || p->joins[unit->place] & CR__JOIN_SUMMED)
        return false;
    const cr__unit *below = first_made(p, unit);
    return is_term(p, below, CR__MAP_below_largest, unit) &&
           varies_in_row(p, uses_of(p, below)) &&
           !varies_in_row(p, uses_of(p, below) + 1);
}

static void find_terms(cr__program *p, const cr__unit *sum)
{
    const cr__unit *unit = first_made(p, sum);
    uint8_t *terms = &p->joins[sum->place];
    if (cr__ending_of(sum->node).code == CR__AS_SUM &&
        is_term(p, unit, CR__MAP_neg, sum)) {
        *terms |= CR__TERMS_NEGATED;
        cr__put_inside(p, unit, sum);
        unit = first_made(p, unit);
    }
    if (is_term(p, unit, CR__MAP_mul, sum) && varies_in_row(p, uses_of(p, unit)) &&
        varies_in_row(p, uses_of(p, unit) + 1)) {
        *terms |= CR__TERMS_PRODUCTS;
        cr__put_inside(p, unit, sum);
    } else if (!*terms && is_summed(p, unit, sum)) {
        *terms = CR__TERMS_WITH_THEM;
        p->joins[unit->place] |= CR__JOIN_SUMMED;
        cr__put_inside(p, first_made(p, unit), unit);
    }
}

void cr__find_sums(cr__program *p)
{
    const cr__plan *plan = p->plan;
    for (uint32_t at = p->group->first; at; at = plan->units[at - 1].next) {
        const cr__unit *unit = &plan->units[at - 1];
        const bool is_float = unit->dtype == CR_F32 || unit->dtype == CR_F64;
        if (unit->kind == CR__UNIT_REDUCE && is_float &&
            ((const cr__reduce_info *)unit->op->internal)->code == CR__REDUCE_sum)
            find_terms(p, unit);
    }
}
