/* Sample inputs of operations: the text of cr_sample.inputs becomes arrays of numbers, on
 * the side of the tests, all in double. Also attributes as text. */
#include "op_sample.h"
#include "half.h"

int64_t count_of(cr_dims dims)
{
    int64_t n = 1;
    for (int i = 0; i < dims.n; i++)
        n *= dims.v[i];
    return n;
}

bool same_dims(cr_dims a, cr_dims b)
{
    bool same = a.n == b.n;
    for (int i = 0; same && i < a.n; i++)
        same = a.v[i] == b.v[i];
    return same;
}

bool is_float_type(cr_dtype t)
{
    return t == CR_F32 || t == CR_F64 || is_half(t);
}

bool is_float(const cr_tensor *x)
{
    return is_float_type(cr_dtype_of(x));
}

/* "[2,3]" at *text, which moves behind it. */
static bool parse_dims(const char **text, cr_dims *dims)
{
    const char *p = *text + 1;
    *dims = (cr_dims){ .given = true };
    while (*p != ']') {
        char *end;
        if (dims->n == CR_MAX_DIMS)
            return false;
        dims->v[dims->n++] = strtoll(p, &end, 10);
        if (end == p || (*end != ',' && *end != ']'))
            return false;
        p = *end == ',' ? end + 1 : end;
    }
    *text = p + 1;
    return true;
}

/* One word of a sample, up to a blank or the end. */
static bool parse_input(const char **text, sample_input *in)
{
    const char *p = *text;
    in->kind = *p++;
    in->low = in->kind == 'i' ? 0 : -2;
    in->high = in->kind == 'i' ? 4 : 2;
    bool good = strchr("fib-n", in->kind) != NULL;
    while (good && *p && *p != ' ') {
        char *end;
        if (*p == '[') {
            good = parse_dims(&p, &in->dims);
        } else if (*p == '=') {
            in->values = ++p;
            p += strcspn(p, " ");
        } else if (*p == '{') {
            in->low = strtod(p + 1, &end);
            good = *end == ',';
            in->high = good ? strtod(end + 1, &end) : 0;
            good = good && *end == '}';
            p = end + 1;
        } else {
            in->constant = in->constant || *p == '~';
            in->distinct = in->distinct || *p == '!';
            good = *p == '~' || *p == '!';
            p++;
        }
    }
    *text = p;
    return good && (in->dims.given || in->kind == '-' || in->kind == 'n');
}

bool parse_sample(const char *text, sample *s)
{
    *s = (sample){ 0 };
    while (*text) {
        if (*text == ' ') {
            text++;
            continue;
        }
        if (strncmp(text, "-> ", 3) == 0) {
            const char *second = strstr(text + 3, "-> ");
            s->gradients = text + 3;
            s->second = second ? second + 3 : NULL;
            return true;
        }
        if (s->n == MOST_INPUTS || !parse_input(&text, &s->in[s->n++]))
            return false;
    }
    return true;
}

/* ---- numbers ---- */

uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double uniform(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

double value_at(const char *values, int64_t i)
{
    int64_t n = 1;
    for (const char *p = values; *p && *p != ' '; p++)
        n += *p == ',';
    for (i %= n; i > 0; i--)
        values = strchr(values, ',') + 1;
    return strtod(values, NULL);
}

/* Moves x away from each kink in the list "0" or "-0.5,0.5", into the range. */
static double nudge(double x, const char *kinks, double low, double high)
{
    const double room = 0.03125;
    for (const char *p = kinks; p && *p;) {
        char *end;
        double kink = strtod(p, &end);
        if (end == p)
            return x;
        if (fabs(x - kink) < room)
            x += x + 2 * room < high || x - 2 * room <= low ? 2 * room : -2 * room;
        p = *end == ',' ? end + 1 : end;
    }
    return x;
}

/* All different: places of a grid over the range, in random order. */
static void fill_distinct(array *a, double low, double high, uint64_t *state)
{
    for (int64_t i = 0; i < a->numel; i++)
        a->v[i] = low + (high - low) * ((double)i + 0.5) / (double)a->numel;
    for (int64_t i = a->numel - 1; i > 0; i--) {
        int64_t j = (int64_t)(next_random(state) % (uint64_t)(i + 1));
        double x = a->v[i];
        a->v[i] = a->v[j], a->v[j] = x;
    }
}

array make_array(const sample_input *in, const char *kinks, uint64_t *state)
{
    array a = { .dims = in->dims, .numel = count_of(in->dims) };
    if (in->kind == '-')
        return a;
    a.dtype = in->kind == 'i' ? CR_I64 : in->kind == 'b' ? CR_BOOL : CR_F64;
    a.v = calloc((size_t)a.numel + 1, sizeof *a.v);
    if (in->distinct)
        fill_distinct(&a, in->low, in->high, state);
    for (int64_t i = 0; i < a.numel; i++) {
        if (!in->distinct)
            a.v[i] = in->low + (in->high - in->low) * uniform(state);
        if (in->values)
            a.v[i] = in->kind == 'f' || in->kind == 'n'
                         ? (double)(float)value_at(in->values, i)
                         : value_at(in->values, i);
        else if (in->kind == 'b')
            a.v[i] = (double)(next_random(state) >> 63);
        else if (in->kind == 'i')
            a.v[i] = floor(a.v[i]);
        else if (!in->values)
            a.v[i] = (double)(float)nudge(a.v[i], kinks, in->low, in->high);
    }
    return a;
}

/* ---- shapes ---- */

bool next_index(int64_t *index, cr_dims dims)
{
    for (int d = dims.n - 1; d >= 0; d--) {
        if (++index[d] < dims.v[d])
            return true;
        index[d] = 0;
    }
    return false;
}

int64_t flat_index(const int64_t *index, int n, cr_dims dims)
{
    int64_t flat = 0;
    for (int d = 0; d < dims.n; d++)
        flat = flat * dims.v[d] + (dims.v[d] == 1 ? 0 : index[n - dims.n + d]);
    return flat;
}

bool broadcast_dims(cr_dims a, cr_dims b, cr_dims *out)
{
    cr_dims c = { .n = a.n > b.n ? a.n : b.n, .given = true };
    for (int i = 1; i <= c.n; i++) {
        int64_t x = i <= a.n ? a.v[a.n - i] : 1, y = i <= b.n ? b.v[b.n - i] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        c.v[c.n - i] = x == 1 ? y : x;
    }
    *out = c;
    return true;
}

/* ---- attributes as text ---- */

/* What stands behind "name=" in "a=1,dims=[0,1],b=x"; NULL if it is not there. */
static const char *attr_text(const char *attrs, const char *name)
{
    size_t n = strlen(name);
    int depth = 0;
    bool start = true;
    for (const char *p = attrs ? attrs : ""; *p; p++) {
        if (start && strncmp(p, name, n) == 0 && p[n] == '=')
            return p + n + 1;
        depth += (*p == '[') - (*p == ']');
        start = *p == ',' && depth == 0;
    }
    return NULL;
}

double attr_real(const char *attrs, const char *name, double initial)
{
    const char *text = attr_text(attrs, name);
    if (!text)
        return initial;
    return strncmp(text, "true", 4) == 0 ? 1 : strtod(text, NULL);
}

cr_dims attr_dims(const char *attrs, const char *name)
{
    cr_dims dims = { 0 };
    const char *text = attr_text(attrs, name);
    if (text && *text == '[')
        parse_dims(&text, &dims);
    else if (text)
        dims = CR_DIMS(strtoll(text, NULL, 10));
    return dims;
}

bool attr_is(const char *attrs, const char *name, const char *word)
{
    const char *text = attr_text(attrs, name);
    size_t n = strlen(word);
    return text && strncmp(text, word, n) == 0 && (text[n] == ',' || text[n] == 0);
}
