/* Channels whose messages are acknowledged, bounded by bytes, or compressed. */
#include "check.h"

#include <unistd.h>

static pinfold_runtime *runtime;

/* Dies over a job that nobody has had yet; acknowledges all others. Its output is how many. */
static int32_t works(pinfold_call *call, void *user)
{
    pinfold_receiver *jobs;
    pinfold_message *message;
    pinfold_status status;
    void *output;
    uint32_t attempt;
    uint64_t count = 0;

    (void)user;
    if (pinfold_call_receiver(call, 0, &jobs) != PINFOLD_STATUS_OK)
        return 1;
    while ((status = pinfold_receiver_recv(jobs, PINFOLD_FOREVER, &message)) == PINFOLD_STATUS_OK) {
        if (pinfold_message_attempt(message, &attempt) != PINFOLD_STATUS_OK)
            return 2;
        if (attempt == 1)
            _exit(1);
        if (pinfold_message_ack(message) != PINFOLD_STATUS_OK || pinfold_message_ack(message) != PINFOLD_STATUS_OK)
            return 3;
        pinfold_message_free(message);
        count++;
    }
    if (status != PINFOLD_STATUS_DISCONNECTED)
        return 4;
    pinfold_receiver_free(jobs);
    if (pinfold_call_output(call, sizeof count, &output) != PINFOLD_STATUS_OK)
        return 5;
    memcpy(output, &count, sizeof count);
    return 0;
}

static void what_is_not_acknowledged_comes_again(void)
{
    pinfold_channel_settings settings = PINFOLD_CHANNEL_SETTINGS_INIT;
    pinfold_submit_settings given = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_task_settings repeat = PINFOLD_TASK_SETTINGS_INIT;
    pinfold_sender *jobs;
    pinfold_receiver *receiver;
    pinfold_message *message, *second;
    pinfold_task *working;
    pinfold_handle *handle;
    pinfold_buffer *buffer, *got;
    const void *data;
    uint32_t attempt;
    uint64_t count;
    size_t len, at;

    settings.acks = 1;
    CHECK_OK(pinfold_channel_new(runtime, 4, &settings, &jobs, &receiver));
    CHECK_OK(pinfold_buffer_new(runtime, 5000, &buffer));
    CHECK_OK(pinfold_buffer_publish(buffer));
    given.buffers = &buffer;
    given.buffer_count = 1;
    CHECK_OK(pinfold_sender_send(jobs, "one", 3, &given, 0));
    CHECK_OK(pinfold_sender_send(jobs, "two", 3, NULL, 0));
    for (at = 1; at <= 3; at++) {
        CHECK_OK(pinfold_receiver_recv(receiver, 0, &message));
        CHECK_OK(pinfold_message_attempt(message, &attempt));
        CHECK(attempt == at);
        CHECK_OK(pinfold_message_data(message, &data, &len));
        CHECK(len == 3 && memcmp(data, "one", 3) == 0);
        CHECK_OK(pinfold_message_buffer(message, 0, &got));
        CHECK_OK(pinfold_buffer_free(got));
        CHECK_OK(pinfold_receiver_unacknowledged(receiver, &len));
        CHECK(len == 1);
        CHECK_OK(pinfold_message_free(message));
        CHECK_OK(pinfold_receiver_len(receiver, &len));
        CHECK(len == 2);
    }
    CHECK_OK(pinfold_receiver_recv(receiver, 0, &message));
    CHECK_OK(pinfold_receiver_recv(receiver, 0, &second));
    CHECK_OK(pinfold_message_ack(message));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_message_free(second));
    CHECK_STATUS(pinfold_message_ack(second), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_buffer_free(buffer));

    /* A worker dies over one. */
    repeat.attempts = 5;
    CHECK_OK(pinfold_task_new(runtime, "works", &repeat, &working));
    memset(&given, 0, sizeof given);
    given.size = sizeof given;
    given.receivers = &receiver;
    given.receiver_count = 1;
    CHECK_OK(pinfold_sender_send(jobs, "three", 5, NULL, 0));
    /* The second one was had before; over the third the first attempt dies. */
    CHECK_OK(pinfold_task_submit_with(working, NULL, 0, &given, &handle));
    CHECK_OK(pinfold_receiver_free(receiver));
    CHECK_OK(pinfold_sender_free(jobs));
    CHECK_OK(pinfold_handle_join(handle, &count, sizeof count, NULL));
    CHECK(count == 1);
    CHECK_OK(pinfold_task_free(working));
}

static void so_many_bytes(void)
{
    static unsigned char bytes[100000];
    pinfold_channel_settings settings = PINFOLD_CHANNEL_SETTINGS_INIT;
    pinfold_sender *sender;
    pinfold_receiver *receiver;
    pinfold_message *message;
    const void *data;
    uint32_t attempt;
    size_t len;

    settings.bytes = 1000;
    CHECK_STATUS(pinfold_channel_new(runtime, 0, &settings, &sender, &receiver), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("capacity 0");
    CHECK_OK(pinfold_channel_new(runtime, 10, &settings, &sender, &receiver));
    CHECK_OK(pinfold_sender_send(sender, bytes, 900, NULL, 0));
    CHECK_STATUS(pinfold_sender_send(sender, bytes, 200, NULL, 0), PINFOLD_STATUS_FULL);
    CHECK_STATUS(pinfold_sender_send(sender, bytes, 2000, NULL, PINFOLD_FOREVER), PINFOLD_STATUS_TOO_LARGE);
    CHECK_SAID("1000");
    CHECK_OK(pinfold_receiver_recv(receiver, 0, &message));
    /* It is gone: to acknowledge it does nothing. */
    CHECK_OK(pinfold_message_attempt(message, &attempt));
    CHECK(attempt == 1);
    CHECK_OK(pinfold_message_ack(message));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_sender_free(sender));
    CHECK_OK(pinfold_receiver_free(receiver));

    settings.compress_from = 500;
    CHECK_OK(pinfold_channel_new(runtime, 10, &settings, &sender, &receiver));
    memset(bytes, 7, sizeof bytes);
    CHECK_OK(pinfold_sender_send(sender, bytes, sizeof bytes, NULL, 0));
    CHECK_OK(pinfold_receiver_recv(receiver, 0, &message));
    CHECK_OK(pinfold_message_data(message, &data, &len));
    CHECK(len == sizeof bytes && memcmp(data, bytes, len) == 0);
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_sender_free(sender));
    CHECK_OK(pinfold_receiver_free(receiver));

    settings.acks = 2;
    CHECK_STATUS(pinfold_channel_new(runtime, 1, &settings, &sender, &receiver), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("acks");
    settings.acks = 0;
    settings.reserved_2 = 1;
    CHECK_STATUS(pinfold_channel_new(runtime, 1, &settings, &sender, &receiver), PINFOLD_STATUS_INVALID_ARGUMENT);
    settings.reserved_2 = 0;
    settings.bytes = UINT64_MAX;
    CHECK_STATUS(pinfold_channel_new(runtime, 1, &settings, &sender, &receiver), PINFOLD_STATUS_INVALID_ARGUMENT);
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    int tries;

    CHECK_OK(pinfold_function_register("works", works, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    what_is_not_acknowledged_comes_again();
    so_many_bytes();
    /* Nothing is left. */
    for (tries = 0;; tries++) {
        CHECK_OK(pinfold_runtime_audit(runtime, &audit));
        CHECK(audit.orphans == 0);
        if (audit.blocks_lanes == 0 && audit.blocks_passing == 0 && audit.blocks_published == 0)
            break;
        CHECK(tries < 3000);
        usleep(10000);
    }
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
