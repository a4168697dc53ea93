/* Buffers: to tasks and back, who owns what, and what is refused. */
#include "check.h"

#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#define LEN ((size_t)1 << 20)

static int aligned(const void *at)
{
    return (uintptr_t)at % 64 == 0;
}

/* The sum of all buffers that it was given. */
static int32_t sum(pinfold_call *call, void *user)
{
    size_t count, len, i, at;
    const void *data;
    void *out;
    uint64_t total = 0;

    (void)user;
    CHECK_OK(pinfold_call_buffer_count(call, &count));
    for (i = 0; i < count; i++) {
        CHECK_OK(pinfold_call_buffer(call, i, &data, &len));
        CHECK(aligned(data));
        for (at = 0; at < len; at++)
            total += ((const unsigned char *)data)[at];
    }
    CHECK_STATUS(pinfold_call_buffer(call, count, &data, &len), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_OK(pinfold_call_output(call, sizeof total, &out));
    memcpy(out, &total, sizeof total);
    return 0;
}

/* Writes the buffer that was moved to it, and returns it. */
static int32_t fill(pinfold_call *call, void *user)
{
    pinfold_buffer *buffer, *again;
    const void *read;
    void *data;
    size_t len;

    (void)user;
    CHECK_OK(pinfold_call_buffer_take(call, 0, &buffer));
    CHECK_STATUS(pinfold_call_buffer_take(call, 0, &again), PINFOLD_STATUS_MOVED);
    CHECK_STATUS(pinfold_call_buffer(call, 0, &read, &len), PINFOLD_STATUS_MOVED);
    CHECK_OK(pinfold_buffer_data(buffer, &data));
    CHECK_OK(pinfold_buffer_len(buffer, &len));
    memset(data, 3, len);
    CHECK_OK(pinfold_call_output_buffer(call, buffer));
    CHECK_STATUS(pinfold_call_output_buffer(call, buffer), PINFOLD_STATUS_MOVED);
    CHECK_STATUS(pinfold_buffer_data(buffer, &data), PINFOLD_STATUS_MOVED);
    CHECK_OK(pinfold_buffer_free(buffer));
    return 0;
}

/* Makes a buffer, or passes the one on that it was given. */
static int32_t make(pinfold_call *call, void *user)
{
    pinfold_buffer *buffer;
    size_t count, inputs;
    void *data;

    (void)user;
    CHECK_OK(pinfold_call_buffer_count(call, &count));
    CHECK_OK(pinfold_call_input_count(call, &inputs));
    if (inputs > 0) {
        CHECK_OK(pinfold_call_input_buffer(call, 0, &buffer));
    } else if (count > 0) {
        CHECK_OK(pinfold_call_buffer_take(call, 0, &buffer));
    } else {
        CHECK_OK(pinfold_call_buffer_new(call, LEN, &buffer));
        CHECK_OK(pinfold_buffer_data(buffer, &data));
        CHECK(aligned(data));
        memset(data, 1, LEN);
    }
    CHECK_OK(pinfold_call_output_buffer(call, buffer));
    CHECK_OK(pinfold_buffer_free(buffer));
    return 0;
}

static int32_t die(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    kill(getpid(), SIGKILL);
    return 0;
}

static pinfold_runtime *start(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;

    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    return runtime;
}

static pinfold_task *task(pinfold_runtime *runtime, const char *name)
{
    pinfold_task *task;

    CHECK_OK(pinfold_task_new(runtime, name, NULL, &task));
    return task;
}

static pinfold_buffer *filled(pinfold_runtime *runtime, size_t len, int with)
{
    pinfold_buffer *buffer;
    void *data;

    CHECK_OK(pinfold_buffer_new(runtime, len, &buffer));
    CHECK_OK(pinfold_buffer_data(buffer, &data));
    CHECK(aligned(data));
    memset(data, with, len);
    return buffer;
}

static pinfold_handle *submit(pinfold_task *task, pinfold_buffer **buffers, size_t count, int move)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_handle *handle;

    settings.buffers = buffers;
    settings.buffer_count = count;
    settings.move_buffers = move;
    CHECK_OK(pinfold_task_submit_with(task, NULL, 0, &settings, &handle));
    return handle;
}

static uint64_t number(pinfold_handle *handle)
{
    uint64_t number;

    CHECK_OK(pinfold_handle_join(handle, &number, sizeof number, NULL));
    return number;
}

static void all_of_it(pinfold_handle *handle, size_t len, int with)
{
    pinfold_buffer *kept;
    const void *data;
    size_t found, at;

    CHECK_OK(pinfold_handle_output_buffer(handle, &kept));
    CHECK_OK(pinfold_handle_free(handle));
    CHECK_OK(pinfold_buffer_const_data(kept, &data, &found));
    CHECK(found == len && aligned(data));
    for (at = 0; at < len; at++)
        CHECK(((const unsigned char *)data)[at] == with);
    CHECK_OK(pinfold_buffer_free(kept));
}

static void every_length_is_aligned(pinfold_runtime *runtime, pinfold_task *sums)
{
    static const size_t lens[] = {0, 1, 63, 64, 65, 255, 256, 257, 4096, 100000};
    pinfold_buffer *buffers[10];
    uint64_t total = 0;
    size_t i;

    for (i = 0; i < 10; i++) {
        buffers[i] = filled(runtime, lens[i], 1);
        CHECK_OK(pinfold_buffer_publish(buffers[i]));
        total += lens[i];
    }
    CHECK(number(submit(sums, buffers, 10, 0)) == total);
    for (i = 0; i < 10; i++)
        CHECK_OK(pinfold_buffer_free(buffers[i]));
}

static void shared(pinfold_runtime *runtime, pinfold_task *sums)
{
    pinfold_buffer *one = filled(runtime, LEN, 2), *other, *both[2];
    pinfold_handle *handles[8];
    const void *first, *second;
    size_t len, i;
    void *data;

    CHECK_STATUS(pinfold_buffer_retain(one, &other), PINFOLD_STATUS_NOT_PUBLISHED);
    CHECK_OK(pinfold_buffer_const_data(one, &first, &len));
    CHECK_OK(pinfold_buffer_publish(one));
    CHECK_STATUS(pinfold_buffer_publish(one), PINFOLD_STATUS_PUBLISHED);
    CHECK_STATUS(pinfold_buffer_data(one, &data), PINFOLD_STATUS_PUBLISHED);
    CHECK_OK(pinfold_buffer_retain(one, &other));
    CHECK_OK(pinfold_buffer_const_data(other, &second, &len));
    CHECK(first == second && len == LEN);
    both[0] = one;
    both[1] = other;
    for (i = 0; i < 8; i++)
        handles[i] = submit(sums, both, 2, (int)(i % 2));
    CHECK_OK(pinfold_buffer_free(one));
    CHECK_OK(pinfold_buffer_free(other)); /* the tasks have it */
    for (i = 0; i < 8; i++)
        CHECK(number(handles[i]) == 4 * (uint64_t)LEN);
}

static void moved(pinfold_runtime *runtime, pinfold_task *sums, pinfold_task *fills)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_buffer *buffer = filled(runtime, LEN, 1), *twice[2];
    pinfold_handle *handle;
    size_t len;

    settings.buffers = &buffer;
    settings.buffer_count = 1;
    CHECK_STATUS(pinfold_task_submit_with(sums, NULL, 0, &settings, &handle),
                 PINFOLD_STATUS_NOT_PUBLISHED);
    twice[0] = twice[1] = buffer;
    settings.buffers = twice;
    settings.buffer_count = 2;
    settings.move_buffers = 1;
    CHECK_STATUS(pinfold_task_submit_with(sums, NULL, 0, &settings, &handle),
                 PINFOLD_STATUS_MOVED);
    CHECK_OK(pinfold_buffer_len(buffer, &len)); /* nothing was done */
    CHECK(len == LEN);
    all_of_it(submit(fills, &buffer, 1, 1), LEN, 3);
    CHECK_STATUS(pinfold_buffer_len(buffer, &len), PINFOLD_STATUS_MOVED);
    CHECK_STATUS(pinfold_buffer_publish(buffer), PINFOLD_STATUS_MOVED);
    CHECK_STATUS(pinfold_buffer_retain(buffer, twice), PINFOLD_STATUS_MOVED);
    CHECK_OK(pinfold_buffer_free(buffer));
    CHECK_STATUS(pinfold_buffer_len(buffer, &len), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_buffer_free(buffer), PINFOLD_STATUS_BAD_HANDLE);
}

static void outputs(pinfold_runtime *runtime, pinfold_task *makes, pinfold_task *sums)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_handle *made = submit(makes, NULL, 0, 0), *passed, *summed, *small;
    pinfold_buffer *kept, *copy;
    const void *at, *same;
    size_t len;

    settings.after = &made;
    settings.after_count = 1;
    CHECK_OK(pinfold_task_submit_with(makes, NULL, 0, &settings, &passed));
    CHECK_OK(pinfold_handle_result(made, &at, &len));
    CHECK(len == LEN && aligned(at));
    CHECK_OK(pinfold_handle_output_buffer(made, &kept));
    CHECK_OK(pinfold_buffer_const_data(kept, &same, &len));
    CHECK(at == same);
    CHECK_OK(pinfold_handle_free(made));
    all_of_it(passed, LEN, 1);
    CHECK(number(submit(sums, &kept, 1, 0)) == LEN);
    all_of_it(submit(makes, &kept, 1, 0), LEN, 1);
    CHECK_OK(pinfold_buffer_free(kept));

    /* A short output is one too. */
    small = submit(sums, NULL, 0, 0);
    CHECK_OK(pinfold_handle_output_buffer(small, &kept));
    CHECK_OK(pinfold_buffer_retain(kept, &copy));
    CHECK_OK(pinfold_buffer_free(kept));
    CHECK_OK(pinfold_buffer_len(copy, &len));
    CHECK(len == 8);
    summed = submit(sums, &copy, 1, 0);
    CHECK(number(summed) == 0);
    all_of_it(submit(makes, &copy, 1, 0), 8, 0);
    CHECK_OK(pinfold_buffer_free(copy));
    CHECK_OK(pinfold_handle_free(small));
    (void)runtime;
}

/* The worker dies, with its buffers: the host's stay. */
static void killed(pinfold_runtime *runtime, pinfold_task *dies, pinfold_task *sums)
{
    pinfold_buffer *shared = filled(runtime, LEN, 1), *moved = filled(runtime, LEN, 1), *both[2];
    pinfold_handle *handle;
    pinfold_buffer *none;
    int i;

    CHECK_OK(pinfold_buffer_publish(shared));
    both[0] = shared;
    both[1] = moved;
    handle = submit(dies, both, 2, 1);
    CHECK_STATUS(pinfold_handle_output_buffer(handle, &none), PINFOLD_STATUS_WORKER_DIED);
    CHECK_OK(pinfold_handle_free(handle));
    for (i = 0; i < 4; i++)
        CHECK(number(submit(sums, &shared, 1, 0)) == LEN);
    CHECK_OK(pinfold_buffer_free(shared));
    CHECK_OK(pinfold_buffer_free(moved));
}

static void refused(pinfold_runtime *runtime, pinfold_task *sums)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_runtime *other = start();
    pinfold_buffer *foreign = filled(other, 10, 0), *none = NULL, *buffer;
    pinfold_handle *handle;
    const void *data;
    size_t len;

    settings.buffers = &foreign;
    settings.buffer_count = 1;
    settings.move_buffers = 1;
    CHECK_STATUS(pinfold_task_submit_with(sums, NULL, 0, &settings, &handle),
                 PINFOLD_STATUS_FOREIGN_HANDLE);
    CHECK_OK(pinfold_buffer_len(foreign, &len));
    settings.buffers = &none;
    CHECK_STATUS(pinfold_task_submit_with(sums, NULL, 0, &settings, &handle),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    settings.buffers = NULL;
    CHECK_STATUS(pinfold_task_submit_with(sums, NULL, 0, &settings, &handle),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    settings.size = 3;
    CHECK_STATUS(pinfold_task_submit_with(sums, NULL, 0, &settings, &handle),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_buffer_new(NULL, 1, &buffer), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_buffer_new(runtime, 1, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_buffer_new(runtime, SIZE_MAX, &buffer), PINFOLD_STATUS_TOO_LARGE);
    CHECK_STATUS(pinfold_buffer_const_data((pinfold_buffer *)runtime, &data, &len),
                 PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_call_buffer_new((pinfold_call *)runtime, 1, &buffer),
                 PINFOLD_STATUS_NOT_IN_TASK);
    CHECK_STATUS(pinfold_call_output_buffer(NULL, foreign), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_buffer_free(NULL));

    /* A buffer outlives its runtime. */
    CHECK_OK(pinfold_runtime_free(other));
    CHECK_STATUS(pinfold_buffer_new(other, 1, &buffer), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_buffer_const_data(foreign, &data, &len));
    CHECK(len == 10);
    CHECK_OK(pinfold_buffer_publish(foreign));
    CHECK_OK(pinfold_buffer_free(foreign));
}

/* All was freed, wherever it was. */
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
    pinfold_runtime *runtime;
    pinfold_task *sums, *fills, *makes, *dies;

    CHECK_OK(pinfold_function_register("sum", sum, NULL));
    CHECK_OK(pinfold_function_register("fill", fill, NULL));
    CHECK_OK(pinfold_function_register("make", make, NULL));
    CHECK_OK(pinfold_function_register("die", die, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));

    runtime = start();
    sums = task(runtime, "sum");
    fills = task(runtime, "fill");
    makes = task(runtime, "make");
    dies = task(runtime, "die");
    every_length_is_aligned(runtime, sums);
    shared(runtime, sums);
    moved(runtime, sums, fills);
    outputs(runtime, makes, sums);
    killed(runtime, dies, sums);
    refused(runtime, sums);
    nothing_is_left(runtime);
    CHECK_OK(pinfold_task_free(sums));
    CHECK_OK(pinfold_task_free(fills));
    CHECK_OK(pinfold_task_free(makes));
    CHECK_OK(pinfold_task_free(dies));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
