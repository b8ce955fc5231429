/* Attributes as text, "dim=1,keepdim=true", and their defaults, which are text in the
 * operations' tables. */
#include "../base/text.h"
#include "attrs.h"

#include <string.h>

/* A part of a text. */
typedef struct text_span {
    const char *at;
    size_t n;
} text_span;

static text_span trim(text_span s)
{
    while (s.n && s.at[0] == ' ')
        s.at++, s.n--;
    while (s.n && s.at[s.n - 1] == ' ')
        s.n--;
    return s;
}

static bool is(text_span s, const char *word)
{
    return strlen(word) == s.n && memcmp(s.at, word, s.n) == 0;
}

/* The next of the parts that commas separate; commas in brackets do not. */
static bool next_part(text_span *rest, text_span *part)
{
    int depth = 0;
    size_t n = 0;
    if (!rest->at)
        return false;
    for (; n < rest->n && (depth > 0 || rest->at[n] != ','); n++)
        depth += (rest->at[n] == '[') - (rest->at[n] == ']');
    *part = trim((text_span){ rest->at, n });
    if (n < rest->n)
        *rest = (text_span){ rest->at + n + 1, rest->n - n - 1 };
    else
        rest->at = NULL;
    return true;
}

const cr_attr cr__dim_rows[] = {
    CR__ATTR(cr__dim_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL), CR__ATTRS_END
};

/* ---- values ---- */

static bool parse_integer(text_span s, int64_t *out)
{
    bool negative = s.n && s.at[0] == '-';
    int64_t value = 0;
    size_t i = negative ? 1 : 0;
    for (bool any = false; i < s.n || !any; i++, any = true) {
        if (i >= s.n || s.at[i] < '0' || s.at[i] > '9')
            return false;
        int digit = s.at[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value))
            return false;
    }
    if (!negative && value == INT64_MIN)
        return false;
    *out = negative ? value : -value;
    return true;
}

static bool parse_real(text_span s, double *out)
{
    if (is(s, "inf") || is(s, "-inf") || is(s, "nan")) {
        *out = is(s, "nan") ? (double)NAN : s.at[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    return cr__parse_real(s.at, s.n, out);
}

/* The elements of "[1,2]", or the one that stands without brackets. */
static text_span elements(text_span s)
{
    if (s.n >= 2 && s.at[0] == '[' && s.at[s.n - 1] == ']')
        s = trim((text_span){ s.at + 1, s.n - 2 });
    return s.n ? s : (text_span){ NULL, 0 };
}

static bool to_bool(text_span s, const cr_attr *attr, void *out)
{
    (void)attr;
    *(bool *)out = is(s, "true");
    return is(s, "true") || is(s, "false");
}

static bool to_int(text_span s, const cr_attr *attr, void *out)
{
    (void)attr;
    return parse_integer(s, out);
}

static bool to_real(text_span s, const cr_attr *attr, void *out)
{
    (void)attr;
    return parse_real(s, out);
}

static bool to_number(text_span s, const cr_attr *attr, void *out)
{
    cr_arg *number = out;
    (void)attr;
    if (parse_integer(s, &number->v.i))
        number->kind = CR_ARG_INT;
    else if (parse_real(s, &number->v.real))
        number->kind = CR_ARG_REAL;
    else
        return false;
    return true;
}

static bool to_word(text_span s, const cr_attr *attr, void *out)
{
    text_span rest = { attr->words, strlen(attr->words) }, word;
    for (int i = 0; next_part(&rest, &word); i++)
        if (word.n == s.n && memcmp(word.at, s.at, s.n) == 0) {
            memcpy(out, &i, sizeof i);
            return true;
        }
    return false;
}

static bool to_dims(text_span s, const cr_attr *attr, void *out);

/* [[1,2],[0,1]], one behind the other. */
static bool to_two_lists(text_span s, void *out)
{
    static const cr_attr plain = { .name = NULL };
    text_span rest = elements(s), part;
    cr_dims lists[2] = { { .n = 0 } };
    int n = 0;
    while (next_part(&rest, &part))
        if (n == 2 || !part.n || part.at[0] != '[' || !to_dims(part, &plain, &lists[n++]))
            return false;
    if (n < 2 || lists[0].n != lists[1].n || 2 * lists[0].n > CR_MAX_DIMS)
        return false;
    for (int i = 0; i < lists[1].n; i++)
        lists[0].v[lists[0].n + i] = lists[1].v[i];
    lists[0].n *= 2;
    *(cr_dims *)out = lists[0];
    return true;
}

static bool to_dims(text_span s, const cr_attr *attr, void *out)
{
    cr_dims dims = { .n = 0, .given = s.n > 0 };
    text_span rest = elements(s), part;
    int word;
    if (attr->words && to_word(s, attr, &word)) {
        *(cr_dims *)out = (cr_dims){ .v = { INT64_MIN + word }, .n = 1, .given = true };
        return true;
    }
    if (attr->flags & CR_ATTR_TWO_LISTS && rest.n && rest.at && rest.at[0] == '[')
        return to_two_lists(s, out);
    while (next_part(&rest, &part))
        if (dims.n == CR_MAX_DIMS || !parse_integer(part, &dims.v[dims.n++]))
            return false;
    *(cr_dims *)out = dims;
    return true;
}

static bool to_reals(text_span s, const cr_attr *attr, void *out)
{
    cr_reals reals = { .n = 0 };
    text_span rest = elements(s), part;
    (void)attr;
    while (next_part(&rest, &part))
        if (reals.n == CR__COUNT(reals.v) || !parse_real(part, &reals.v[reals.n++]))
            return false;
    *(cr_reals *)out = reals;
    return true;
}

/* Nothing, for which any default stands, or one number. */
static bool to_opt_int(text_span s, const cr_attr *attr, void *out)
{
    cr_opt_int *number = out;
    (void)attr;
    *number = (cr_opt_int){ .given = s.n > 0 };
    return s.n == 0 || parse_integer(s, &number->v);
}

static bool to_opt_real(text_span s, const cr_attr *attr, void *out)
{
    cr_opt_real *number = out;
    (void)attr;
    *number = (cr_opt_real){ .given = s.n > 0 };
    return s.n == 0 || parse_real(s, &number->v);
}

/* Nothing, or true or false. */
static bool to_opt_bool(text_span s, const cr_attr *attr, void *out)
{
    (void)attr;
    *(cr_opt_int *)out = (cr_opt_int){ .v = is(s, "true"), .given = s.n > 0 };
    return s.n == 0 || is(s, "true") || is(s, "false");
}

static bool to_dtype(text_span s, const cr_attr *attr, void *out)
{
    (void)attr;
    for (int i = CR_F32; i < CR_DTYPES; i++)
        if (is(s, cr_dtype_name((cr_dtype)i))) {
            *(cr_dtype *)out = (cr_dtype)i;
            return true;
        }
    *(cr_dtype *)out = CR_DTYPE_DEFAULT;
    return s.n == 0;
}

/* Shorter by one than there is room for, so that who copies a text can tell that it was
 * cut. */
static bool to_text(text_span s, const cr_attr *attr, void *out)
{
    (void)attr;
    if (s.n > CR_MAX_TEXT - 2)
        return false;
    memcpy(out, s.at, s.n);
    ((char *)out)[s.n] = 0;
    return true;
}

/* How each type is read, what is expected of it, and where zero may stand for "not
 * given". */
static const struct {
    bool (*parse)(text_span s, const cr_attr *attr, void *out);
    const char *expected;
} types[] = {
    [CR_ATTR_BOOL] = { to_bool, "true or false" },
    [CR_ATTR_INT] = { to_int, "an integer" },
    [CR_ATTR_REAL] = { to_real, "a number" },
    [CR_ATTR_NUMBER] = { to_number, "a number" },
    [CR_ATTR_DIMS] = { to_dims, "an integer or a list of at most 8, like [1,2]" },
    [CR_ATTR_REALS] = { to_reals, "a number or a list of at most 4, like [0.5,1]" },
    [CR_ATTR_OPT_INT] = { to_opt_int, "an integer" },
    [CR_ATTR_OPT_REAL] = { to_opt_real, "a number" },
    [CR_ATTR_OPT_BOOL] = { to_opt_bool, "true or false" },
    [CR_ATTR_WORD] = { to_word, NULL },
    [CR_ATTR_DTYPE] = { to_dtype, "a dtype, like f32" },
    [CR_ATTR_TEXT] = { to_text, "a shorter text" },
};

/* ---- structs ---- */

/* What is being read. */
typedef struct reading {
    cr_ctx *ctx;
    const cr_op *op;
    const char *text;
} reading;

/* Says what is wrong, and at which character of the text. Returns false. */
static bool fail_at(const reading *r, const char *at, const char *format, ...)
{
    char what[400];
    va_list args;
    va_start(args, format);
    cr__vformat(what, sizeof what, format, args);
    va_end(args);
    return !cr__op_fail(r->ctx, r->op, CR_ERR_ARGUMENT, NULL,
                        "%s, at character %lld of the attributes", what,
                        (long long)(at - r->text) + 1);
}

static bool store_value(const reading *r, const cr_attr *attr, text_span value,
                        void *attrs)
{
    if (types[attr->type].parse(value, attr, (char *)attrs + attr->offset))
        return true;
    const char *expected = types[attr->type].expected;
    return fail_at(r, value.at, "%s=%.*s: expected %s%s%s%s", attr->name,
                   value.n < 40 ? (int)value.n : 40, value.at, expected ? expected : "",
                   expected && attr->words ? ", or " : "", attr->words ? "one of " : "",
                   attr->words ? attr->words : "");
}

static bool store_default(cr_ctx *ctx, const cr_op *op, const cr_attr *attr, void *attrs)
{
    const reading r = { ctx, op, attr->initial };
    return store_value(&r, attr, (text_span){ r.text, strlen(r.text) }, attrs);
}

/* The i-th number of a member; false behind the last, and of what holds none. */
static bool number_at(const cr_attr *attr, const void *attrs, int i, cr_arg *number)
{
    const void *member = (const char *)attrs + attr->offset;
    const cr_dims *dims = member;
    const cr_reals *reals = member;
    switch (attr->type) {
    case CR_ATTR_INT:
        *number = cr_arg_int(*(const int64_t *)member);
        return i < 1;
    case CR_ATTR_REAL:
        *number = cr_arg_real(*(const double *)member);
        return i < 1;
    case CR_ATTR_NUMBER:
        *number = *(const cr_arg *)member;
        return i < 1;
    case CR_ATTR_DIMS:
        *number = cr_arg_int(i < CR_MAX_DIMS ? dims->v[i] : 0);
        return i < dims->n && i < CR_MAX_DIMS;
    case CR_ATTR_REALS:
        *number = cr_arg_real(i < CR__COUNT(reals->v) ? reals->v[i] : 0);
        return i < reals->n && i < CR__COUNT(reals->v);
    default:
        return false;
    }
}

/* Lists made by hand may say anything. */
static bool check_length(cr_ctx *ctx, const cr_op *op, const cr_attr *attr,
                         const void *attrs)
{
    const void *member = (const char *)attrs + attr->offset;
    const bool dims = attr->type == CR_ATTR_DIMS, reals = attr->type == CR_ATTR_REALS;
    const int most = dims ? CR_MAX_DIMS : CR__COUNT(((const cr_reals *)member)->v);
    const int n = dims    ? ((const cr_dims *)member)->n
                  : reals ? ((const cr_reals *)member)->n
                          : 0;
    if (n >= 0 && n <= most)
        return true;
    return !cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "%s has %d numbers, at most %d",
                        attr->name, n, most);
}

/* What a row's type, flags and words exclude. */
static bool check_member(cr_ctx *ctx, const cr_op *op, const cr_attr *attr,
                         const void *attrs)
{
    cr_arg number;
    if (!check_length(ctx, op, attr, attrs))
        return false;
    for (int i = 0; attr->flags & CR_ATTR_POSITIVE && number_at(attr, attrs, i, &number);
         i++)
        if (!(cr__arg_double(number) > 0))
            return !cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "%s is %s, not above 0",
                                attr->name, cr__number_text(ctx, number));
    if (attr->flags & CR_ATTR_NONZERO && number_at(attr, attrs, 0, &number) &&
        cr__arg_double(number) == 0)
        return !cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL,
                            "%s is 0, neither above nor below", attr->name);
    if (attr->type != CR_ATTR_WORD)
        return true;
    text_span rest = { attr->words, strlen(attr->words) }, word;
    int at = 0, given = *(const int *)((const char *)attrs + attr->offset);
    for (; next_part(&rest, &word); at++)
        if (at == given)
            return true;
    return !cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "%s is number %d of the words %s",
                        attr->name, given, attr->words);
}

bool cr__attrs_check(cr_ctx *ctx, const cr_op *op, const void *attrs)
{
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++)
        if (!check_member(ctx, op, attr, attrs))
            return false;
    return true;
}

/* Whether a member is zero and stands for its default. */
static bool is_unset(const cr_attr *attr, const void *attrs)
{
    const void *member = (const char *)attrs + attr->offset;
    bool positive = attr->flags & (CR_ATTR_POSITIVE | CR_ATTR_NONZERO);
    switch (attr->type) {
    case CR_ATTR_INT:
        return positive && *(const int64_t *)member == 0;
    case CR_ATTR_REAL:
        return positive && *(const double *)member == 0;
    case CR_ATTR_NUMBER:
        return ((const cr_arg *)member)->kind == CR_ARG_NONE;
    case CR_ATTR_DIMS:
        return !((const cr_dims *)member)->given;
    case CR_ATTR_REALS:
        return ((const cr_reals *)member)->n == 0;
    case CR_ATTR_OPT_INT:
    case CR_ATTR_OPT_BOOL:
        return !((const cr_opt_int *)member)->given;
    case CR_ATTR_OPT_REAL:
        return !((const cr_opt_real *)member)->given;
    case CR_ATTR_DTYPE:
        return *(const cr_dtype *)member == CR_DTYPE_DEFAULT;
    default:
        return false;
    }
}

/* Without a context only the defaults are filled in: what records checks the rest. */
bool cr__attrs_fill(cr_ctx *ctx, const cr_op *op, void *attrs)
{
    CR__FP_GUARD();
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++)
        if (attr->initial && is_unset(attr, attrs) &&
            !store_default(ctx, op, attr, attrs))
            return false;
    return true;
}

/* The names of all attributes, for messages. */
static const char *names_of(const cr_op *op, char *text, size_t capacity)
{
    size_t length = 0;
    text[0] = 0;
    for (const cr_attr *attr = op->attrs; attr && attr->name && length < capacity; attr++)
        length += (size_t)snprintf(text + length, capacity - length, "%s%s",
                                   length ? ", " : "", attr->name);
    return text;
}

static const cr_attr *find(const reading *r, text_span name)
{
    char names[256];
    for (const cr_attr *attr = r->op->attrs; attr && attr->name; attr++)
        if (is(name, attr->name))
            return attr;
    fail_at(r, name.at, "there is no attribute '%.*s'; %s%s",
            name.n < 40 ? (int)name.n : 40, name.at,
            r->op->attrs ? "its attributes: " : "it has none",
            names_of(r->op, names, sizeof names));
    return NULL;
}

/* One "name=value"; *seen has a bit for each row that has been given. */
static bool parse_item(const reading *r, text_span item, void *attrs, uint64_t *seen)
{
    const char *equals = memchr(item.at, '=', item.n);
    if (!equals)
        return fail_at(r, item.at, "attributes are written name=value, not '%.*s'",
                       item.n < 40 ? (int)item.n : 40, item.at);
    size_t length = (size_t)(equals - item.at);
    const cr_attr *attr = find(r, trim((text_span){ item.at, length }));
    if (!attr)
        return false;
    uint64_t bit = (uint64_t)1 << (attr - r->op->attrs);
    if (*seen & bit)
        return fail_at(r, item.at, "%s is given twice", attr->name);
    *seen |= bit;
    text_span value = trim((text_span){ equals + 1, item.n - length - 1 });
    return store_value(r, attr, value, attrs);
}

/* What is left of the text, if the item is of an attribute that takes all of it. */
static text_span whole_item(const cr_op *op, text_span item, const char *end)
{
    const char *equals = memchr(item.at, '=', item.n);
    text_span name =
        trim((text_span){ item.at, equals ? (size_t)(equals - item.at) : 0 });
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++)
        if (attr->type == CR_ATTR_TEXT && is(name, attr->name))
            item.n = (size_t)(end - item.at);
    return item;
}

static bool parse_all(cr_ctx *ctx, const cr_op *op, const char *text, void *attrs)
{
    const reading r = { ctx, op, text };
    text_span rest = trim((text_span){ text, text ? strlen(text) : 0 }), item;
    uint64_t seen = 0;
    const char *end = rest.n ? rest.at + rest.n : NULL;
    rest.at = rest.n ? rest.at : NULL;
    while (next_part(&rest, &item)) {
        text_span whole = whole_item(op, item, end);
        if (whole.n > item.n)
            rest.at = NULL;
        if (!parse_item(&r, whole, attrs, &seen))
            return false;
    }
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++, seen >>= 1) {
        if (seen & 1)
            continue;
        if (!attr->initial) {
            cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "the attribute %s is missing",
                        attr->name);
            return false;
        }
        if (!store_default(ctx, op, attr, attrs))
            return false;
    }
    return cr__attrs_check(ctx, op, attrs);
}

bool cr__attrs_parse(cr_ctx *ctx, const cr_op *op, const char *text, void **attrs)
{
    uint64_t none = 0;
    *attrs = NULL;
    if (op->attrs_size && !(*attrs = cr__pooled_new(ctx, op->attrs_size)))
        return false;
    if (*attrs)
        memset(*attrs, 0, op->attrs_size);
    if (parse_all(ctx, op, text, *attrs ? *attrs : &none))
        return true;
    cr__pooled_free(*attrs);
    *attrs = NULL;
    return false;
}
