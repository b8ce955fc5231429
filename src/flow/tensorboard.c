/* The history as a TensorBoard event file. A record (tensorflow/core/lib/io/record_writer.h) is the
 * length of its data as 8 bytes, the masked CRC of these, the data, its masked CRC; numbers are
 * little-endian. Data is an Event (tensorflow/core/util/event.proto) in protobuf's wire format. */
#include "report.h"

#include <time.h>

enum {
    MOST_TAG = 256,
    MOST_EVENT = MOST_TAG + 128,
    /* Wire types. */
    VARINT = 0,
    FIXED64 = 1,
    BYTES = 2,
    FIXED32 = 5,
    /* Fields of Event, Summary and Summary.Value. */
    EVENT_WALL_TIME = 1,
    EVENT_STEP = 2,
    EVENT_FILE_VERSION = 3,
    EVENT_SUMMARY = 5,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1,
    VALUE_SIMPLE = 2
};

/* Castagnoli's polynomial, reflected (RFC 3720, B.4). */
static uint32_t crc32c(const unsigned char *bytes, size_t n)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* Records hold CRCs of data that may hold CRCs itself: so they are rotated and shifted. */
static uint32_t masked(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* A message that is being written. What does not fit is an error of the sizes above. */
typedef struct message {
    unsigned char bytes[MOST_EVENT];
    size_t n;
} message;

static void put_fixed(message *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes && to->n < sizeof to->bytes; i++)
        to->bytes[to->n++] = (unsigned char)(value >> (8 * i) & 0xff);
}

static void put_varint(message *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_fixed(to, (value & 0x7f) | 0x80, 1);
    put_fixed(to, value, 1);
}

static void put_key(message *to, int field, int type)
{
    put_varint(to, (uint64_t)field << 3 | (uint64_t)type);
}

static void put_bytes(message *to, int field, const void *bytes, size_t n)
{
    put_key(to, field, BYTES);
    put_varint(to, n);
    for (size_t i = 0; i < n; i++)
        put_fixed(to, ((const unsigned char *)bytes)[i], 1);
}

static void put_double(message *to, int field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(to, field, FIXED64);
    put_fixed(to, bits, 8);
}

static void put_float(message *to, int field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(to, field, FIXED32);
    put_fixed(to, bits, 4);
}

static void put_record(cr__sink *sink, const message *event)
{
    message head = { .n = 0 }, foot = { .n = 0 };
    put_fixed(&head, event->n, 8);
    put_fixed(&head, masked(crc32c(head.bytes, 8)), 4);
    put_fixed(&foot, masked(crc32c(event->bytes, event->n)), 4);
    cr__put_bytes(sink, (const char *)head.bytes, head.n);
    cr__put_bytes(sink, (const char *)event->bytes, event->n);
    cr__put_bytes(sink, (const char *)foot.bytes, foot.n);
}

/* What all events of a file have in common. */
typedef struct event_file {
    cr__sink *sink;
    double time;
    int64_t step;
} event_file;

/* "group/name"; no event for what is not finite. */
static void put_scalar(const event_file *file, const char *group, const char *name,
                       double value)
{
    char tag[MOST_TAG];
    cr__sink text = { .text = tag, .capacity = sizeof tag };
    message inner = { .n = 0 }, summary = { .n = 0 }, event = { .n = 0 };
    if (!isfinite(value))
        return;
    cr__put(&text, "%s%s", group, name ? "/" : "");
    cr__put_text(&text, CR__AS_PLAIN, name ? name : "");
    size_t length = strlen(tag);
    if (text.length > length) { /* no half characters at the cut */
        while (length > 0 && (tag[length - 1] & 0xc0) == 0x80)
            length--;
        length -= length > 0;
    }
    put_bytes(&inner, VALUE_TAG, tag, length);
    put_float(&inner, VALUE_SIMPLE, (float)value);
    put_bytes(&summary, SUMMARY_VALUE, inner.bytes, inner.n);
    put_double(&event, EVENT_WALL_TIME, file->time);
    put_key(&event, EVENT_STEP, VARINT);
    put_varint(&event, (uint64_t)file->step);
    put_bytes(&event, EVENT_SUMMARY, summary.bytes, summary.n);
    put_record(file->sink, &event);
}

static void put_layer_scalars(const event_file *file, const cr_flow_layer *layer)
{
    const char *name = *layer->name ? layer->name : "network";
    put_scalar(file, "delta_log10", name, cr__delta(layer));
    put_scalar(file, "decades", name, layer->decades);
    put_scalar(file, "output_rms", name, layer->y.rms);
    put_scalar(file, "saturated", name, layer->saturated);
    put_scalar(file, "dead", name, layer->dead);
    put_scalar(file, "branch", name, layer->branch);
}

static void put_param_scalars(const event_file *file, const cr_flow_param *param)
{
    put_scalar(file, "weight_rms", param->name, param->weight.rms);
    put_scalar(file, "gradient_log10", param->name, param->gradient.log10_norm);
    put_scalar(file, "update_ratio_log10", param->name, param->update_ratio);
    put_scalar(file, "signal_to_noise", param->name, param->signal_to_noise);
}

bool cr_flow_tensorboard(const cr_flow_report *report, FILE *file)
{
    static const char version[] = "brain.Event:2";
    cr__sink sink = { .file = file };
    if (!report || !file)
        return false;
    event_file events = { .sink = &sink, .time = (double)time(NULL) };
    message first = { .n = 0 };
    put_double(&first, EVENT_WALL_TIME, events.time);
    put_bytes(&first, EVENT_FILE_VERSION, version, sizeof version - 1);
    put_record(&sink, &first);
    for (int s = 0; s < report->n_snapshots; s++) {
        const cr_flow_snapshot *snapshot = &report->snapshots[s];
        events.step = snapshot->step;
        put_scalar(&events, "loss", NULL, snapshot->loss.value);
        put_scalar(&events, "gradient_log10", NULL, snapshot->loss.gradient_log10);
        put_scalar(&events, "learning_rate", NULL, snapshot->loss.learning_rate);
        for (int i = 0; i < snapshot->n_layers; i++)
            put_layer_scalars(&events, &snapshot->layers[i]);
        for (int i = 0; i < snapshot->n_params; i++)
            put_param_scalars(&events, &snapshot->params[i]);
    }
    return cr__sink_done(&sink);
}
