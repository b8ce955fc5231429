/* Products of tensors whose dimensions have names: einsum, and what is said shorter by
 * tensordot and bilinear. Two operands at a time become one batched matrix product. */
#include "../base/text.h"
#include "attrs.h"
#include <stdarg.h>
#include <string.h>

/* ---- names ---- */

/* A name is a number: A..Z, a..z, and the dimensions of an ellipsis, the last of which is
 * NAMES - 1. A set of them is a mask. */
enum { LETTERS = 52, NAMES = LETTERS + CR_MAX_DIMS };
typedef uint64_t name_set;

#define ONE(name) ((name_set)1 << (name))

typedef struct name_list {
    int n;
    uint8_t v[2 * CR_MAX_DIMS];
} name_list;

static name_set set_of(const name_list *list)
{
    name_set set = 0;
    for (int i = 0; i < list->n; i++)
        set |= ONE(list->v[i]);
    return set;
}

static int place_in(const name_list *list, int name)
{
    int i = 0;
    while (i < list->n && list->v[i] != name)
        i++;
    return i < list->n ? i : -1;
}

/* Those of the list that are in the set, behind what is in *to. */
static void add_those(name_list *to, const name_list *list, name_set set)
{
    for (int i = 0; i < list->n; i++)
        if (set & ONE(list->v[i]))
            to->v[to->n++] = list->v[i];
}

/* A tensor, and the names of its dimensions. */
typedef struct named {
    cr_tensor *x;
    name_list names;
} named;

/* ---- one operand ---- */

/* Where a name occurs several times, only the diagonal, once; sizes have been checked. */
static void take_diagonals(named *a)
{
    for (int i = 0; i < a->names.n; i++)
        for (int j = i + 1; j < a->names.n; j++) {
            if (a->names.v[i] != a->names.v[j])
                continue;
            uint8_t name = a->names.v[i];
            a->x = cr_diagonal(a->x, 0, i, j);
            for (int to = 0, from = 0; from < a->names.n; from++)
                if (from != i && from != j)
                    a->names.v[to++] = a->names.v[from];
            a->names.n--;
            a->names.v[a->names.n - 1] = name;
            i = -1;
            break;
        }
}

/* Sums over the names of the set, all of which it has. */
static void sum_over(named *a, name_set set)
{
    cr_dims over = CR_NO_DIMS;
    name_list left = { 0 };
    for (int i = 0; i < a->names.n; i++)
        if (set & ONE(a->names.v[i]))
            over.v[over.n++] = i;
        else
            left.v[left.n++] = a->names.v[i];
    if (over.n)
        a->x = cr_sum(a->x, over);
    a->names = left;
}

/* Brings dimensions into this order of the same names. */
static void put_in_order(named *a, const name_list *order)
{
    cr_dims dims = CR_NO_DIMS;
    bool same = true;
    for (int i = 0; i < order->n; i++) {
        dims.v[dims.n++] = place_in(&a->names, order->v[i]);
        same = same && dims.v[i] == i;
    }
    if (!same)
        a->x = cr_permute(a->x, dims);
    a->names = *order;
}

/* Drops dimensions of size 1 whose name has another size in b: there they repeat. */
static void drop_repeating(named *a, const named *b)
{
    for (int i = a->names.n - 1; i >= 0; i--) {
        int j = place_in(&b->names, a->names.v[i]);
        if (j < 0 || cr_size(a->x, i) != 1 || cr_size(b->x, j) == 1)
            continue;
        a->x = cr_select(a->x, i, 0);
        for (int k = i; k < a->names.n - 1; k++)
            a->names.v[k] = a->names.v[k + 1];
        a->names.n--;
    }
}

/* ---- two operands ---- */

/* x in another shape of as many elements. */
static cr_tensor *shaped(cr_tensor *x, cr_dims dims)
{
    return cr__dims_equal(cr_shape(x), dims) ? x : cr_reshape(x, dims);
}

static int64_t size_of(const named *a, int first, int n)
{
    int64_t size = 1;
    for (int i = first; i < first + n; i++)
        size *= cr_size(a->x, i);
    return size;
}

/* The sizes of the first n dimensions, as one if they are too many, and room for two
 * more. */
static cr_dims batch_dims(const named *a, int n)
{
    cr_dims dims = CR_NO_DIMS;
    if (n > CR_MAX_DIMS - 2)
        return CR_DIMS(size_of(a, 0, n));
    for (int i = 0; i < n; i++)
        dims.v[dims.n++] = cr_size(a->x, i);
    return dims;
}

static cr_dims with_rows(cr_dims batch, int64_t rows, int64_t columns)
{
    batch.v[batch.n++] = rows;
    batch.v[batch.n++] = columns;
    return batch;
}

/* What the names of a product are: of both operands and the result, of both alone, and of
 * one. */
typedef struct roles {
    name_list batch, inner, left, right, out;
} roles;

static void add_all(name_list *to, const name_list *list)
{
    add_those(to, list, ~(name_set)0);
}

static roles roles_of(const named *a, const named *b, name_set keep)
{
    name_set both = set_of(&a->names) & set_of(&b->names);
    roles r = { .out = { 0 } };
    add_those(&r.batch, &a->names, both & keep);
    add_those(&r.inner, &a->names, both & ~keep);
    add_those(&r.left, &a->names, ~both);
    add_those(&r.right, &b->names, ~both);
    add_all(&r.out, &r.batch);
    add_all(&r.out, &r.left);
    add_all(&r.out, &r.right);
    return r;
}

/* Brings a and b into the order [batch, left, inner] and [batch, inner, right]. */
static void order_both(named *a, named *b, const roles *r)
{
    name_list first = r->batch, second = r->batch;
    add_all(&first, &r->left);
    add_all(&first, &r->inner);
    add_all(&second, &r->inner);
    add_all(&second, &r->right);
    put_in_order(a, &first);
    put_in_order(b, &second);
}

/* Nothing is added up: an ordinary product, broadcast. */
static cr_tensor *multiply_each(const named *a, const named *b, const roles *r)
{
    cr_dims left = CR_NO_DIMS, right = CR_NO_DIMS;
    for (int i = 0; i < r->out.n; i++) {
        bool of_left = i >= r->batch.n && i < r->batch.n + r->left.n;
        bool of_right = i >= r->batch.n + r->left.n;
        left.v[left.n++] = of_right ? 1 : cr_size(a->x, i);
        right.v[right.n++] = of_left    ? 1
                             : of_right ? cr_size(b->x, i - r->left.n)
                                        : cr_size(b->x, i);
    }
    return cr_mul(shaped(a->x, left), shaped(b->x, right));
}

static cr_tensor *multiply_matrices(const named *a, const named *b, const roles *r)
{
    const int batch = r->batch.n, left = r->left.n, inner = r->inner.n;
    cr_dims outer = batch_dims(a, batch), out = CR_NO_DIMS;
    for (int i = 0; i < batch + left; i++)
        out.v[out.n++] = cr_size(a->x, i);
    for (int i = 0; i < r->right.n; i++)
        out.v[out.n++] = cr_size(b->x, batch + inner + i);
    int64_t m = size_of(a, batch, left), k = size_of(a, batch + left, inner);
    int64_t n = size_of(b, batch + inner, r->right.n);
    cr_tensor *x = shaped(a->x, with_rows(outer, m, k));
    return shaped(cr__contract(x, shaped(b->x, with_rows(outer, k, n))), out);
}

/* a becomes the product of a and b, in which only names of `keep` remain; what only one
 * of them has of the others is summed before. False with the error. */
static bool multiply_pair(cr_ctx *ctx, const cr_op *op, named *a, named *b, name_set keep)
{
    drop_repeating(a, b);
    drop_repeating(b, a);
    name_set both = set_of(&a->names) & set_of(&b->names);
    sum_over(a, set_of(&a->names) & ~both & ~keep);
    sum_over(b, set_of(&b->names) & ~both & ~keep);
    const roles r = roles_of(a, b, keep);
    if (r.out.n > CR_MAX_DIMS)
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "the product of two operands has %d dimensions, at most %d", r.out.n,
                    CR_MAX_DIMS);
    if (cr_error(ctx) != CR_OK)
        return false;
    order_both(a, b, &r);
    a->x = r.inner.n ? multiply_matrices(a, b, &r) : multiply_each(a, b, &r);
    a->names = r.out;
    return a->x != NULL;
}

/* What remains in this order. */
static cr_tensor *finish(named *a, const name_list *order)
{
    sum_over(a, set_of(&a->names) & ~set_of(order));
    put_in_order(a, order);
    return a->x;
}

/* ---- the equation ---- */

typedef struct einsum_attrs {
    char equation[CR_MAX_TEXT];
} einsum_attrs;

enum { DOTS = NAMES, COMMA, ARROW, END };

/* The text, read symbol by symbol, and what is known of its names. */
typedef struct reader {
    cr_ctx *ctx;
    const char *text;
    int at, begin;       /* behind the last symbol, and where that begins */
    int symbol;          /* a name, DOTS, COMMA, ARROW or END */
    int64_t size[NAMES]; /* of those that are known */
    name_set known;
    int count[LETTERS];
    int dots; /* dimensions of the longest ellipsis */
} reader;

static bool complain(const reader *r, const char *format, ...) CR_FORMAT(2, 3);
static bool complain(const reader *r, const char *format, ...)
{
    char what[300];
    va_list args;
    va_start(args, format);
    cr__vformat(what, sizeof what, format, args);
    va_end(args);
    return !cr__op_fail(r->ctx, &cr__op_einsum, CR_ERR_ARGUMENT, NULL,
                        "%s, at character %d of '%s'", what, r->begin + 1, r->text);
}

/* False with the error. */
static bool next_symbol(reader *r)
{
    while (r->text[r->at] == ' ')
        r->at++;
    const char *s = r->text + r->at;
    r->begin = r->at++;
    if (*s >= 'A' && *s <= 'Z') {
        r->symbol = *s - 'A';
    } else if (*s >= 'a' && *s <= 'z') {
        r->symbol = *s - 'a' + 26;
    } else if (strncmp(s, "...", 3) == 0) {
        r->symbol = DOTS;
        r->at += 2;
    } else if (strncmp(s, "->", 2) == 0) {
        r->symbol = ARROW;
        r->at++;
    } else if (*s == ',') {
        r->symbol = COMMA;
    } else if (!*s) {
        r->symbol = END;
        r->at--;
    } else {
        return complain(r, "there is a '%c'", *s);
    }
    return true;
}

static char letter_of(int name)
{
    return (char)(name < 26 ? 'A' + name : 'a' + name - 26);
}

/* A list of letters, with at most one ellipsis, whose place is *dots (or -1), and the
 * symbol that ends it. */
static bool read_list(reader *r, name_list *list, int *dots)
{
    list->n = 0;
    *dots = -1;
    while (next_symbol(r)) {
        if (r->symbol > DOTS)
            return true;
        if (r->symbol == DOTS && *dots >= 0)
            return complain(r, "there is a second ellipsis");
        if (r->symbol < DOTS && list->n == CR_MAX_DIMS)
            return complain(r, "there are more than %d indices", CR_MAX_DIMS);
        if (r->symbol == DOTS)
            *dots = list->n;
        else
            list->v[list->n++] = (uint8_t)r->symbol;
    }
    return false;
}

/* Puts the last n dimensions of the longest ellipsis at a place of the list. */
static void insert_dots(name_list *list, int at, int n)
{
    for (int i = list->n - 1; i >= at; i--)
        list->v[i + n] = list->v[i];
    for (int i = 0; i < n; i++)
        list->v[at + i] = (uint8_t)(NAMES - n + i);
    list->n += n;
}

/* Sizes are equal, or 1, wherever a name occurs; within an operand equal. */
static bool note_sizes(reader *r, int operand, const named *a)
{
    for (int i = 0; i < a->names.n; i++) {
        int name = a->names.v[i], first = place_in(&a->names, name);
        int64_t size = cr_size(a->x, i), *known = &r->size[name];
        bool seen = r->known & ONE(name);
        int64_t other = first < i ? cr_size(a->x, first) : seen ? *known : size;
        if (size != other && (first < i || (size != 1 && other != 1))) {
            if (name < LETTERS)
                return complain(
                    r,
                    "index '%c' of operand %d, which is %s, has the sizes %lld "
                    "and %lld",
                    letter_of(name), operand, cr__shape_text(a->x), (long long)other,
                    (long long)size);
            return complain(r,
                            "the dimensions of '...' do not broadcast: operand %d is %s",
                            operand, cr__shape_text(a->x));
        }
        if (!seen || *known == 1)
            *known = size;
        r->known |= ONE(name);
        if (name < LETTERS)
            r->count[name]++;
    }
    return true;
}

/* The names of an operand's dimensions, and the symbol behind them. */
static bool read_operand(reader *r, int operand, named *a)
{
    int dots, rank = cr_ndim(a->x);
    if (!read_list(r, &a->names, &dots))
        return false;
    if (a->names.n > rank || (dots < 0 && a->names.n < rank))
        return complain(r, "operand %d is %s, and has %d indices%s", operand,
                        cr__shape_text(a->x), a->names.n,
                        dots < 0 ? "" : " besides '...'");
    if (dots >= 0) {
        int n = rank - a->names.n;
        r->dots = n > r->dots ? n : r->dots;
        insert_dots(&a->names, dots, n);
    }
    return note_sizes(r, operand, a);
}

/* Without "->": the ellipsis, and what occurs once, in the order of the alphabet. */
static void default_output(const reader *r, name_list *out)
{
    insert_dots(out, 0, r->dots);
    for (int name = 0; name < LETTERS; name++)
        if (r->count[name] == 1 && out->n <= CR_MAX_DIMS)
            out->v[out->n++] = (uint8_t)name;
}

static bool read_output(reader *r, name_list *out)
{
    int dots;
    if (!read_list(r, out, &dots))
        return false;
    if (r->symbol != END)
        return complain(r, "the output ends there");
    for (int i = 0; i < out->n; i++) {
        if (place_in(out, out->v[i]) < i)
            return complain(r, "output index '%c' occurs twice", letter_of(out->v[i]));
        if (!(r->known & ONE(out->v[i])))
            return complain(r, "output index '%c' is in no operand",
                            letter_of(out->v[i]));
    }
    if (dots >= 0)
        insert_dots(out, dots, r->dots);
    return true;
}

/* What the names of operands[0..n) and out are; false with the error. */
static bool read_equation(reader *r, named *operands, int n, name_list *out)
{
    int i = 0;
    if (strlen(r->text) > CR_MAX_TEXT - 2)
        return complain(r, "the equation is too long");
    for (r->symbol = COMMA; i < n && r->symbol == COMMA; i++)
        if (!read_operand(r, i, &operands[i]))
            return false;
    if (i < n || r->symbol == COMMA)
        return complain(r, "there are %d operands, and here %s", n,
                        i < n ? "end the indices" : "another begins");
    if (r->symbol == END)
        default_output(r, out);
    else if (!read_output(r, out))
        return false;
    return out->n <= CR_MAX_DIMS ||
           complain(r, "the result has more than %d dimensions", CR_MAX_DIMS);
}

/* ---- einsum ---- */

/* Whether one rounding would not be all: bf16 and f16 are then computed in f32. */
static bool rounds_often(const named *operands, int n, const name_list *out)
{
    name_set all = set_of(out), once = 0, more = 0;
    for (int i = 0; i < n; i++) {
        name_set set = set_of(&operands[i].names);
        more |= once & set;
        once |= set;
    }
    for (int i = 0; n == 2 && i < operands[0].names.n; i++) {
        int j = place_in(&operands[1].names, operands[0].names.v[i]);
        if (j >= 0 && cr_size(operands[0].x, i) != cr_size(operands[1].x, j))
            more &= ~ONE(operands[0].names.v[i]);
    }
    return n > 2 || (n == 2 && (once & ~more & ~all));
}

static bool of_one_dtype(cr_ctx *ctx, const cr_op *op, const named *operands, int n)
{
    for (int i = 1; i < n; i++)
        if (cr_dtype_of(operands[i].x) != cr_dtype_of(operands[0].x)) {
            cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts",
                        "operand 0 is %s, operand %d %s",
                        cr_dtype_name(cr_dtype_of(operands[0].x)), i,
                        cr_dtype_name(cr_dtype_of(operands[i].x)));
            return false;
        }
    return true;
}

/* From left to right, each product keeping what the operands behind it and the output
 * name. */
static cr_tensor *multiply_all(cr_ctx *ctx, const cr_op *op, named *operands, int n,
                               const name_list *out)
{
    const cr_dtype dtype = cr_dtype_of(operands[0].x);
    bool widen = cr__is_half(dtype) && rounds_often(operands, n, out);
    for (int i = 0; i < n; i++) {
        if (widen)
            operands[i].x = cr_cast(operands[i].x, CR_F32);
        take_diagonals(&operands[i]);
    }
    for (int i = 1; i < n; i++) {
        name_set keep = set_of(out);
        for (int j = i + 1; j < n; j++)
            keep |= set_of(&operands[j].names);
        if (!multiply_pair(ctx, op, &operands[0], &operands[i], keep))
            return NULL;
    }
    cr_tensor *x = finish(&operands[0], out);
    return widen ? cr_cast(x, dtype) : x;
}

static cr_tensor *einsum_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                const void *attributes)
{
    reader r = { .ctx = ctx, .text = ((const einsum_attrs *)attributes)->equation };
    named *operands = cr__pooled_new(ctx, (size_t)n * sizeof *operands);
    name_list out = { 0 };
    cr_tensor *x = NULL;
    for (int i = 0; i < n && operands; i++)
        operands[i] = (named){ .x = inputs[i] };
    if (operands && of_one_dtype(ctx, &cr__op_einsum, operands, n) &&
        read_equation(&r, operands, n, &out))
        x = multiply_all(ctx, &cr__op_einsum, operands, n, &out);
    cr__pooled_free(operands);
    return x == inputs[0] ? cr_reshape(x, cr_shape(x)) : x;
}

CR__OP(einsum) = {
    .name = "einsum",
    .doc = "the sum of products over the indices that the output lacks: ij,jk->ik",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = -1,
    .inputs = "tensors",
    .attrs = CR__ATTRS(CR__ATTR(einsum_attrs, equation, TEXT,
                                .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(einsum_attrs),
    .expand = einsum_expand,
    .samples = CR__SAMPLES(
        { "f[2,3] f[3,4]", "equation=ij,jk->ik" }, { "f[2,3] f[2,3]", "equation=ij,ij" },
        { "f[3,3]", "equation=ii" }, { "f[2,3,2]", "equation=iji->ji" },
        { "f[2,3]", "equation=ji" }, { "f[2] f[3]", "equation=i,j->ji" },
        { "f[2,3,2] f[2,2,4]", "equation=bij,bjk->kb" },
        { "f[2,1,3] f[4,3]", "equation=...i, ...i -> ..." },
        { "f[2,3] f[4,3] f[4,2]", "equation=ik,jk,ja->ia" },
        { "f[2,3] f[1,4]", "equation=ij,jk->ki" },
        { "f[2,0] f[0,3]", "equation=ij,jk->ik" },
        { "f[2,3,4] f[4,2]", "equation=...,...i->i" }, { "i[2,3]", "equation=ij->j" }),
    .call = "equation,tensors[0],tensors[1]",
};

cr_tensor *cr_einsum_at(const char *equation, cr_tensor *const *tensors, int n,
                        const char *site)
{
    einsum_attrs attrs = { { 0 } };
    for (int i = 0; i < CR_MAX_TEXT - 1 && equation && equation[i]; i++)
        attrs.equation[i] = equation[i];
    return n > 0 ? cr__record_n(NULL, &cr__op_einsum, tensors, n, &attrs, site) : NULL;
}

/* ---- tensordot ---- */

typedef struct tensordot_attrs {
    cr_dims dims;
} tensordot_attrs;

static bool bad_dims(cr_ctx *ctx, const cr_dims *dims, cr_tensor *x, cr_tensor *y,
                     const char *why)
{
    return !cr__op_fail(ctx, &cr__op_tensordot, CR_ERR_ARGUMENT, NULL,
                        "dims %s of %s and %s: %s", cr__dims_text(ctx, *dims),
                        cr__shape_text(x), cr__shape_text(y), why);
}

/* Which dims of x and y are summed over, in pairs, and how many; false with the error. */
static bool pairs_of(cr_ctx *ctx, const cr_dims *dims, cr_tensor *x, cr_tensor *y,
                     int64_t *a, int64_t *b, int *count)
{
    cr_infer infer = { .ctx = ctx, .op = &cr__op_tensordot };
    const int rank_x = cr_ndim(x), rank_y = cr_ndim(y);
    const bool number = dims->n == 1;
    if (!cr__good_list(&infer, "dims", dims))
        return false;
    if (!number && dims->n % 2)
        return bad_dims(ctx, dims, x, y, "a number, or two lists of one length");
    if (number && (dims->v[0] < 0 || dims->v[0] > rank_x || dims->v[0] > rank_y))
        return bad_dims(ctx, dims, x, y, "there are not so many");
    const int n = *count = number ? (int)dims->v[0] : dims->n / 2;
    for (int i = 0; i < n; i++) {
        a[i] = number ? rank_x - n + i : dims->v[i];
        b[i] = number ? i : dims->v[n + i];
        if (!cr__resolve_dim(&infer, &a[i], rank_x) ||
            !cr__resolve_dim(&infer, &b[i], rank_y))
            return false;
        if (rank_x == 0 || rank_y == 0)
            return bad_dims(ctx, dims, x, y, "there are none");
        for (int j = 0; j < i; j++)
            if (a[i] == a[j] || b[i] == b[j])
                return bad_dims(ctx, dims, x, y, "one is named twice");
        int64_t p = cr_size(x, (int)a[i]), q = cr_size(y, (int)b[i]);
        if (p != q && p != 1 && q != 1)
            return bad_dims(ctx, dims, x, y, "sizes differ");
    }
    return true;
}

static cr_tensor *tensordot_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                   const void *attributes)
{
    named operands[2] = { { .x = inputs[0] }, { .x = inputs[1] } };
    int64_t pairs[2][CR_MAX_DIMS];
    name_list out = { 0 };
    const cr_dims *dims = &((const tensordot_attrs *)attributes)->dims;
    int count = 0;
    (void)n;
    if (!pairs_of(ctx, dims, inputs[0], inputs[1], pairs[0], pairs[1], &count) ||
        !of_one_dtype(ctx, &cr__op_tensordot, operands, 2))
        return NULL;
    uint8_t name = (uint8_t)count;
    for (int o = 0; o < 2; o++)
        for (int d = 0; d < cr_ndim(inputs[o]); d++) {
            int pair = 0;
            while (pair < count && pairs[o][pair] != d)
                pair++;
            if (pair == count)
                out.v[out.n++] = name;
            operands[o].names.v[operands[o].names.n++] =
                pair < count ? (uint8_t)pair : name++;
        }
    return multiply_all(ctx, &cr__op_tensordot, operands, 2, &out);
}

CR__OP(tensordot) = {
    .name = "tensordot",
    .doc = "the sum over the last dims of x with the first of other, so many, or over "
           "pairs of "
           "dims",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,other",
    .attrs = CR__ATTRS(CR__ATTR(tensordot_attrs, dims, DIMS, .initial = "2",
                                .flags = CR_ATTR_TWO_LISTS | CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(tensordot_attrs),
    .expand = tensordot_expand,
    .samples = CR__SAMPLES({ "f[2,3,4] f[3,4,2]", NULL }, { "f[2,3] f[3,4]", "dims=1" },
                           { "f[2] f[3]", "dims=0" }, { "f[2,3] f[2,3]", "dims=2" },
                           { "f[2,3,4] f[4,5,2]", "dims=[[0,-1],[2,0]]" },
                           { "f[2,3] f[3]", "dims=[[1],[0]]" },
                           { "f[0,3] f[3,2]", "dims=1" }),
};

cr_tensor *cr_tensordot_at(cr_tensor *x, cr_tensor *other, cr_dims dims, const char *site)
{
    cr_tensor *inputs[] = { x, other };
    return cr__record_n(NULL, &cr__op_tensordot, inputs, 2, &(tensordot_attrs){ dims },
                        site);
}

/* ---- bilinear ---- */

static bool bilinear_fits(cr_ctx *ctx, cr_tensor *const *inputs, cr_tensor *bias)
{
    cr_dims x = cr_shape(inputs[0]), y = cr_shape(inputs[1]), w = cr_shape(inputs[2]);
    const cr_op *op = &cr__op_bilinear;
    bool leads = x.n > 0 && x.n == y.n;
    for (int i = 0; leads && i < x.n - 1; i++)
        leads = x.v[i] == y.v[i];
    if (!leads)
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "x and y are alike but for the last dimension, not %s and %s",
                    cr__dims_text(ctx, x), cr__dims_text(ctx, y));
    else if (w.n != 3 || w.v[1] != x.v[x.n - 1] || w.v[2] != y.v[y.n - 1])
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "weight is [out, %lld, %lld] for x %s and y %s, not %s",
                    (long long)x.v[x.n - 1], (long long)y.v[y.n - 1],
                    cr__dims_text(ctx, x), cr__dims_text(ctx, y), cr__dims_text(ctx, w));
    else if (bias && !cr__dims_equal(cr_shape(bias), CR_DIMS(w.v[0])))
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "bias is %s, not [%lld]",
                    cr__shape_text(bias), (long long)w.v[0]);
    return cr_error(ctx) == CR_OK;
}

/* x_i weight_oij y_j, the leading dimensions being those of an ellipsis. */
static cr_tensor *bilinear_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                  const void *attrs)
{
    enum { O, I, J };
    named operands[3] = { { inputs[0], { 1, { I } } },
                          { inputs[2], { 3, { O, I, J } } },
                          { inputs[1], { 1, { J } } } };
    name_list out = { 1, { O } };
    cr_tensor *bias = cr__optional(inputs, n, 3);
    (void)attrs;
    if (!bilinear_fits(ctx, inputs, bias) ||
        !of_one_dtype(ctx, &cr__op_bilinear, operands, 3))
        return NULL;
    int lead = cr_ndim(inputs[0]) - 1;
    insert_dots(&operands[0].names, 0, lead);
    insert_dots(&operands[2].names, 0, lead);
    insert_dots(&out, 0, lead);
    cr_tensor *x = multiply_all(ctx, &cr__op_bilinear, operands, 3, &out);
    return x && bias ? cr_add(x, bias) : x;
}

CR__OP(bilinear) = {
    .name = "bilinear",
    .doc = "the sum of x_i weight_oij y_j over i and j, and bias_o: x [.., in1], y [.., "
           "in2], "
           "weight [out, in1, in2]",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 3,
    .max_inputs = 4,
    .inputs = "x,y,weight,bias",
    .expand = bilinear_expand,
    .samples = CR__SAMPLES({ "f[2] f[3] f[2,2,3] f[2]", NULL },
                           { "f[2,3] f[2,2] f[4,3,2] -", NULL },
                           { "f[2,2,2] f[2,2,1] f[3,2,1] f[3]", NULL },
                           { "f[0,2] f[0,3] f[2,2,3] f[2]", NULL },
                           { "f[2,0] f[2,3] f[2,0,3] f[2]", NULL }),
};

cr_tensor *cr_bilinear_at(cr_tensor *x, cr_tensor *y, cr_tensor *weight, cr_tensor *bias,
                          const char *site)
{
    cr_tensor *inputs[] = { x, y, weight, bias };
    return cr__record_n(NULL, &cr__op_bilinear, inputs, bias ? 4 : 3, NULL, site);
}
