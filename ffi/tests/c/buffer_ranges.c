/* Ranges of buffers: to tasks and back, of each other, and what is refused. */
#include "check.h"

#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#define LEN ((size_t)100000)
#define PART ((size_t)30000)

/* The sum of all buffers and inputs that it was given. */
static int32_t sum(pinfold_call *call, void *user)
{
    size_t count, inputs, len, i, at;
    pinfold_buffer *input;
    const void *data;
    void *out;
    uint64_t total = 0;

    (void)user;
    CHECK_OK(pinfold_call_buffer_count(call, &count));
    CHECK_OK(pinfold_call_input_count(call, &inputs));
    for (i = 0; i < count + inputs; i++) {
        input = NULL;
        if (i < count) {
            CHECK_OK(pinfold_call_buffer(call, i, &data, &len));
        } else {
            CHECK_OK(pinfold_call_input_buffer(call, i - count, &input));
            CHECK_OK(pinfold_buffer_const_data(input, &data, &len));
        }
        for (at = 0; at < len; at++)
            total += ((const unsigned char *)data)[at];
        CHECK_OK(pinfold_buffer_free(input));
    }
    CHECK_OK(pinfold_call_output(call, sizeof total, &out));
    memcpy(out, &total, sizeof total);
    return 0;
}

/* The second half of what it was given, or of a buffer that it makes. */
static int32_t half(pinfold_call *call, void *user)
{
    pinfold_buffer *whole, *range;
    size_t count, len;
    void *data;

    (void)user;
    CHECK_OK(pinfold_call_buffer_count(call, &count));
    if (count > 0) {
        CHECK_OK(pinfold_call_buffer_take(call, 0, &whole));
    } else {
        CHECK_OK(pinfold_call_buffer_new(call, LEN, &whole));
        CHECK_OK(pinfold_buffer_data(whole, &data));
        memset(data, 1, LEN / 2);
        memset((char *)data + LEN / 2, 2, LEN - LEN / 2);
        CHECK_OK(pinfold_buffer_publish(whole));
    }
    CHECK_OK(pinfold_buffer_len(whole, &len));
    CHECK_OK(pinfold_buffer_range(whole, len / 2, len - len / 2, &range));
    CHECK_OK(pinfold_buffer_free(whole));
    CHECK_OK(pinfold_call_output_buffer(call, range));
    CHECK_OK(pinfold_buffer_free(range));
    return 0;
}

static int32_t die(pinfold_call *call, void *user)
{
    pinfold_buffer *kept, *range;

    (void)user;
    CHECK_OK(pinfold_call_buffer_take(call, 0, &kept));
    CHECK_OK(pinfold_buffer_range(kept, 1, 1, &range));
    kill(getpid(), SIGKILL);
    return 0;
}

static pinfold_handle *submit(pinfold_task *task, pinfold_buffer *buffer, pinfold_handle *after)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_handle *handle;

    settings.buffers = &buffer;
    settings.buffer_count = buffer != NULL;
    settings.after = &after;
    settings.after_count = after != NULL;
    CHECK_OK(pinfold_task_submit_with(task, NULL, 0, &settings, &handle));
    return handle;
}

static uint64_t number(pinfold_handle *handle)
{
    uint64_t number;

    CHECK_OK(pinfold_handle_join(handle, &number, sizeof number, NULL));
    return number;
}

/* A buffer with some 0, then some 1, and so on: each byte says in which part it is. */
static pinfold_buffer *in_parts(pinfold_runtime *runtime)
{
    pinfold_buffer *buffer;
    void *data;
    size_t at;

    CHECK_OK(pinfold_buffer_new(runtime, LEN, &buffer));
    CHECK_OK(pinfold_buffer_data(buffer, &data));
    for (at = 0; at < LEN; at++)
        ((unsigned char *)data)[at] = (unsigned char)(at / PART);
    CHECK_OK(pinfold_buffer_publish(buffer));
    return buffer;
}

static void scattered(pinfold_runtime *runtime, pinfold_task *sums)
{
    pinfold_buffer *whole = in_parts(runtime), *part;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    pinfold_handle *handles[4];
    const void *all, *data;
    size_t len, i;

    CHECK_OK(pinfold_buffer_const_data(whole, &all, &len));
    for (i = 0; i < 4; i++) {
        len = i < 3 ? PART : LEN % PART;
        CHECK_OK(pinfold_buffer_range(whole, i * PART, len, &part));
        CHECK_OK(pinfold_buffer_const_data(part, &data, &len));
        CHECK((const char *)data == (const char *)all + i * PART);
        handles[i] = submit(sums, part, NULL);
        CHECK_OK(pinfold_buffer_free(part));
    }
    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.blocks_published == 1);
    CHECK_OK(pinfold_buffer_free(whole)); /* the tasks have it */
    for (i = 0; i < 4; i++)
        CHECK(number(handles[i]) == i * (i < 3 ? PART : LEN % PART));
}

static void of_each_other(pinfold_runtime *runtime, pinfold_task *sums)
{
    pinfold_buffer *whole = in_parts(runtime), *range, *inner, *none, *again;
    const void *all, *data;
    size_t len;

    CHECK_OK(pinfold_buffer_const_data(whole, &all, &len));
    CHECK_OK(pinfold_buffer_range(whole, PART - 1, PART + 2, &range));
    CHECK_OK(pinfold_buffer_free(whole));
    CHECK_OK(pinfold_buffer_range(range, 1, PART + 1, &inner));
    CHECK_OK(pinfold_buffer_range(range, PART + 2, 0, &none));
    CHECK_OK(pinfold_buffer_retain(inner, &again));
    CHECK_OK(pinfold_buffer_free(inner));
    CHECK_OK(pinfold_buffer_const_data(again, &data, &len));
    CHECK((const char *)data == (const char *)all + PART && len == PART + 1);
    CHECK(number(submit(sums, range, NULL)) == PART + 2);
    CHECK(number(submit(sums, again, NULL)) == PART + 2);
    CHECK(number(submit(sums, none, NULL)) == 0);
    CHECK_OK(pinfold_buffer_free(range));
    CHECK_OK(pinfold_buffer_free(again));
    CHECK_OK(pinfold_buffer_free(none));
}

/* Of a buffer that it made, and of one that it was given: to the host, and to a task after it. */
static void outputs(pinfold_runtime *runtime, pinfold_task *halves, pinfold_task *sums)
{
    pinfold_buffer *whole = in_parts(runtime), *kept, *quarter;
    pinfold_handle *made = submit(halves, NULL, NULL), *given = submit(halves, whole, NULL);
    pinfold_handle *after = submit(sums, NULL, made), *sum = submit(sums, NULL, NULL);
    const void *all, *data;
    size_t len;

    CHECK(number(after) == 2 * (uint64_t)(LEN / 2));
    CHECK_OK(pinfold_handle_output_buffer(made, &kept));
    CHECK_OK(pinfold_handle_free(made));
    CHECK_OK(pinfold_buffer_range(kept, LEN / 4, LEN / 4, &quarter));
    CHECK_OK(pinfold_buffer_free(kept));
    CHECK(number(submit(sums, quarter, NULL)) == 2 * (uint64_t)(LEN / 4));
    CHECK_OK(pinfold_buffer_free(quarter));

    CHECK_OK(pinfold_buffer_const_data(whole, &all, &len));
    CHECK_OK(pinfold_handle_result(given, &data, &len));
    CHECK((const char *)data == (const char *)all + LEN / 2 && len == LEN / 2);
    CHECK_OK(pinfold_handle_free(given));
    CHECK_OK(pinfold_buffer_free(whole));

    /* Of a short output, which is no shared memory. */
    CHECK_OK(pinfold_handle_output_buffer(sum, &kept));
    CHECK_OK(pinfold_buffer_range(kept, 2, 6, &quarter));
    CHECK_OK(pinfold_buffer_len(quarter, &len));
    CHECK(len == 6);
    CHECK_STATUS(pinfold_buffer_range(kept, 2, 7, &quarter), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_OK(pinfold_buffer_free(quarter));
    CHECK_OK(pinfold_buffer_free(kept));
    CHECK_OK(pinfold_handle_free(sum));
}

static void refused(pinfold_runtime *runtime, pinfold_task *dies)
{
    static const size_t wrong[][2] = {
        {0, LEN + 1}, {1, LEN}, {LEN, 1}, {LEN + 1, 0}, {SIZE_MAX, 1}, {1, SIZE_MAX}, {SIZE_MAX, SIZE_MAX},
    };
    pinfold_buffer *whole = in_parts(runtime), *written, *range;
    pinfold_handle *handle;
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_STATUS(pinfold_buffer_range(whole, wrong[i][0], wrong[i][1], &range),
                     PINFOLD_STATUS_INVALID_ARGUMENT);
        CHECK_SAID("100000 bytes");
    }
    CHECK_STATUS(pinfold_buffer_range(whole, 1, 1, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_buffer_range(NULL, 1, 1, &range), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_buffer_range((pinfold_buffer *)runtime, 1, 1, &range),
                 PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_buffer_new(runtime, 10, &written));
    CHECK_STATUS(pinfold_buffer_range(written, 1, 1, &range), PINFOLD_STATUS_NOT_PUBLISHED);
    CHECK_OK(pinfold_buffer_free(written));
    CHECK_STATUS(pinfold_buffer_range(written, 1, 1, &range), PINFOLD_STATUS_BAD_HANDLE);

    /* Whoever dies with ranges leaves nothing. */
    handle = submit(dies, whole, NULL);
    CHECK_OK(pinfold_buffer_free(whole));
    CHECK_STATUS(pinfold_handle_output_buffer(handle, &range), PINFOLD_STATUS_WORKER_DIED);
    CHECK_OK(pinfold_handle_free(handle));
}

static void nothing_is_left(pinfold_runtime *runtime)
{
    pinfold_audit audit = PINFOLD_AUDIT_INIT;

    for (;;) {
        CHECK_OK(pinfold_runtime_audit(runtime, &audit));
        CHECK(audit.orphans == 0);
        if (audit.blocks_writable == 0 && audit.blocks_published == 0 && audit.blocks_carried == 0)
            return;
        usleep(1000);
    }
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *sums, *halves, *dies;

    CHECK_OK(pinfold_function_register("sum", sum, NULL));
    CHECK_OK(pinfold_function_register("half", half, NULL));
    CHECK_OK(pinfold_function_register("die", die, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));

    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "sum", NULL, &sums));
    CHECK_OK(pinfold_task_new(runtime, "half", NULL, &halves));
    CHECK_OK(pinfold_task_new(runtime, "die", NULL, &dies));
    scattered(runtime, sums);
    of_each_other(runtime, sums);
    outputs(runtime, halves, sums);
    refused(runtime, dies);
    nothing_is_left(runtime);
    CHECK_OK(pinfold_task_free(sums));
    CHECK_OK(pinfold_task_free(halves));
    CHECK_OK(pinfold_task_free(dies));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
