/* Many tasks in one call: what comes back is in order, a failure keeps its handle, and what does not
 * fit is told. */
#include "check.h"

#include <unistd.h>

static int32_t echo(pinfold_call *call, void *user)
{
    const void *argument;
    void *output;
    size_t len;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK)
        return 1;
    if (len == 5)
        for (;;)
            pause();
    if (len == 3) {
        pinfold_call_explain(call, "three");
        return 3;
    }
    if (pinfold_call_output(call, len, &output) != PINFOLD_STATUS_OK)
        return 2;
    memcpy(output, argument, len);
    return 0;
}

/* Which worker it is, and the argument. */
static int32_t where(pinfold_call *call, void *user)
{
    pinfold_task_info info = PINFOLD_TASK_INFO_INIT;
    const void *argument;
    void *output;
    size_t len;

    (void)user;
    CHECK_OK(pinfold_call_info(call, &info));
    CHECK_OK(pinfold_call_argument(call, &argument, &len));
    CHECK(len == 1);
    CHECK_OK(pinfold_call_output(call, 2, &output));
    ((char *)output)[0] = (char)info.worker;
    ((char *)output)[1] = *(const char *)argument;
    return 0;
}

/* Once in each worker. */
static void broadcast(pinfold_runtime *runtime)
{
    pinfold_task *task;
    pinfold_handle *handles[4] = { NULL };
    char out[2];
    size_t count, len, at;

    CHECK_OK(pinfold_task_new(runtime, "where", NULL, &task));
    CHECK_STATUS(pinfold_task_broadcast(task, "x", 1, 1, handles, &count), PINFOLD_STATUS_BUFFER_TOO_SMALL);
    CHECK(count == 2 && handles[0] == NULL);
    CHECK_STATUS(pinfold_task_broadcast(task, "x", 1, 4, NULL, &count), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_task_broadcast(task, "x", 1, 4, handles, &count));
    CHECK(count == 2 && handles[2] == NULL);
    for (at = 0; at < count; at++) {
        CHECK_OK(pinfold_handle_join(handles[at], out, sizeof out, &len));
        CHECK(len == 2 && out[0] == (char)at && out[1] == 'x');
    }
    CHECK_OK(pinfold_task_free(task));
}

enum { COUNT = 100 };

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handles[COUNT], *kept;
    const char text[] = "aabbbbccc-dddd";
    const size_t lens[] = { 2, 4, 3, 0, 1, 4 };
    size_t many[COUNT], out_lens[COUNT], i;
    int32_t statuses[COUNT], code;
    unsigned char bytes[COUNT], out[COUNT];
    const void *data;
    char buffer[64];

    pinfold_function_register("echo", echo, NULL);
    pinfold_function_register("where", where, NULL);
    pinfold_init(&argc, &argv);
    config.workers = 2;
    config.on_free = PINFOLD_SHUTDOWN_ABORT;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    broadcast(runtime);
    CHECK_OK(pinfold_task_new(runtime, "echo", NULL, &task));

    /* In order, and none of them left. */
    for (i = 0; i < COUNT; i++) {
        bytes[i] = (unsigned char)i;
        many[i] = 1;
    }
    CHECK_OK(pinfold_task_submit_many(task, bytes, COUNT, many, COUNT, handles));
    CHECK_OK(pinfold_handle_join_many(handles, COUNT, PINFOLD_FOREVER, out, sizeof out, out_lens, statuses));
    for (i = 0; i < COUNT; i++)
        CHECK(handles[i] == NULL && out_lens[i] == 1 && statuses[i] == 0 && out[i] == i);

    /* The third fails, and can be asked why. */
    CHECK_OK(pinfold_task_submit_many(task, text, 14, lens, 6, handles));
    CHECK_OK(pinfold_handle_join_many(handles, 6, PINFOLD_FOREVER, buffer, sizeof buffer, out_lens, statuses));
    CHECK(memcmp(buffer, "aabbbb-dddd", 11) == 0);
    CHECK(statuses[2] == PINFOLD_STATUS_TASK_FAILED && out_lens[2] == 0 && handles[2] != NULL);
    CHECK(statuses[3] == 0 && out_lens[3] == 0 && handles[3] == NULL);
    CHECK_STATUS(pinfold_handle_result(handles[2], &data, &i), PINFOLD_STATUS_TASK_FAILED);
    CHECK_SAID("three");
    CHECK_OK(pinfold_handle_code(handles[2], &code));
    CHECK(code == 3);
    CHECK_OK(pinfold_handle_free(handles[2]));

    /* With too little room: so far, and on from there. */
    CHECK_OK(pinfold_task_submit_many(task, text, 6, lens, 2, handles));
    kept = handles[1];
    CHECK_STATUS(pinfold_handle_join_many(handles, 2, PINFOLD_FOREVER, buffer, 5, out_lens, statuses),
                 PINFOLD_STATUS_BUFFER_TOO_SMALL);
    CHECK(handles[0] == NULL && out_lens[0] == 2 && statuses[0] == 0);
    CHECK(handles[1] == kept && out_lens[1] == 4 && statuses[1] == PINFOLD_STATUS_BUFFER_TOO_SMALL);
    CHECK_STATUS(pinfold_handle_join_many(handles, 2, PINFOLD_FOREVER, buffer, 5, out_lens, statuses),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_handle_join_many(handles + 1, 1, PINFOLD_FOREVER, buffer, 5, out_lens, statuses));
    CHECK(memcmp(buffer, "bbbb", 4) == 0);

    /* What has not ended in time stays, and what has ended before it does not. */
    many[0] = 1;
    many[1] = 5;
    CHECK_OK(pinfold_task_submit_many(task, "asleep", 6, many, 2, handles));
    CHECK_STATUS(pinfold_handle_join_many(handles, 2, 300000000, buffer, 9, out_lens, statuses),
                 PINFOLD_STATUS_TIMED_OUT);
    CHECK(handles[1] != NULL && statuses[1] == PINFOLD_STATUS_TIMED_OUT);
    if (handles[0] != NULL) { /* a slow machine */
        CHECK_OK(pinfold_handle_join_many(handles, 1, PINFOLD_FOREVER, buffer, 9, out_lens, statuses));
    }
    CHECK_OK(pinfold_handle_free(handles[1]));

    /* As far as there is room in time: of 4 at once that do not end. */
    CHECK_OK(pinfold_runtime_free(runtime));
    CHECK_OK(pinfold_task_free(task));
    config.queue_capacity = 4;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "echo", NULL, &task));
    for (i = 0; i < 6; i++)
        many[i] = 5;
    CHECK_STATUS(pinfold_task_submit_many_timeout(task, out, 30, many, 6, 1000000, handles),
                 PINFOLD_STATUS_TIMED_OUT);
    CHECK(handles[0] != NULL && handles[3] != NULL && handles[4] == NULL && handles[5] == NULL);
    CHECK_STATUS(pinfold_task_submit_many_timeout(task, out, 5, many, 1, 0, handles + 4), PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_handle_cancel_within(handles[3], 0));
    CHECK_OK(pinfold_task_submit_many_timeout(task, out, 5, many, 1, 60000000000, handles + 4));
    for (i = 0; i < 5; i++)
        CHECK_OK(pinfold_handle_free(handles[i]));

    /* What makes no sense does nothing. */
    CHECK_OK(pinfold_task_submit_many(task, NULL, 0, NULL, 0, NULL));
    CHECK_OK(pinfold_handle_join_many(NULL, 0, 0, NULL, 0, NULL, NULL));
    CHECK_STATUS(pinfold_task_submit_many(task, text, 7, lens, 2, handles),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK(handles[0] == NULL && handles[1] == NULL);
    many[0] = (size_t)-1;
    CHECK_STATUS(pinfold_task_submit_many(task, text, 0, many, 2, handles),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_task_submit_many(task, NULL, 6, lens, 2, handles),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_task_submit_many(task, text, 6, NULL, 2, handles),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_task_submit_many(task, text, 6, lens, 2, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_task_submit_many(task, text, 6, lens, (size_t)-1, handles),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_task_submit_many(NULL, text, 6, lens, 2, handles), PINFOLD_STATUS_NULL_ARGUMENT);
    handles[0] = (pinfold_handle *)task;
    CHECK_STATUS(pinfold_handle_join_many(handles, 1, 0, buffer, 5, out_lens, statuses),
                 PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_handle_join_many(handles, 1, 0, NULL, 5, out_lens, statuses),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_handle_join_many(handles, 1, 0, buffer, 5, NULL, statuses),
                 PINFOLD_STATUS_NULL_ARGUMENT);

    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
