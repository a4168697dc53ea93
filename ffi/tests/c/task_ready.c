/* What has ended of many tasks, in one call: it waits for the first only, stops where it must, and
 * leaves the handles as they are; many are freed in one call, and many tokens taken. */
#include "check.h"

#include <poll.h>
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

enum { COUNT = 5 };

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_events *events;
    pinfold_handle *handles[COUNT + 1], *others[2];
    const size_t lens[COUNT] = { 2, 0, 4, 3, 5 };
    size_t out_lens[COUNT + 1], done, count, told = 0, i;
    uint64_t tokens[COUNT], seen = 0;
    struct pollfd ready;
    char buffer[64];

    pinfold_function_register("echo", echo, NULL);
    pinfold_init(&argc, &argv);
    config.workers = 1;
    config.on_free = PINFOLD_SHUTDOWN_ABORT;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "echo", NULL, &task));
    CHECK_OK(pinfold_events_new(&events));
    CHECK_OK(pinfold_events_fd(events, &ready.fd));
    ready.events = POLLIN;

    CHECK_OK(pinfold_task_submit_many(task, "aabbbbccc-----", 14, lens, COUNT, handles));
    handles[COUNT] = NULL;
    for (i = 0; i < COUNT; i++)
        CHECK_OK(pinfold_events_add(events, handles[i], i));

    /* Tokens, as many as there are, and not more than there is room for. All but the last end. */
    while (told < COUNT - 1) {
        CHECK(poll(&ready, 1, 60000) == 1);
        CHECK_OK(pinfold_events_next_many(events, tokens, 3, &count));
        CHECK(count >= 1 && count <= 3);
        for (i = 0; i < count; i++)
            seen |= (uint64_t)1 << tokens[i];
        told += count;
    }
    CHECK(seen == 15);
    count = 7;
    CHECK_STATUS(pinfold_events_next_many(events, tokens, COUNT, &count), PINFOLD_STATUS_NOTHING_YET);
    CHECK(count == 0);

    /* Up to the one that has no output, as often as one likes. */
    for (i = 0; i < 3; i++) {
        memset(buffer, '.', sizeof buffer);
        CHECK_OK(pinfold_handle_copy_many(handles, COUNT, PINFOLD_FOREVER, buffer, sizeof buffer, out_lens, &done));
        CHECK(done == 3 && out_lens[0] == 2 && out_lens[1] == 0 && out_lens[2] == 4);
        CHECK(memcmp(buffer, "aabbbb.", 7) == 0);
    }
    /* As far as there is room. */
    CHECK_OK(pinfold_handle_copy_many(handles, COUNT, 0, buffer, 5, out_lens, &done));
    CHECK(done == 2);
    CHECK_STATUS(pinfold_handle_copy_many(handles + 2, 1, 0, buffer, 3, out_lens, &done),
                 PINFOLD_STATUS_BUFFER_TOO_SMALL);
    CHECK(done == 0 && out_lens[0] == 4);
    CHECK_SAID("4 bytes");
    /* The first says why. */
    CHECK_STATUS(pinfold_handle_copy_many(handles + 3, 2, PINFOLD_FOREVER, buffer, 9, out_lens, &done),
                 PINFOLD_STATUS_TASK_FAILED);
    CHECK(done == 0);
    CHECK_SAID("three");
    CHECK_STATUS(pinfold_handle_copy_many(handles + 4, 2, 0, buffer, 9, out_lens, &done), PINFOLD_STATUS_TIMED_OUT);
    CHECK_STATUS(pinfold_handle_copy_many(handles + 4, 2, 1000000, buffer, 9, out_lens, &done),
                 PINFOLD_STATUS_TIMED_OUT);
    CHECK_STATUS(pinfold_handle_copy_many(handles + 5, 1, 0, buffer, 9, out_lens, &done),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK(done == 0);
    /* It stops before what is no handle. */
    others[0] = handles[0];
    others[1] = (pinfold_handle *)task;
    CHECK_OK(pinfold_handle_copy_many(others, 2, PINFOLD_FOREVER, buffer, 9, out_lens, &done));
    CHECK(done == 1);

    /* All are freed but the one that is none. */
    CHECK_STATUS(pinfold_handle_free_many(others, 2), PINFOLD_STATUS_BAD_HANDLE);
    CHECK(others[0] == NULL && others[1] == (pinfold_handle *)task);
    handles[0] = NULL;
    CHECK_OK(pinfold_handle_free_many(handles, COUNT + 1));
    for (i = 0; i < COUNT; i++)
        CHECK(handles[i] == NULL);

    /* What makes no sense does nothing. */
    CHECK_OK(pinfold_handle_copy_many(NULL, 0, 0, NULL, 0, NULL, &done));
    CHECK(done == 0);
    CHECK_OK(pinfold_handle_free_many(NULL, 0));
    CHECK_STATUS(pinfold_handle_free_many(NULL, 1), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_handle_copy_many(NULL, 1, 0, buffer, 9, out_lens, &done), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_handle_copy_many(handles, 1, 0, NULL, 9, out_lens, &done), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_handle_copy_many(handles, 1, 0, buffer, 9, NULL, &done), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_handle_copy_many(handles, 1, 0, buffer, 9, out_lens, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_handle_copy_many(handles, (size_t)-1, 0, buffer, 9, out_lens, &done),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_events_next_many(NULL, tokens, 1, &count), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_events_next_many(events, NULL, 1, &count), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_events_next_many(events, tokens, 1, NULL), PINFOLD_STATUS_NULL_ARGUMENT);

    CHECK_OK(pinfold_events_free(events));
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
