/* Every writer of reports on every report made by hand: what they promise of form (lines, columns,
 * grammar, checksums), that names cannot break it, and that failing files are told. */
#include "flow_reports.h"
#include "tap.h"
#include <stdlib.h>

/* ---- texts ---- */

typedef bool writer(const cr_flow_report *report, FILE *file);

/* What a writer writes; to be freed. */
static char *written(writer *write, const cr_flow_report *report, size_t *length)
{
    FILE *file = tmpfile();
    char *text = NULL;
    *length = 0;
    if (file && write(report, file)) {
        const long end = ftell(file);
        rewind(file);
        text = calloc((size_t)end + 1, 1);
        *length = text ? fread(text, 1, (size_t)end, file) : 0;
    }
    if (file)
        fclose(file);
    return text;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        n++;
    return n;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether what stands there is the whole word. */
static bool has_word(const char *text, const char *word)
{
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        if (!(at > text && is_letter(at[-1])) && !is_letter(at[strlen(word)]))
            return true;
    return false;
}

/* Its length in bytes; 0 of what is not UTF-8. */
static int utf8_length(const unsigned char *at)
{
    const int n = *at < 0x80   ? 1
                  : *at < 0xc2 ? 0
                  : *at < 0xe0 ? 2
                  : *at < 0xf0 ? 3
                  : *at < 0xf5 ? 4
                               : 0;
    for (int i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

static bool is_utf8(const char *text)
{
    for (int n; *text; text += n)
        if ((n = utf8_length((const unsigned char *)text)) == 0)
            return false;
    return true;
}

/* ---- the text ---- */

/* Columns of what the fixtures hold: CJK and the brain are wide, an accent has no width. */
static int columns_of(const char *line, const char *end)
{
    int columns = 0;
    while (line < end) {
        if (*line == '\033') {
            while (*line != 'm')
                line++;
            line++;
            continue;
        }
        const int n = utf8_length((const unsigned char *)line);
        const bool wide =
            strncmp(line, "\u5c42", 3) == 0 || strncmp(line, "\U0001f9e0", 4) == 0;
        columns += wide ? 2 : strncmp(line, "\u0301", 2) == 0 ? 0 : 1;
        line += n ? n : 1;
    }
    return columns;
}

static int widest(const char *text)
{
    int most = 0;
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        const int columns = columns_of(text, end);
        most = columns > most ? columns : most;
    }
    return most;
}

static bool has_controls(const char *text, bool colour)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 && *text != '\n' && !(colour && *text == '\033'))
            return true;
    return false;
}

static void check_text(const char *name, const cr_flow_report *report)
{
    static const int widths[] = { 24, 40, 57, 80, 100, 132, 200 };
    static char text[1 << 16], other[1 << 16];
    bool lines = true, width = true, clean = true, measured = true;
    for (size_t i = 0; i < 2 * sizeof widths / sizeof *widths; i++) {
        const bool colour = i % 2;
        const cr_flow_text_opts opts = { .width = widths[i / 2], .colour = colour };
        const size_t length = cr_flow_text(report, opts, text, sizeof text);
        measured = measured && length == strlen(text) &&
                   cr_flow_text(report, opts, NULL, 0) == length;
        lines = lines && count(text, "\n") < 40;
        width = width && widest(text) <= widths[i / 2];
        clean = clean && is_utf8(text) && !has_controls(text, colour);
    }
    ok(lines, "%s: under 40 lines", name);
    ok(width, "%s: not wider than asked for", name);
    ok(clean, "%s: UTF-8 without control characters", name);
    ok(measured, "%s: the length is told, without memory too", name);
    cr_flow_text(report, (cr_flow_text_opts){ 0 }, text, sizeof text);
    const size_t length = cr_flow_text(report, (cr_flow_text_opts){ 0 }, other, 11);
    ok(strlen(other) <= 10 && strncmp(text, other, strlen(other)) == 0 &&
           length == strlen(text),
       "%s: what does not fit is cut, as by snprintf", name);
    size_t bytes;
    char *printed = written(cr_flow_print, report, &bytes);
    ok(printed && strcmp(printed, text) == 0,
       "%s: a file is given 80 columns without colour", name);
    free(printed);
}

static void check_words(void)
{
    static const struct {
        const char *report, *word;
    } words[] = {
        { "sigmoid50", "ALARM" },
        { "sigmoid50", "vanishing" },
        { "sigmoid50", "99% sure" },
        { "sigmoid50", "underflowed" },
        { "sigmoid50", "small" },
        { "sigmoid50", "accepted  batch_norm" },
        { "sigmoid50", "rejected  he" },
        { "sigmoid50", "cr_nn_insert(net" },
        { "sigmoid50", "x linear sigmoid" },
        { "cnn", "HEALTHY" },
        { "cnn", "branches" },
        { "nan", "not finite" },
        { "nan", "step 5" },
        { "states", "disconnected" },
        { "states", "zero" },
        { "states", "underflowed" },
        { "states", "the start was not seen" },
        { "states", "1 frozen" },
        { "states", "1 not in the optimiser" },
        { "large", "layers" },
    };
    static char text[1 << 16];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        cr_flow_text(flow_report_made(words[i].report),
                     (cr_flow_text_opts){ .width = 100 }, text, sizeof text);
        ok(strstr(text, words[i].word), "%s: the text says \"%s\"", words[i].report,
           words[i].word);
    }
    cr_flow_text(flow_report_made("sigmoid50"), (cr_flow_text_opts){ .colour = true },
                 text, sizeof text);
    ok(strstr(text, "\033[0;1;31mALARM"), "an alarm is red");
}

/* ---- JSON (RFC 8259) ---- */

static const char *json_value(const char *at, int depth);

static const char *json_blanks(const char *at)
{
    return at ? at + strspn(at, " \n\t\r") : NULL;
}

static const char *json_string(const char *at)
{
    if (!at || *at++ != '"')
        return NULL;
    while (*at != '"') {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at != '\\') {
            at++;
        } else if (at[1] == 'u') {
            if (strspn(at + 2, "0123456789abcdefABCDEF") < 4)
                return NULL;
            at += 6;
        } else if (at[1] && strchr("\"\\/bfnrt", at[1])) {
            at += 2;
        } else {
            return NULL;
        }
    }
    return at + 1;
}

static const char *json_number(const char *at)
{
    static const char digits[] = "0123456789";
    at += *at == '-';
    const size_t whole = strspn(at, digits);
    if (whole == 0 || (whole > 1 && *at == '0'))
        return NULL;
    at += whole;
    if (*at == '.') {
        const size_t n = strspn(++at, digits);
        if (n == 0)
            return NULL;
        at += n;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        const size_t n = strspn(at, digits);
        if (n == 0)
            return NULL;
        at += n;
    }
    return at;
}

static const char *json_members(const char *at, char end, int depth)
{
    at = json_blanks(at + 1);
    if (*at == end)
        return at + 1;
    for (;;) {
        if (end == '}') {
            at = json_blanks(json_string(at));
            if (!at || *at != ':')
                return NULL;
            at = json_blanks(at + 1);
        }
        at = json_blanks(json_value(at, depth + 1));
        if (!at || (*at != ',' && *at != end))
            return NULL;
        if (*at == end)
            return at + 1;
        at = json_blanks(at + 1);
    }
}

/* Behind the value; NULL if it is none. */
static const char *json_value(const char *at, int depth)
{
    static const char *const words[] = { "true", "false", "null" };
    if (depth > 20)
        return NULL;
    if (*at == '{' || *at == '[')
        return json_members(at, *at == '{' ? '}' : ']', depth);
    if (*at == '"')
        return json_string(at);
    for (int i = 0; i < 3; i++)
        if (strncmp(at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    return json_number(at);
}

static void check_json(const char *name, const cr_flow_report *report)
{
    size_t length;
    char *text = written(cr_flow_json, report, &length);
    const char *end = text ? json_blanks(json_value(text, 0)) : NULL;
    ok(end && *end == '\0', "%s: JSON", name);
    ok(text && is_utf8(text), "%s: JSON in UTF-8", name);
    is_int(text ? count(text, "{\"step\":") : -1,
           report->n_snapshots + (report->after != NULL), "%s: JSON has all snapshots",
           name);
    free(text);
}

/* ---- CSV (RFC 4180) ---- */

/* The cells of a record; *at is moved behind it. -1 for what is not CSV. */
static int csv_record(const char **at)
{
    for (int cells = 1;; cells++) {
        if (**at == '"') {
            for (++*at; **at != '"' || (*at)[1] == '"'; ++*at) {
                if (!**at)
                    return -1;
                *at += **at == '"';
            }
            ++*at;
        } else {
            *at += strcspn(*at, ",\n\"");
        }
        const char after = **at;
        if (after != ',' && after != '\n')
            return -1;
        ++*at;
        if (after == '\n')
            return cells;
    }
}

static void check_csv(const char *name, const cr_flow_report *report)
{
    size_t length;
    char *text = written(cr_flow_csv, report, &length);
    const char *at = text;
    const int columns = text ? csv_record(&at) : 0;
    int rows = 0, wanted = 0;
    bool even = columns > 40;
    for (; even && *at; rows++)
        even = csv_record(&at) == columns;
    for (int i = 0; i < report->n_snapshots; i++)
        wanted += report->snapshots[i].n_layers;
    ok(even, "%s: rows of CSV have %d columns", name, columns);
    is_int(rows, wanted, "%s: a row of CSV for each layer and step", name);
    free(text);
}

/* ---- pages and drawings ---- */

/* Elements of HTML that have no end. */
static bool is_void(const char *tag, size_t n)
{
    return (n == 4 && (memcmp(tag, "meta", 4) == 0 || memcmp(tag, "link", 4) == 0)) ||
           (n == 2 && memcmp(tag, "br", 2) == 0);
}

/* Attributes up to the tag's end: name="value" with no '<' in it. NULL for others. */
static const char *attributes_end(const char *at)
{
    for (;;) {
        at += strspn(at, " \n");
        if (*at == '>' || strncmp(at, "/>", 2) == 0)
            return at;
        const size_t n = strcspn(at, " \n=<>\"'/");
        at += n;
        if (n == 0)
            return NULL;
        if (*at != '=')
            continue;
        if (at[1] != '"')
            return NULL;
        at += 2;
        at += strcspn(at, "\"<");
        if (*at++ != '"')
            return NULL;
    }
}

/* What follows the tag at `at`, which opens or closes an element of the stack. NULL if it does not
 * fit. Scripts and styles end at their end tag alone. */
static const char *markup_tag(const char *at, const char **open, int *depth)
{
    const bool closes = at[1] == '/';
    const char *tag = at + 1 + closes;
    const size_t n = strspn(tag, "abcdefghijklmnopqrstuvwxyz0123456789");
    if (n == 0)
        return NULL;
    if (closes) {
        const bool fits =
            *depth > 0 && strncmp(open[*depth - 1], tag, n) == 0 && tag[n] == '>';
        --*depth;
        return fits ? tag + n + 1 : NULL;
    }
    at = attributes_end(tag + n);
    if (!at)
        return NULL;
    if (*at == '/')
        return at + 2;
    at++;
    if (is_void(tag, n))
        return at;
    if (*depth == 60)
        return NULL;
    open[(*depth)++] = tag;
    if (n == 6 && memcmp(tag, "script", 6) == 0)
        return strstr(at, "</script>");
    return at;
}

/* Balanced tags, quoted attributes, escaped texts. */
static bool is_markup(const char *at)
{
    const char *open[60];
    int depth = 0;
    if (strncmp(at, "<!DOCTYPE html>", 15) == 0)
        at += 15;
    while (at && *at) {
        at += strcspn(at, "<&");
        if (*at == '&') {
            const size_t n = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz#0123456789");
            at = n > 0 && at[n + 1] == ';' ? at + n + 2 : NULL;
        } else if (*at == '<') {
            at = markup_tag(at, open, &depth);
        }
    }
    return at && depth == 0;
}

/* Nothing is loaded from elsewhere: no address but the names of namespaces. */
static bool is_self_contained(const char *text)
{
    static const char *const references[] = {
        "src=", "href=\"h", "href=\"/", "url(", "@import", "https:", "<link", "fetch("
    };
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        if (strstr(text, references[i]))
            return false;
    return count(text, "http:") == count(text, "http://www.w3.org/2000/svg");
}

static void check_page(const char *name, const cr_flow_report *report)
{
    size_t length;
    char *text = written(cr_flow_html, report, &length);
    ok(text && is_markup(text), "%s: the page's tags are balanced", name);
    ok(text && is_self_contained(text), "%s: the page needs nothing else", name);
    ok(text && is_utf8(text) && length == strlen(text), "%s: the page is UTF-8", name);
    is_int(text ? count(text, "</script>") : -1, 2, "%s: two scripts", name);
    const char *data = text ? strstr(text, "id=\"data\">") : NULL;
    const char *end = data ? json_blanks(json_value(data + 10, 0)) : NULL;
    ok(end && strncmp(end, "</script>", 9) == 0, "%s: what the script reads is JSON",
       name);
    ok(text && !has_word(text, "nan") && !has_word(text, "inf"),
       "%s: no number in the page that is none", name);
    free(text);
    text = written(cr_flow_svg, report, &length);
    ok(text && is_markup(text) && strncmp(text, "<svg xmlns=", 11) == 0,
       "%s: the drawing is well-formed", name);
    ok(text && is_self_contained(text) && is_utf8(text),
       "%s: the drawing needs nothing else", name);
    ok(text && !has_word(text, "nan") && !has_word(text, "inf"),
       "%s: no number in the drawing that is none", name);
    free(text);
}

/* ---- TensorBoard ---- */

static uint32_t crc32c(const unsigned char *bytes, size_t n)
{
    uint32_t crc = ~(uint32_t)0;
    while (n-- > 0) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

static uint64_t little(const unsigned char *bytes, int n)
{
    uint64_t value = 0;
    for (int i = n - 1; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static bool has_crc(const unsigned char *bytes, size_t n)
{
    const uint32_t crc = crc32c(bytes, n);
    return (uint32_t)little(bytes + n, 4) ==
           (uint32_t)(((crc >> 15) | (crc << 17)) + 0xa282ead8u);
}

/* A field of a message: its number, and what it holds. False at the end, or of what is none. */
typedef struct field {
    int number;
    uint64_t value; /* of numbers; the length of bytes */
    const unsigned char *bytes;
} field;

static bool next_field(const unsigned char **at, const unsigned char *end, field *found)
{
    uint64_t numbers[2] = { 0 };
    int type = 0;
    for (int i = 0; i < 2; i++) {
        if (i == 1 && type != 0 && type != 2)
            break;
        for (int shift = 0;; shift += 7) {
            if (*at >= end || shift > 63)
                return false;
            numbers[i] |= (uint64_t)(**at & 0x7f) << shift;
            if (*(*at)++ < 0x80)
                break;
        }
        type = (int)(numbers[0] & 7);
    }
    *found = (field){ (int)(numbers[0] >> 3), numbers[1], *at };
    const size_t size = type == 1   ? 8
                        : type == 5 ? 4
                        : type == 2 ? (size_t)numbers[1]
                                    : 0;
    if (size > (size_t)(end - *at))
        return false;
    if (type == 1 || type == 5)
        found->value = little(*at, (int)size);
    *at += size;
    return true;
}

/* The scalar of that tag in an event. */
static bool scalar_of(const unsigned char *event, size_t n, const char *tag,
                      int64_t *step, float *value)
{
    const unsigned char *at = event, *inner = NULL, *end = NULL;
    field found;
    *step = 0;
    while (next_field(&at, event + n, &found)) {
        if (found.number == 2)
            *step = (int64_t)found.value;
        if (found.number == 5) {
            inner = found.bytes;
            end = inner + found.value;
        }
    }
    if (!inner || !next_field(&inner, end, &found) || found.number != 1)
        return false;
    inner = found.bytes;
    end = inner + found.value;
    bool right = false;
    while (next_field(&inner, end, &found)) {
        if (found.number == 1)
            right =
                found.value == strlen(tag) && memcmp(found.bytes, tag, strlen(tag)) == 0;
        if (found.number == 2) {
            const uint32_t bits = (uint32_t)found.value;
            memcpy(value, &bits, sizeof *value);
        }
    }
    return right;
}

static void check_events(const char *name, const cr_flow_report *report)
{
    size_t length, at = 0;
    char *text = written(cr_flow_tensorboard, report, &length);
    const unsigned char *bytes = (const unsigned char *)text;
    bool whole = text != NULL, equal = true;
    int records = 0, losses = 0, finite = 0;
    while (whole && at < length) {
        const size_t n = length - at >= 16 ? (size_t)little(bytes + at, 8) : length;
        whole = n < length && length - at - 16 >= n && has_crc(bytes + at, 8) &&
                has_crc(bytes + at + 12, n);
        int64_t step;
        float value = 0;
        if (whole && scalar_of(bytes + at + 12, n, "loss", &step, &value))
            for (int i = 0; i < report->n_snapshots; i++)
                if (report->snapshots[i].step == step) {
                    losses++;
                    equal = equal && value == (float)report->snapshots[i].loss.value;
                }
        at += n + 16;
        records++;
    }
    for (int i = 0; i < report->n_snapshots; i++)
        finite += isfinite(report->snapshots[i].loss.value);
    ok(whole && records > 0, "%s: %d records with their checksums", name, records);
    ok(equal && losses == finite, "%s: the loss of each step is among them", name);
    free(text);
}

/* ---- files that fail, and no report ---- */

static const struct {
    const char *name;
    writer *write;
} writers[] = {
    { "print", cr_flow_print }, { "html", cr_flow_html },
    { "svg", cr_flow_svg },     { "json", cr_flow_json },
    { "csv", cr_flow_csv },     { "tensorboard", cr_flow_tensorboard },
};

static void check_failures(void)
{
    const cr_flow_report *report = flow_report_made("states");
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        FILE *full = fopen("/dev/full", "w");
        if (full)
            ok(!writers[i].write(report, full), "%s: a full disk is told",
               writers[i].name);
        else
            skip(1, "there is no /dev/full");
        if (full)
            fclose(full);
        FILE *file = tmpfile();
        ok(file && !writers[i].write(NULL, file) && !writers[i].write(report, NULL),
           "%s: without a report or a file", writers[i].name);
        if (file)
            fclose(file);
    }
    ok(cr_flow_text(NULL, (cr_flow_text_opts){ 0 }, NULL, 0) == 0,
       "text without a report");
}

/* ---- a real one ---- */

static cr_module *build_small(cr_ctx *ctx, void *user)
{
    (void)user;
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 4, 6));
    cr_nn_add(net, cr_nn_tanh(ctx));
    cr_nn_add(net, cr_nn_linear(ctx, 6, 3));
    return net;
}

static cr_tensor *small_loss(cr_module *net, int64_t step, cr_flow_batch *batch,
                             void *user)
{
    cr_ctx *ctx = user;
    float x[20], t[15];
    for (int i = 0; i < 20; i++)
        x[i] = sinf((float)(i * (step + 1)));
    for (int i = 0; i < 15; i++)
        t[i] = x[i] * x[i + 1];
    batch->output = cr_nn_forward(net, cr_from(ctx, CR_F32, CR_DIMS(5, 4), x));
    batch->target = cr_from(ctx, CR_F32, CR_DIMS(5, 3), t);
    return cr_mse_loss(batch->output, batch->target);
}

/* The Jacobian is W diag(1 - tanh^2): its largest value is at most W's norm. */
static void check_real(void)
{
    cr_ctx *ctx = cr_open(NULL);
    const cr_flow_task task = {
        .name = "small", .build = build_small, .loss = small_loss, .user = ctx
    };
    cr_flow_report *report = cr_flow_diagnose(ctx, &task, .steps = 8, .spectrum = true);
    ok(report, "a small network is diagnosed: %s", cr_message(ctx));
    if (report) {
        const cr_flow_spectrum *s = &report->spectrum;
        ok(s->largest > s->smallest && s->smallest > 0 && s->largest < 3 &&
               s->rows == 3 && s->columns == 6,
           "singular values from %g to %g", s->smallest, s->largest);
        check_text("small", report);
        check_json("small", report);
        check_csv("small", report);
        check_page("small", report);
        check_events("small", report);
    }
    cr_flow_report_free(report);
    cr_close(ctx);
}

int main(void)
{
    is_int(crc32c((const unsigned char *)"123456789", 9), 0xe3069283,
           "CRC-32C (RFC 3720)");
    for (int i = 0; flow_report_name(i); i++) {
        const char *name = flow_report_name(i);
        const cr_flow_report *report = flow_report_made(name);
        check_text(name, report);
        check_json(name, report);
        check_csv(name, report);
        check_page(name, report);
        check_events(name, report);
    }
    check_words();
    check_failures();
    check_real();
    flow_reports_free();
    return done_testing();
}
