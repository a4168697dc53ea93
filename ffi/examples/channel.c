/* Workers that take jobs from one channel and send what they find into another.
 *
 *     cc channel.c $(pkg-config --cflags --libs pinfold) -o channel && ./channel
 *
 * A task has both ends for as long as it runs: whoever is free takes the next job, and the host reads
 * results as they come. Nobody says "that was the last": the ends do, when they are freed.
 */
#include <pinfold.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(pinfold_status status)
{
    if (status == PINFOLD_STATUS_OK)
        return;
    fprintf(stderr, "channel: %s: %s\n", pinfold_status_message(status), pinfold_last_message());
    exit(1);
}

/* Counts the steps of each number that it receives until that is 1 (3 n + 1, or half). */
static int32_t counts(pinfold_call *call, void *user)
{
    pinfold_receiver *jobs;
    pinfold_sender *results;
    pinfold_message *message;
    pinfold_status status;
    const void *data;
    size_t len;

    (void)user;
    if (pinfold_call_receiver(call, 0, &jobs) || pinfold_call_sender(call, 0, &results))
        return 1;
    while ((status = pinfold_receiver_recv(jobs, PINFOLD_FOREVER, &message)) == PINFOLD_STATUS_OK) {
        uint64_t result[2], n;

        pinfold_message_data(message, &data, &len);
        memcpy(&result[0], data, sizeof result[0]);
        pinfold_message_free(message);
        for (n = result[0], result[1] = 0; n != 1; result[1]++)
            n = n % 2 ? 3 * n + 1 : n / 2;
        if (pinfold_sender_send(results, result, sizeof result, NULL, PINFOLD_FOREVER))
            break; /* nobody wants it any more */
    }
    pinfold_receiver_free(jobs);
    pinfold_sender_free(results);
    return status == PINFOLD_STATUS_DISCONNECTED ? 0 : 2;
}

int main(int argc, char **argv)
{
    pinfold_submit_settings ends = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handles[2];
    pinfold_sender *jobs, *of_tasks;
    pinfold_receiver *to_tasks, *results;
    pinfold_message *message;
    uint64_t number, result[2], best[2] = {0, 0};
    const void *data;
    size_t i, len;

    check(pinfold_function_register("counts", counts, NULL));
    check(pinfold_init(&argc, &argv));
    check(pinfold_runtime_new(NULL, &runtime));
    check(pinfold_channel_new(runtime, 1000, NULL, &jobs, &to_tasks));
    check(pinfold_channel_new(runtime, 1000, NULL, &of_tasks, &results));
    check(pinfold_task_new(runtime, "counts", NULL, &task));
    ends.receivers = &to_tasks;
    ends.senders = &of_tasks;
    ends.receiver_count = ends.sender_count = 1;
    for (i = 0; i < 2; i++)
        check(pinfold_task_submit_with(task, NULL, 0, &ends, &handles[i]));
    /* These are the tasks' now. */
    check(pinfold_receiver_free(to_tasks));
    check(pinfold_sender_free(of_tasks));

    for (number = 1; number <= 1000; number++)
        check(pinfold_sender_send(jobs, &number, sizeof number, NULL, PINFOLD_FOREVER));
    check(pinfold_sender_free(jobs)); /* that was the last one */
    while (pinfold_receiver_recv(results, PINFOLD_FOREVER, &message) == PINFOLD_STATUS_OK) {
        check(pinfold_message_data(message, &data, &len));
        memcpy(result, data, sizeof result);
        check(pinfold_message_free(message));
        if (result[1] > best[1])
            memcpy(best, result, sizeof best);
    }
    printf("%d takes %d steps\n", (int)best[0], (int)best[1]);
    for (i = 0; i < 2; i++)
        check(pinfold_handle_join(handles[i], NULL, 0, NULL));
    check(pinfold_receiver_free(results));
    check(pinfold_task_free(task));
    check(pinfold_runtime_free(runtime));
    return best[0] == 871 && best[1] == 178 ? 0 : 1;
}
