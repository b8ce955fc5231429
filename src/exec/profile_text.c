/* Profiles for people and for trace viewers. */
#include "profiler.h"

#include "../base/system.h"

#include <inttypes.h>

/* Where the text goes: to memory as far as there is room, or to a file. */
typedef struct profile_out {
    cr__text text;
    FILE *file;
} profile_out;

CR_FORMAT(2, 3) static void put_line(profile_out *out, const char *format, ...)
{
    char line[640];
    va_list args;
    va_start(args, format);
    (void)cr__vformat(line, sizeof line, format, args);
    va_end(args);
    if (out->file)
        fputs(line, out->file);
    else
        cr__say(&out->text, "%s", line);
}

/* In nanoseconds. */
static double passed(const cr__profile *p, bool running)
{
    return p->tick * (double)((running ? cr__ticks() : p->ended) - p->begun);
}

/* ---- the table ---- */

/* Rows that have a name, or a line, in common. */
typedef struct cost_sum {
    const char *label;
    cr__cost cost;
} cost_sum;

static void add_cost(cr__cost *to, const cr__cost *from)
{
    to->calls += from->calls;
    to->nanoseconds += from->nanoseconds;
    to->bytes += from->bytes;
    to->flops += from->flops;
    to->limit += from->limit;
}

CR__COLD static uint32_t sum_costs(const cr__profile *p, bool by_line, cost_sum *sums)
{
    const cr__profile_row *rows = p->rows.records.at;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->rows.n; i++) {
        const char *label = !by_line       ? rows[i].name
                            : rows[i].site ? rows[i].site
                                           : "elsewhere";
        uint32_t k = 0;
        while (k < n && strcmp(sums[k].label, label) != 0)
            k++;
        if (k == n)
            sums[n++] = (cost_sum){ .label = label };
        add_cost(&sums[k].cost, &rows[i].cost);
    }
    return n;
}

CR__COLD static void sort_by_time(cost_sum *sums, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        const cost_sum moved = sums[i];
        uint32_t k = i;
        for (; k > 0 && sums[k - 1].cost.nanoseconds < moved.cost.nanoseconds; k--)
            sums[k] = sums[k - 1];
        sums[k] = moved;
    }
}

/* A share of nothing is none. */
static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

CR__COLD static void put_cost(profile_out *out, const cr__profile *p, const cost_sum *sum,
                              double all)
{
    const cr__cost *c = &sum->cost;
    char limit[16] = "";
    if (c->limit > 0 && p->machine.bandwidth > 0)
        (void)cr__format(limit, sizeof limit, "%.0f%%",
                         percent(c->limit, c->nanoseconds));
    put_line(out, "%11.3f %6.1f %9" PRIu64 " %11.3f %9.3f %6s  %.120s\n",
             1e-6 * c->nanoseconds, percent(c->nanoseconds, all), c->calls,
             1e-6 * c->bytes, 1e-9 * c->flops, limit, sum->label);
}

CR__COLD static void put_time(profile_out *out, double nanoseconds, double all,
                              const char *what)
{
    put_line(out, "%11.3f %6.1f %*s%s\n", 1e-6 * nanoseconds, percent(nanoseconds, all),
             40, "", what);
}

/* Of more rows the longest are told. */
#define MOST_TOLD_ROWS 60

CR__COLD static void put_rows(profile_out *out, const cr__profile *p, bool by_line,
                              double all)
{
    cost_sum *sums = p->sums.at, rest = { .label = "others" };
    uint32_t n = sum_costs(p, by_line, sums);
    sort_by_time(sums, n);
    put_line(out, "\n%11s %6s %9s %11s %9s %6s  by %s\n", "ms", "%", "calls", "MB",
             "GFLOP", "limit", by_line ? "line" : "operation");
    for (uint32_t i = 0; i < n && i < MOST_TOLD_ROWS; i++)
        put_cost(out, p, &sums[i], all);
    for (uint32_t i = MOST_TOLD_ROWS; i < n; i++)
        add_cost(&rest.cost, &sums[i].cost);
    if (rest.cost.calls)
        put_cost(out, p, &rest, all);
    const double in_runs = p->tick * (double)p->in_runs;
    put_time(out, in_runs - p->tick * (double)p->in_groups, all, "planning and commits");
    put_time(out, all - in_runs, all, "outside of runs: recording, and the program");
    put_time(out, all, all, "in all");
}

/* False with the error, or if there is no profile. */
CR__COLD static bool put_table(cr_ctx *ctx, profile_out *out)
{
    cr__profile *p = ctx->profile;
    if (!p ||
        !cr__list_reserve(ctx, &p->sums, (p->rows.n + (size_t)1) * sizeof(cost_sum)))
        return false;
    CR__FP_GUARD();
    cr__profile_settle(ctx);
    const double all = passed(p, ctx->profiles);
    put_line(out,
             "profile: %.3f ms, %.3f of them in %" PRIu64 " runs of %" PRIu64 " groups\n",
             1e-6 * all, 1e-6 * p->tick * (double)p->in_runs, p->runs, p->groups);
    if (p->machine.bandwidth > 0)
        put_line(out, "limit: %.1f GFLOP/s and %.1f GB/s, with %d threads\n",
                 1e-9 * p->machine.flops, 1e-9 * p->machine.bandwidth,
                 cr__team_size(ctx->team));
    put_rows(out, p, false, all);
    put_rows(out, p, true, all);
    return true;
}

/* ---- the trace ---- */

/* As the inside of a string of JSON. */
CR__COLD static void put_word(profile_out *out, const char *word)
{
    for (; word && *word; word++) {
        if (*word == '"' || *word == '\\')
            fputc('\\', out->file);
        fputc((unsigned char)*word < ' ' ? ' ' : *word, out->file);
    }
}

static const cr__profile_row *member_of(const cr__profile *p,
                                        const cr__profile_piece *piece, uint32_t i)
{
    const cr__profile_member *member =
        (const cr__profile_member *)p->members.at + piece->first + i;
    return (const cr__profile_row *)p->rows.records.at + member->row;
}

#define MOST_NAMED 40 /* members in a slice's arguments */

CR__COLD static void put_members(profile_out *out, const cr__profile *p,
                                 const cr__slice *s, const cr__profile_piece *piece)
{
    put_line(out, "\"operations\":\"");
    for (uint32_t i = 0; i < piece->n && i < MOST_NAMED; i++) {
        put_line(out, i ? ", " : "");
        put_word(out, member_of(p, piece, i)->name);
    }
    put_line(out,
             piece->n > MOST_NAMED ? ", .. %u in all\",\"lines\":\"" : "\",\"lines\":\"",
             piece->n);
    for (uint32_t i = 0; i < piece->n && i < MOST_NAMED; i++) {
        const char *site = member_of(p, piece, i)->site;
        if (i && member_of(p, piece, i - 1)->site == site)
            continue;
        put_line(out, i ? ", " : "");
        put_word(out, site ? site : "elsewhere");
    }
    put_line(out, "\",\"read\":%.0f,\"written\":%.0f,\"FLOP\":%.0f", piece->in,
             piece->out, piece->flops);
    if (p->machine.bandwidth > 0 && s->kind == CR__SLICE_GROUP && s->end > s->begin)
        put_line(out, ",\"of the limit\":%.3f",
                 piece->limit / (p->tick * (double)(s->end - s->begin)));
}

/* Times are in microseconds there. */
CR__COLD static void put_slice(profile_out *out, const cr__profile *p, const cr__slice *s)
{
    const cr__profile_piece *piece =
        (const cr__profile_piece *)p->pieces.records.at + s->piece;
    const double microseconds = 1e-3 * p->tick;
    put_line(out,
             ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"name\":\"",
             s->lane, microseconds * (double)(s->begin - p->begun),
             microseconds * (double)(s->end - s->begin));
    put_word(out,
             s->kind == CR__SLICE_RUN ? "run" : member_of(p, piece, piece->n - 1)->name);
    if (s->kind != CR__SLICE_RUN && piece->n > 1)
        put_line(out, " + %u", piece->n - 1);
    put_line(out, "\",\"args\":{");
    if (s->kind != CR__SLICE_RUN)
        put_members(out, p, s, piece);
    put_line(out, "}}");
}

CR__COLD static void put_trace(cr_ctx *ctx, profile_out *out)
{
    const cr__profile *p = ctx->profile;
    CR__FP_GUARD();
    cr__profile_settle(ctx);
    put_line(out,
             "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"version\":\"%s\","
             "\"kernels\":\"%s\",\"groups left out\":%" PRIu64 "},\"traceEvents\":[\n",
             cr_version(), cr_isa(), p->lost);
    for (int i = 0; i < cr__team_size(ctx->team); i++)
        put_line(out,
                 "%s{\"ph\":\"M\",\"pid\":1,\"tid\":%d,\"name\":\"thread_name\","
                 "\"args\":{\"name\":\"%s %d\"}}",
                 i ? ",\n" : "", i, i ? "worker" : "caller", i);
    for (uint32_t i = 0; i < p->n_slices; i++)
        put_slice(out, p, &((const cr__slice *)p->slices.at)[i]);
    put_line(out, "\n]}\n");
}

/* ---- the calls ---- */

CR__COLD size_t cr_profile_format(cr_ctx *ctx, char *text, size_t capacity)
{
    profile_out out = { .text = { .at = text, .capacity = text ? capacity : 0 } };
    if (out.text.capacity)
        text[0] = '\0';
    return ctx && put_table(ctx, &out) ? out.text.length : 0;
}

CR__COLD static cr_status check_file(cr_ctx *ctx, const char *what, const FILE *file,
                                     bool traced)
{
    if (!ctx)
        return CR_ERR_NULL;
    if (!file)
        return cr_fail(ctx, CR_ERR_NULL, "%s: the file is NULL", what);
    if (!ctx->profile || (traced && !ctx->profile->traces))
        return cr_fail(ctx, CR_ERR_ARGUMENT,
                       "%s: none was begun; cr_profile_start(ctx%s)", what,
                       traced ? ", .trace = true" : "");
    return CR_OK;
}

CR__COLD static cr_status was_written(cr_ctx *ctx, const char *what, FILE *file)
{
    if (!ferror(file))
        return CR_OK;
    return cr_fail(ctx, CR_ERR_IO, "%s: the file cannot be written", what);
}

CR__COLD cr_status cr_profile_print(cr_ctx *ctx, FILE *file)
{
    profile_out out = { .file = file };
    cr_status status = check_file(ctx, "profile_print", file, false);
    if (status != CR_OK)
        return status;
    return put_table(ctx, &out) ? was_written(ctx, "profile_print", file) : ctx->status;
}

CR__COLD cr_status cr_profile_trace(cr_ctx *ctx, FILE *file)
{
    profile_out out = { .file = file };
    cr_status status = check_file(ctx, "profile_trace", file, true);
    if (status != CR_OK)
        return status;
    put_trace(ctx, &out);
    return was_written(ctx, "profile_trace", file);
}

CR__COLD bool cr__write_profile(cr_ctx *ctx, const char *name)
{
    profile_out out = { .file = *name ? fopen(name, "w") : stderr };
    if (!out.file)
        return false;
    if (*name)
        put_trace(ctx, &out);
    else
        (void)put_table(ctx, &out);
    bool good = !ferror(out.file);
    return (!*name || fclose(out.file) == 0) && good;
}
