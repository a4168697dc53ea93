/* Channels: between the host and tasks, with bytes, buffers and ends in messages. */
#include "check.h"

#include <pthread.h>
#include <unistd.h>

#define SECOND 1000000000u

/* Receives numbers at its end 0 until nobody sends any more, and sends their squares; its output is how many. */
static int32_t squares(pinfold_call *call, void *user)
{
    pinfold_receiver *numbers;
    pinfold_sender *results;
    pinfold_message *message;
    pinfold_status status;
    const void *data;
    void *output;
    size_t len;
    uint64_t number, count = 0;

    (void)user;
    if (pinfold_call_receiver(call, 0, &numbers) != PINFOLD_STATUS_OK
        || pinfold_call_sender(call, 0, &results) != PINFOLD_STATUS_OK)
        return 1;
    while ((status = pinfold_receiver_recv(numbers, PINFOLD_FOREVER, &message)) == PINFOLD_STATUS_OK) {
        if (pinfold_message_data(message, &data, &len) != PINFOLD_STATUS_OK || len != sizeof number
            || (uintptr_t)data % 64 != 0)
            return 2;
        memcpy(&number, data, sizeof number);
        number *= number;
        if (pinfold_sender_send(results, &number, sizeof number, NULL, PINFOLD_FOREVER) != PINFOLD_STATUS_OK)
            return 3;
        pinfold_message_free(message);
        count++;
    }
    if (status != PINFOLD_STATUS_DISCONNECTED)
        return 4;
    pinfold_receiver_free(numbers);
    pinfold_sender_free(results);
    if (pinfold_call_output(call, sizeof count, &output) != PINFOLD_STATUS_OK)
        return 5;
    memcpy(output, &count, sizeof count);
    return 0;
}

/* Serves requests: a message with a buffer and a sender, to which the sum of the buffer goes. */
static int32_t serves(pinfold_call *call, void *user)
{
    pinfold_receiver *requests;
    pinfold_message *message;
    pinfold_buffer *buffer;
    pinfold_sender *reply;
    const void *data;
    size_t len, at;
    uint64_t sum;

    (void)user;
    if (pinfold_call_receiver(call, 0, &requests) != PINFOLD_STATUS_OK)
        return 1;
    while (pinfold_receiver_recv(requests, PINFOLD_FOREVER, &message) == PINFOLD_STATUS_OK) {
        if (pinfold_message_buffer(message, 0, &buffer) != PINFOLD_STATUS_OK
            || pinfold_message_sender(message, 0, &reply) != PINFOLD_STATUS_OK
            || pinfold_buffer_const_data(buffer, &data, &len) != PINFOLD_STATUS_OK)
            return 2;
        for (sum = 0, at = 0; at < len; at++)
            sum += ((const unsigned char *)data)[at];
        pinfold_message_free(message);
        if (pinfold_sender_send(reply, &sum, sizeof sum, NULL, PINFOLD_FOREVER) != PINFOLD_STATUS_OK)
            return 3;
        pinfold_sender_free(reply);
        pinfold_buffer_free(buffer);
    }
    pinfold_receiver_free(requests);
    return 0;
}

/* A channel of a task's own; and waiting, until it is cancelled. */
static int32_t waits(pinfold_call *call, void *user)
{
    pinfold_channel_settings settings = PINFOLD_CHANNEL_SETTINGS_INIT;
    pinfold_sender *sender, *ready;
    pinfold_receiver *receiver;
    pinfold_message *message;
    uint64_t dropped;

    (void)user;
    settings.overflow = PINFOLD_OVERFLOW_DROP_OLDEST;
    if (pinfold_call_channel_new(call, 1, &settings, &sender, &receiver) != PINFOLD_STATUS_OK)
        return 1;
    if (pinfold_sender_send(sender, "a", 1, NULL, 0) != PINFOLD_STATUS_OK
        || pinfold_sender_send(sender, "b", 1, NULL, 0) != PINFOLD_STATUS_OK
        || pinfold_receiver_dropped(receiver, &dropped) != PINFOLD_STATUS_OK || dropped != 1
        || pinfold_receiver_recv(receiver, 0, &message) != PINFOLD_STATUS_OK)
        return 2;
    pinfold_message_free(message);
    if (pinfold_call_sender(call, 0, &ready) != PINFOLD_STATUS_OK
        || pinfold_sender_send(ready, "", 0, NULL, PINFOLD_FOREVER) != PINFOLD_STATUS_OK)
        return 3;
    if (pinfold_receiver_recv(receiver, PINFOLD_FOREVER, &message) != PINFOLD_STATUS_TOLD_TO_END)
        return 4;
    /* Whoever sends sees it in the channel that is left to the host. */
    if (pinfold_sender_send(ready, "told", 4, NULL, 0) != PINFOLD_STATUS_OK)
        return 5;
    pinfold_sender_free(ready);
    pinfold_sender_free(sender);
    pinfold_receiver_free(receiver);
    return 0;
}

/* Dies with a receiver in its hands. */
static int32_t dies(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    _exit(3);
}

static void *receives_one(void *receiver)
{
    pinfold_message *message;

    CHECK_OK(pinfold_receiver_recv(receiver, PINFOLD_FOREVER, &message));
    CHECK_OK(pinfold_message_free(message));
    return NULL;
}

static pinfold_runtime *runtime;

static pinfold_task *task(const char *name)
{
    pinfold_task *task;

    CHECK_OK(pinfold_task_new(runtime, name, NULL, &task));
    return task;
}

static void streams(void)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_task *squaring = task("squares");
    pinfold_handle *handles[2];
    pinfold_sender *numbers, *from_tasks;
    pinfold_receiver *to_tasks, *results;
    pinfold_message *message;
    const void *data;
    uint64_t number, sum = 0, count, all = 0;
    size_t len, at;

    CHECK_OK(pinfold_channel_new(runtime, 8, NULL, &numbers, &to_tasks));
    CHECK_OK(pinfold_channel_new(runtime, 200, NULL, &from_tasks, &results));
    CHECK_OK(pinfold_sender_capacity(from_tasks, &len));
    CHECK(len >= 200);
    settings.senders = &from_tasks;
    settings.sender_count = 1;
    settings.receivers = &to_tasks;
    settings.receiver_count = 1;
    for (at = 0; at < 2; at++)
        CHECK_OK(pinfold_task_submit_with(squaring, NULL, 0, &settings, &handles[at]));
    /* What is left here is the sender of numbers, and the receiver of results. */
    CHECK_OK(pinfold_sender_free(from_tasks));
    CHECK_OK(pinfold_receiver_free(to_tasks));
    for (number = 1; number <= 100; number++)
        CHECK_OK(pinfold_sender_send(numbers, &number, sizeof number, NULL, 60ull * SECOND));
    CHECK_OK(pinfold_sender_free(numbers));
    while (pinfold_receiver_recv(results, PINFOLD_FOREVER, &message) == PINFOLD_STATUS_OK) {
        CHECK_OK(pinfold_message_data(message, &data, &len));
        CHECK(len == sizeof number);
        memcpy(&number, data, sizeof number);
        sum += number;
        CHECK_OK(pinfold_message_free(message));
    }
    CHECK_SAID("nobody sends");
    CHECK(sum == 338350);
    for (at = 0; at < 2; at++) {
        CHECK_OK(pinfold_handle_join(handles[at], &count, sizeof count, NULL));
        all += count;
    }
    CHECK(all == 100);
    CHECK_OK(pinfold_receiver_free(results));
    CHECK_OK(pinfold_task_free(squaring));
}

static void requests_and_replies(void)
{
    pinfold_submit_settings given = PINFOLD_SUBMIT_SETTINGS_INIT, with = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_task *serving = task("serves");
    pinfold_handle *handle;
    pinfold_sender *requests, *reply;
    pinfold_receiver *of_task, *replies;
    pinfold_message *message;
    pinfold_buffer *buffer;
    const void *data;
    void *memory;
    uint64_t sum;
    size_t len;

    CHECK_OK(pinfold_channel_new(runtime, 0, NULL, &requests, &of_task));
    CHECK_OK(pinfold_channel_new(runtime, 1, NULL, &reply, &replies));
    given.receivers = &of_task;
    given.receiver_count = 1;
    CHECK_OK(pinfold_task_submit_with(serving, NULL, 0, &given, &handle));
    CHECK_OK(pinfold_receiver_free(of_task));
    CHECK_OK(pinfold_buffer_new(runtime, 1 << 20, &buffer));
    CHECK_OK(pinfold_buffer_data(buffer, &memory));
    memset(memory, 3, 1 << 20);
    with.buffers = &buffer;
    with.buffer_count = 1;
    with.senders = &reply;
    with.sender_count = 1;
    CHECK_STATUS(pinfold_sender_send(requests, NULL, 0, &with, PINFOLD_FOREVER), PINFOLD_STATUS_NOT_PUBLISHED);
    CHECK_OK(pinfold_buffer_publish(buffer));
    CHECK_OK(pinfold_sender_send(requests, NULL, 0, &with, PINFOLD_FOREVER));
    CHECK_OK(pinfold_receiver_recv(replies, PINFOLD_FOREVER, &message));
    CHECK_OK(pinfold_message_data(message, &data, &len));
    memcpy(&sum, data, sizeof sum);
    CHECK(sum == 3u << 20);
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_sender_free(requests));
    CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
    CHECK_OK(pinfold_buffer_free(buffer));
    CHECK_OK(pinfold_sender_free(reply));
    CHECK_OK(pinfold_receiver_free(replies));
    CHECK_OK(pinfold_task_free(serving));
}

/* Within this process: what a message has comes out as it went in. */
static void whole_messages(void)
{
    static unsigned char large[300000], other[300000];
    pinfold_submit_settings with = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_sender *sender, *more, *inner, *got_sender;
    pinfold_receiver *receiver, *again, *inner_receiver, *got_receiver;
    pinfold_message *message;
    pinfold_handle *handle;
    pinfold_buffer *output, *got;
    pinfold_task *squaring = task("squares");
    const void *data;
    size_t len, at, sizes[] = {0, 1, 8, 64, 65, 200, 4096, 70000, sizeof large};

    for (at = 0; at < sizeof large; at++)
        large[at] = (unsigned char)(at * 7);
    CHECK_OK(pinfold_channel_new(runtime, 4, NULL, &sender, &receiver));
    for (at = 0; at < sizeof sizes / sizeof sizes[0]; at++) {
        CHECK_OK(pinfold_sender_send(sender, large, sizes[at], NULL, 0));
        CHECK_OK(pinfold_sender_len(sender, &len));
        CHECK(len == 1);
        CHECK_OK(pinfold_receiver_len(receiver, &len));
        CHECK(len == 1);
        CHECK_OK(pinfold_receiver_recv(receiver, 0, &message));
        CHECK_OK(pinfold_message_data(message, &data, &len));
        CHECK(len == sizes[at] && memcmp(data, large, len) == 0 && (uintptr_t)data % 64 == 0);
        CHECK_OK(pinfold_message_buffer_count(message, &len));
        CHECK(len == 0);
        CHECK_STATUS(pinfold_message_buffer(message, 0, &got), PINFOLD_STATUS_INVALID_ARGUMENT);
        CHECK_STATUS(pinfold_message_sender(message, 0, &got_sender), PINFOLD_STATUS_INVALID_ARGUMENT);
        CHECK_STATUS(pinfold_message_receiver(message, 0, &got_receiver), PINFOLD_STATUS_INVALID_ARGUMENT);
        CHECK_OK(pinfold_message_free(message));
        CHECK_STATUS(pinfold_message_data(message, &data, &len), PINFOLD_STATUS_BAD_HANDLE);
    }
    /* A short output is no shared memory yet, and becomes some. */
    CHECK_OK(pinfold_channel_new(runtime, 1, NULL, &inner, &inner_receiver));
    with.receivers = &inner_receiver;
    with.receiver_count = 1;
    with.senders = &inner;
    with.sender_count = 1;
    CHECK_OK(pinfold_sender_send(sender, "ends", 4, &with, 0));
    CHECK_OK(pinfold_sender_free(inner));
    CHECK_OK(pinfold_receiver_free(inner_receiver));
    CHECK_OK(pinfold_receiver_recv(receiver, 0, &message));
    CHECK_OK(pinfold_message_sender_count(message, &len));
    CHECK(len == 1);
    CHECK_OK(pinfold_message_receiver_count(message, &len));
    CHECK(len == 1);
    CHECK_OK(pinfold_message_sender(message, 0, &got_sender));
    CHECK_OK(pinfold_message_receiver(message, 0, &got_receiver));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_sender_close(got_sender));
    with.senders = &got_sender;
    with.receivers = &got_receiver;
    CHECK_OK(pinfold_task_submit_with(squaring, NULL, 0, &with, &handle));
    CHECK_OK(pinfold_handle_output_buffer(handle, &output));
    memset(&with, 0, sizeof with);
    with.size = sizeof with;
    with.buffers = &output;
    with.buffer_count = 1;
    CHECK_OK(pinfold_sender_send(sender, NULL, 0, &with, 0));
    CHECK_OK(pinfold_receiver_recv(receiver, 0, &message));
    CHECK_OK(pinfold_message_buffer(message, 0, &got));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_buffer_const_data(got, &data, &len));
    memcpy(other, data, len);
    CHECK(len == 8 && memcmp(other, large + 0, 1) == 0);
    CHECK_OK(pinfold_buffer_free(got));
    CHECK_OK(pinfold_buffer_free(output));
    CHECK_OK(pinfold_handle_free(handle));
    CHECK_OK(pinfold_sender_free(got_sender));
    CHECK_OK(pinfold_receiver_free(got_receiver));
    /* Another end is one more. */
    CHECK_OK(pinfold_sender_clone(sender, &more));
    CHECK_OK(pinfold_receiver_clone(receiver, &again));
    CHECK_OK(pinfold_sender_free(sender));
    CHECK_OK(pinfold_receiver_free(receiver));
    CHECK_OK(pinfold_sender_send(more, "x", 1, NULL, 0));
    CHECK_OK(pinfold_sender_free(more));
    CHECK_OK(pinfold_receiver_recv(again, 0, &message));
    CHECK_OK(pinfold_message_free(message));
    CHECK_STATUS(pinfold_receiver_recv(again, 0, &message), PINFOLD_STATUS_DISCONNECTED);
    CHECK_OK(pinfold_receiver_free(again));
    CHECK_OK(pinfold_task_free(squaring));
}

static void what_is_full_or_empty(void)
{
    pinfold_channel_settings settings = PINFOLD_CHANNEL_SETTINGS_INIT;
    pinfold_sender *sender;
    pinfold_receiver *receiver;
    pinfold_message *message = (pinfold_message *)1;
    pthread_t thread;
    size_t at, capacity;
    uint64_t lost;

    CHECK_OK(pinfold_channel_new(runtime, 2, NULL, &sender, &receiver));
    CHECK_STATUS(pinfold_receiver_recv(receiver, 0, &message), PINFOLD_STATUS_EMPTY);
    CHECK_STATUS(pinfold_receiver_recv(receiver, 1000000, &message), PINFOLD_STATUS_TIMED_OUT);
    CHECK(message == (pinfold_message *)1);
    CHECK_OK(pinfold_sender_capacity(sender, &capacity));
    for (at = 0; at < capacity; at++)
        CHECK_OK(pinfold_sender_send(sender, "x", 1, NULL, 0));
    CHECK_STATUS(pinfold_sender_send(sender, "x", 1, NULL, 0), PINFOLD_STATUS_FULL);
    CHECK_STATUS(pinfold_sender_send(sender, "x", 1, NULL, 1000000), PINFOLD_STATUS_TIMED_OUT);
    CHECK(pthread_create(&thread, NULL, receives_one, receiver) == 0);
    CHECK_OK(pinfold_sender_send(sender, "x", 1, NULL, PINFOLD_FOREVER));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(pinfold_receiver_lost(receiver, &lost));
    CHECK(lost == 0);
    CHECK_OK(pinfold_receiver_close(receiver));
    CHECK_STATUS(pinfold_sender_send(sender, "x", 1, NULL, PINFOLD_FOREVER), PINFOLD_STATUS_DISCONNECTED);
    CHECK_OK(pinfold_receiver_recv(receiver, PINFOLD_FOREVER, &message));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_sender_free(sender));
    CHECK_OK(pinfold_receiver_free(receiver));

    settings.overflow = PINFOLD_OVERFLOW_REJECT;
    CHECK_OK(pinfold_channel_new(runtime, 1, &settings, &sender, &receiver));
    CHECK_OK(pinfold_sender_capacity(sender, &capacity));
    for (at = 0; at < capacity; at++)
        CHECK_OK(pinfold_sender_send(sender, "x", 1, NULL, PINFOLD_FOREVER));
    CHECK_STATUS(pinfold_sender_send(sender, "x", 1, NULL, PINFOLD_FOREVER), PINFOLD_STATUS_FULL);
    CHECK_OK(pinfold_receiver_free(receiver));
    CHECK_STATUS(pinfold_sender_send(sender, "x", 1, NULL, 0), PINFOLD_STATUS_DISCONNECTED);
    CHECK_OK(pinfold_sender_free(sender));
}

/* Nobody waits for the dead, nor for those who were told to end. */
static void deaths_and_cancels(void)
{
    pinfold_submit_settings given = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_task *dying = task("dies"), *waiting = task("waits");
    pinfold_sender *sender;
    pinfold_receiver *receiver;
    pinfold_message *message;
    pinfold_handle *handle;
    const void *data;
    size_t len;

    CHECK_OK(pinfold_channel_new(runtime, 0, NULL, &sender, &receiver));
    given.receivers = &receiver;
    given.receiver_count = 1;
    CHECK_OK(pinfold_task_submit_with(dying, NULL, 0, &given, &handle));
    CHECK_OK(pinfold_receiver_free(receiver));
    CHECK_STATUS(pinfold_sender_send(sender, "x", 1, NULL, PINFOLD_FOREVER), PINFOLD_STATUS_DISCONNECTED);
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_WORKER_DIED);
    CHECK_OK(pinfold_sender_free(sender));

    CHECK_OK(pinfold_channel_new(runtime, 4, NULL, &sender, &receiver));
    memset(&given, 0, sizeof given);
    given.size = sizeof given;
    given.senders = &sender;
    given.sender_count = 1;
    CHECK_OK(pinfold_task_submit_with(waiting, NULL, 0, &given, &handle));
    CHECK_OK(pinfold_sender_free(sender));
    CHECK_OK(pinfold_receiver_recv(receiver, PINFOLD_FOREVER, &message));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_handle_cancel(handle));
    CHECK_OK(pinfold_receiver_recv(receiver, PINFOLD_FOREVER, &message));
    CHECK_OK(pinfold_message_data(message, &data, &len));
    CHECK(len == 4 && memcmp(data, "told", 4) == 0);
    CHECK_OK(pinfold_message_free(message));
    CHECK_STATUS(pinfold_receiver_recv(receiver, PINFOLD_FOREVER, &message), PINFOLD_STATUS_DISCONNECTED);
    CHECK_OK(pinfold_handle_free(handle));
    CHECK_OK(pinfold_receiver_free(receiver));
    CHECK_OK(pinfold_task_free(dying));
    CHECK_OK(pinfold_task_free(waiting));
}

static void mistakes(void)
{
    pinfold_channel_settings settings = PINFOLD_CHANNEL_SETTINGS_INIT;
    pinfold_submit_settings with = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *second;
    pinfold_sender *sender, *foreign, *null_sender = NULL, *other = (pinfold_sender *)1;
    pinfold_receiver *receiver, *of_second, *end = (pinfold_receiver *)1;
    pinfold_message *message;
    pinfold_task *squaring = task("squares");
    pinfold_handle *handle;
    size_t len;

    CHECK_STATUS(pinfold_channel_new(NULL, 1, NULL, &other, &end), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_channel_new(runtime, 1, NULL, NULL, &end), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_channel_new(runtime, 1, NULL, &other, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_channel_new(runtime, SIZE_MAX, NULL, &other, &end), PINFOLD_STATUS_TOO_LARGE);
    CHECK_STATUS(pinfold_call_channel_new(NULL, 1, NULL, &other, &end), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_call_channel_new((pinfold_call *)1, 1, NULL, &other, &end), PINFOLD_STATUS_NOT_IN_TASK);
    settings.overflow = 4;
    CHECK_STATUS(pinfold_channel_new(runtime, 1, &settings, &other, &end), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("4");
    settings.overflow = 0;
    settings.size = 1;
    CHECK_STATUS(pinfold_channel_new(runtime, 1, &settings, &other, &end), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK(other == (pinfold_sender *)1 && end == (pinfold_receiver *)1);

    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &second));
    CHECK_OK(pinfold_channel_new(runtime, 1, NULL, &sender, &receiver));
    CHECK_OK(pinfold_channel_new(second, 1, NULL, &foreign, &of_second));
    with.sender_count = 1;
    with.senders = &foreign;
    CHECK_STATUS(pinfold_sender_send(sender, NULL, 0, &with, 0), PINFOLD_STATUS_FOREIGN_HANDLE);
    CHECK_STATUS(pinfold_task_submit_with(squaring, NULL, 0, &with, &handle), PINFOLD_STATUS_FOREIGN_HANDLE);
    with.senders = &null_sender;
    CHECK_STATUS(pinfold_sender_send(sender, NULL, 0, &with, 0), PINFOLD_STATUS_NULL_ARGUMENT);
    with.senders = (pinfold_sender *const *)&receiver;
    CHECK_STATUS(pinfold_sender_send(sender, NULL, 0, &with, 0), PINFOLD_STATUS_BAD_HANDLE);
    with.senders = NULL;
    CHECK_STATUS(pinfold_sender_send(sender, NULL, 0, &with, 0), PINFOLD_STATUS_NULL_ARGUMENT);
    with.sender_count = 0;
    with.move_buffers = 1;
    CHECK_STATUS(pinfold_sender_send(sender, NULL, 0, &with, 0), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_sender_send(sender, NULL, 1, NULL, 0), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_sender_send(sender, "x", SIZE_MAX, NULL, 0), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_receiver_recv(receiver, 0, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_receiver_recv((pinfold_receiver *)sender, 0, &message), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_sender_len(NULL, &len), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_sender_len(sender, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_sender_free(NULL));
    CHECK_OK(pinfold_receiver_free(NULL));
    CHECK_OK(pinfold_message_free(NULL));

    CHECK_OK(pinfold_runtime_free(second));
    CHECK_STATUS(pinfold_sender_send(foreign, "x", 1, NULL, PINFOLD_FOREVER), PINFOLD_STATUS_SHUTDOWN);
    CHECK_STATUS(pinfold_receiver_recv(of_second, PINFOLD_FOREVER, &message), PINFOLD_STATUS_SHUTDOWN);
    CHECK_OK(pinfold_sender_free(foreign));
    CHECK_STATUS(pinfold_sender_free(foreign), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_receiver_free(of_second));
    CHECK_OK(pinfold_sender_free(sender));
    CHECK_OK(pinfold_receiver_free(receiver));
    CHECK_OK(pinfold_task_free(squaring));
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    int tries;

    CHECK_OK(pinfold_function_register("squares", squares, NULL));
    CHECK_OK(pinfold_function_register("serves", serves, NULL));
    CHECK_OK(pinfold_function_register("waits", waits, NULL));
    CHECK_OK(pinfold_function_register("dies", dies, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    streams();
    requests_and_replies();
    whole_messages();
    what_is_full_or_empty();
    deaths_and_cancels();
    mistakes();
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
