/* Broadcast channels and routers between the host and tasks, and select. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000u
#define LONG (60ull * SECOND)

static pinfold_runtime *runtime;

static uint64_t number_of(pinfold_message *message)
{
    const void *data;
    uint64_t number = 0;
    size_t len;
    if (pinfold_message_data(message, &data, &len) != PINFOLD_STATUS_OK || len != sizeof number)
        return UINT64_MAX;
    memcpy(&number, data, len);
    pinfold_message_free(message);
    return number;
}

/* Adds up what its subscription brings. */
static int32_t sums(pinfold_call *call, void *user)
{
    void *object, *output;
    pinfold_subscriber *subscriber;
    pinfold_message *message;
    pinfold_status status;
    uint64_t sum = 0;

    (void)user;
    if (pinfold_call_object(call, 0, &object) != PINFOLD_STATUS_OK)
        return 1;
    subscriber = object;
    if (pinfold_call_object(call, 0, &object) != PINFOLD_STATUS_MOVED)
        return 2;
    while ((status = pinfold_subscriber_recv(subscriber, LONG, &message, NULL)) == PINFOLD_STATUS_OK)
        sum += number_of(message);
    if (status != PINFOLD_STATUS_DISCONNECTED || pinfold_subscriber_free(subscriber) != PINFOLD_STATUS_OK)
        return 3;
    if (pinfold_call_output(call, sizeof sum, &output) != PINFOLD_STATUS_OK)
        return 4;
    memcpy(output, &sum, sizeof sum);
    return 0;
}

/* Publishes, and makes a channel of its own. */
static int32_t publishes(pinfold_call *call, void *user)
{
    pinfold_broadcast_settings settings = PINFOLD_BROADCAST_SETTINGS_INIT;
    void *object;
    pinfold_publisher *publisher, *own;
    pinfold_subscriber *subscriber;
    pinfold_message *message;
    uint64_t number = 5, lagged = 0;

    (void)user;
    if (pinfold_call_object(call, 0, &object) != PINFOLD_STATUS_OK)
        return 1;
    publisher = object;
    if (pinfold_publisher_send(publisher, &number, sizeof number, NULL, LONG) != PINFOLD_STATUS_OK)
        return 2;
    pinfold_publisher_free(publisher);
    settings.overflow = PINFOLD_OVERFLOW_DROP_OLDEST;
    settings.subscribers = 1;
    if (pinfold_call_broadcast_new(call, 2, &settings, &own) != PINFOLD_STATUS_OK
        || pinfold_publisher_subscribe(own, &subscriber) != PINFOLD_STATUS_OK)
        return 3;
    for (number = 0; number < 5; number++)
        if (pinfold_publisher_send(own, &number, sizeof number, NULL, 0) != PINFOLD_STATUS_OK)
            return 4;
    if (pinfold_subscriber_recv(subscriber, 0, &message, &lagged) != PINFOLD_STATUS_LAGGED || lagged != 3
        || pinfold_subscriber_recv(subscriber, 0, &message, &lagged) != PINFOLD_STATUS_OK
        || number_of(message) != 3)
        return 5;
    pinfold_publisher_free(own);
    pinfold_subscriber_free(subscriber);
    return 0;
}

/* Counts what a receiver brings. */
static int32_t receives(pinfold_call *call, void *user)
{
    pinfold_receiver *receiver;
    pinfold_message *message;
    uint64_t count = 0;
    void *output;

    (void)user;
    if (pinfold_call_receiver(call, 0, &receiver) != PINFOLD_STATUS_OK)
        return 1;
    while (pinfold_receiver_recv(receiver, LONG, &message) == PINFOLD_STATUS_OK) {
        pinfold_message_free(message);
        count++;
    }
    pinfold_receiver_free(receiver);
    if (pinfold_call_output(call, sizeof count, &output) != PINFOLD_STATUS_OK)
        return 2;
    memcpy(output, &count, sizeof count);
    return 0;
}

/* Sends by the router that it has got. */
static int32_t routes(pinfold_call *call, void *user)
{
    void *object;
    pinfold_router *router;
    char key;

    (void)user;
    if (pinfold_call_object(call, 0, &object) != PINFOLD_STATUS_OK)
        return 1;
    router = object;
    for (key = 'a'; key <= 'z'; key++)
        if (pinfold_router_send_by_key(router, &key, 1, &key, 1, NULL, LONG) != PINFOLD_STATUS_OK)
            return 2;
    return pinfold_router_free(router) == PINFOLD_STATUS_OK ? 0 : 3;
}

/* ---- the host ---- */

static pinfold_handle *submit(const char *name, const void *object, pinfold_receiver *receiver)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_task *task;
    pinfold_handle *handle;

    CHECK_OK(pinfold_task_new(runtime, name, NULL, &task));
    settings.objects = &object;
    settings.object_count = object != NULL;
    settings.receivers = &receiver;
    settings.receiver_count = receiver != NULL;
    CHECK_OK(pinfold_task_submit_with(task, NULL, 0, &settings, &handle));
    CHECK_OK(pinfold_task_free(task));
    return handle;
}

static uint64_t joined(pinfold_handle *handle)
{
    uint64_t number = 0;
    CHECK_OK(pinfold_handle_join(handle, &number, sizeof number, NULL));
    return number;
}

static void broadcasts(void)
{
    pinfold_broadcast_settings settings = PINFOLD_BROADCAST_SETTINGS_INIT;
    pinfold_submit_settings with = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_publisher *publisher, *other;
    pinfold_subscriber *subscribers[3], *more;
    pinfold_message *message;
    pinfold_buffer *buffer, *same;
    pinfold_handle *handles[2];
    const void *data;
    void *memory;
    size_t len, at;
    uint64_t number, lagged = 77;

    CHECK_STATUS(pinfold_broadcast_new(runtime, 0, NULL, &publisher), PINFOLD_STATUS_INVALID_ARGUMENT);
    settings.subscribers = 1000000;
    CHECK_STATUS(pinfold_broadcast_new(runtime, 4, &settings, &publisher), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("1000000");
    settings.subscribers = 3;
    settings.overflow = 9;
    CHECK_STATUS(pinfold_broadcast_new(runtime, 4, &settings, &publisher), PINFOLD_STATUS_INVALID_ARGUMENT);
    settings.overflow = 0;
    CHECK_OK(pinfold_broadcast_new(runtime, 4, &settings, &publisher));
    CHECK_OK(pinfold_publisher_send(publisher, "x", 1, NULL, 0)); /* for nobody */
    for (at = 0; at < 3; at++)
        CHECK_OK(pinfold_publisher_subscribe(publisher, &subscribers[at]));
    CHECK_STATUS(pinfold_publisher_subscribe(publisher, &more), PINFOLD_STATUS_TOO_MANY);
    CHECK_STATUS(pinfold_subscriber_subscribe(subscribers[0], &more), PINFOLD_STATUS_TOO_MANY);
    CHECK_OK(pinfold_publisher_subscribers(publisher, &len));
    CHECK(len == 3);
    number = 1;
    CHECK_OK(pinfold_publisher_send(publisher, &number, sizeof number, NULL, 0));
    CHECK_OK(pinfold_subscriber_len(subscribers[0], &len));
    CHECK(len == 1);
    for (at = 0; at < 2; at++)
        handles[at] = submit("sums", subscribers[at], NULL);
    CHECK_STATUS(pinfold_subscriber_len(subscribers[0], &len), PINFOLD_STATUS_MOVED);
    CHECK_STATUS(pinfold_subscriber_recv(subscribers[0], 0, &message, NULL), PINFOLD_STATUS_MOVED);
    for (number = 2; number <= 100; number++) {
        CHECK_OK(pinfold_publisher_send(publisher, &number, sizeof number, NULL, LONG));
        CHECK_OK(pinfold_subscriber_recv(subscribers[2], LONG, &message, &lagged));
        CHECK(number_of(message) == number - 1 && lagged == 77);
    }
    CHECK(joined(submit("publishes", publisher, NULL)) == 0);
    CHECK_OK(pinfold_publisher_clone(publisher, &other));
    CHECK_OK(pinfold_publisher_free(publisher));
    CHECK_OK(pinfold_subscriber_recv(subscribers[2], LONG, &message, NULL));
    CHECK(number_of(message) == 100);
    CHECK_OK(pinfold_subscriber_recv(subscribers[2], LONG, &message, NULL));
    CHECK(number_of(message) == 5);
    CHECK_STATUS(pinfold_subscriber_recv(subscribers[2], 0, &message, NULL), PINFOLD_STATUS_EMPTY);
    CHECK_STATUS(pinfold_subscriber_recv(subscribers[2], 1000, &message, NULL), PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_publisher_free(other));
    CHECK_STATUS(pinfold_subscriber_recv(subscribers[2], LONG, &message, NULL), PINFOLD_STATUS_DISCONNECTED);
    for (at = 0; at < 2; at++)
        CHECK(joined(handles[at]) == 5050 + 5);
    for (at = 0; at < 3; at++)
        CHECK_OK(pinfold_subscriber_free(subscribers[at]));

    /* Buffers in it arrive in place; a full channel; lagging; closing. */
    settings.subscribers = 0;
    settings.overflow = PINFOLD_OVERFLOW_REJECT;
    CHECK_OK(pinfold_broadcast_new(runtime, 1, &settings, &publisher));
    CHECK_OK(pinfold_publisher_subscribe(publisher, &more));
    CHECK_OK(pinfold_buffer_new(runtime, 1000, &buffer));
    CHECK_OK(pinfold_buffer_data(buffer, &memory));
    with.buffers = &buffer;
    with.buffer_count = 1;
    CHECK_STATUS(pinfold_publisher_send(publisher, NULL, 0, &with, 0), PINFOLD_STATUS_NOT_PUBLISHED);
    CHECK_OK(pinfold_buffer_publish(buffer));
    CHECK_OK(pinfold_publisher_send(publisher, "abc", 3, &with, 0));
    CHECK_STATUS(pinfold_publisher_send(publisher, "abc", 3, &with, LONG), PINFOLD_STATUS_FULL);
    CHECK_OK(pinfold_subscriber_recv(more, 0, &message, NULL));
    CHECK_OK(pinfold_message_buffer(message, 0, &same));
    CHECK_OK(pinfold_buffer_const_data(same, &data, &len));
    CHECK(data == memory && len == 1000);
    CHECK_OK(pinfold_buffer_free(same));
    CHECK_OK(pinfold_buffer_free(buffer));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_subscriber_close(more));
    CHECK_STATUS(pinfold_publisher_send(publisher, "a", 1, NULL, LONG), PINFOLD_STATUS_DISCONNECTED);
    CHECK_OK(pinfold_publisher_close(publisher));
    CHECK_OK(pinfold_subscriber_lagged(more, &lagged));
    CHECK(lagged == 0);
    CHECK_OK(pinfold_subscriber_free(more));
    CHECK_OK(pinfold_publisher_free(publisher));
}

static void routers(void)
{
    pinfold_router *router;
    pinfold_receiver *receivers[3], *fourth;
    pinfold_message *message;
    pinfold_handle *handles[3];
    size_t at, first, again, len;
    uint64_t lost;
    int32_t is_there;

    CHECK_STATUS(pinfold_router_new(runtime, 0, 4, &router, receivers), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_router_new(runtime, 3, 4, &router, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_router_new(runtime, 3, 4, &router, receivers));
    CHECK_OK(pinfold_router_send(router, 1, "b", 1, NULL, 0));
    CHECK_OK(pinfold_receiver_recv(receivers[1], 0, &message));
    CHECK_OK(pinfold_message_free(message));
    CHECK_STATUS(pinfold_router_send(router, 3, "b", 1, NULL, 0), PINFOLD_STATUS_DISCONNECTED);
    for (at = 0; at < 6; at++)
        CHECK_OK(pinfold_router_balance(router, "c", 1, NULL, 0));
    for (at = 0; at < 3; at++) {
        CHECK_OK(pinfold_receiver_len(receivers[at], &len));
        CHECK(len == 2);
    }
    CHECK_OK(pinfold_router_receiver_of(router, "Ada", 3, &first));
    CHECK_OK(pinfold_router_receiver_of(router, "Ada", 3, &again));
    CHECK(first == again && first < 3);
    CHECK_OK(pinfold_router_send_by_key(router, "Ada", 3, "d", 1, NULL, 0));
    CHECK_OK(pinfold_receiver_len(receivers[first], &len));
    CHECK(len == 3);
    CHECK_OK(pinfold_router_send_by_key(router, "Ada", 3, "d", 1, NULL, 0));
    CHECK_STATUS(pinfold_router_send_by_key(router, "Ada", 3, "d", 1, NULL, 1000), PINFOLD_STATUS_TIMED_OUT);
    /* What is left is handed on. */
    CHECK_OK(pinfold_receiver_free(receivers[first]));
    CHECK_OK(pinfold_router_is_there(router, first, &is_there));
    CHECK(!is_there);
    CHECK_OK(pinfold_router_receiver_of(router, "Ada", 3, &again));
    CHECK(again != first);
    for (at = 0; at < 2; at++) {
        CHECK_OK(pinfold_receiver_recv(receivers[again], 0, &message));
        CHECK_OK(pinfold_message_free(message));
    }
    CHECK_OK(pinfold_receiver_len(receivers[again], &len));
    CHECK(len == 0);
    CHECK_OK(pinfold_router_hand_on(router, LONG, &len));
    CHECK(len == 4);
    CHECK_OK(pinfold_router_lost(router, &lost));
    CHECK(lost == 0);
    CHECK_OK(pinfold_router_join(router, &fourth));
    CHECK_OK(pinfold_router_send(router, 3, "e", 1, NULL, 0));
    CHECK_OK(pinfold_receiver_len(fourth, &len));
    CHECK(len == 1);
    CHECK_OK(pinfold_router_leave(router, 3));
    CHECK_STATUS(pinfold_router_leave(router, 3), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_OK(pinfold_router_free(router));
    CHECK_OK(pinfold_receiver_free(fourth));
    for (at = 0; at < 3; at++)
        if (at != first)
            CHECK_OK(pinfold_receiver_free(receivers[at]));

    /* From a task, to tasks. */
    CHECK_OK(pinfold_router_new(runtime, 2, 4, &router, receivers));
    for (at = 0; at < 2; at++) {
        handles[at] = submit("receives", NULL, receivers[at]);
        CHECK_OK(pinfold_receiver_free(receivers[at]));
    }
    handles[2] = submit("routes", router, NULL);
    CHECK_OK(pinfold_router_free(router));
    CHECK(joined(handles[2]) == 0);
    CHECK(joined(handles[0]) + joined(handles[1]) == 26);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static void *sends_late(void *sender)
{
    usleep(20000);
    CHECK_OK(pinfold_sender_send(sender, "late", 4, NULL, LONG));
    return NULL;
}

static void *receives_late(void *receiver)
{
    pinfold_message *message;

    usleep(20000);
    CHECK_OK(pinfold_receiver_recv(receiver, LONG, &message));
    CHECK_OK(pinfold_message_free(message));
    return NULL;
}

static void selects(void)
{
    enum { A, B, TO, END, TIME, COUNT };
    static const char long_one[60];
    pinfold_channel_settings bounded = PINFOLD_CHANNEL_SETTINGS_INIT;
    pinfold_case cases[COUNT];
    pinfold_sender *to[3];
    pinfold_receiver *from[3];
    pinfold_message *message, *there = NULL;
    pinfold_handle *handle;
    pthread_t thread;
    size_t index, at, seen[COUNT] = {0};
    int32_t status;

    memset(cases, 0, sizeof cases);
    CHECK_STATUS(pinfold_select(cases, COUNT, PINFOLD_FOREVER, &index, NULL), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("nothing to wait for");
    CHECK_STATUS(pinfold_select(cases, COUNT, 0, &index, NULL), PINFOLD_STATUS_NOTHING_YET);
    CHECK_STATUS(pinfold_select(NULL, 1, 0, &index, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    for (at = 0; at < 3; at++)
        CHECK_OK(pinfold_channel_new(runtime, 2, NULL, &to[at], &from[at]));
    cases[A].receiver = from[0];
    cases[B].receiver = from[1];
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_NOTHING_YET);
    CHECK_STATUS(pinfold_select(cases, 2, 1000000, &index, &message), PINFOLD_STATUS_TIMED_OUT);
    cases[B].at = 5;
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("cases[1]");
    cases[B].at = 0;
    cases[B].reserved = 1;
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_INVALID_ARGUMENT);
    cases[B].reserved = 0;
    cases[B].receiver = (void *)to[0];
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_BAD_HANDLE);
    cases[B].receiver = from[1];

    /* The one that is woken. */
    CHECK(pthread_create(&thread, NULL, sends_late, to[1]) == 0);
    CHECK_OK(pinfold_select(cases, 2, LONG, &index, &message));
    CHECK(index == B && message != NULL);
    CHECK_OK(pinfold_message_free(message));
    CHECK(pthread_join(thread, NULL) == 0);

    /* Of what is always ready each has its turn. */
    for (at = 0; at < 2; at++) {
        CHECK_OK(pinfold_sender_send(to[0], "a", 1, NULL, 0));
        CHECK_OK(pinfold_sender_send(to[1], "b", 1, NULL, 0));
    }
    cases[TO].sender = to[2];
    cases[TO].data = "to";
    cases[TO].len = 2;
    for (at = 0; at < 6; at++) {
        CHECK_OK(pinfold_select(cases, 3, LONG, &index, &message));
        seen[index]++;
        CHECK((message != NULL) == (index != TO));
        CHECK_OK(pinfold_message_free(message));
    }
    CHECK(seen[A] == 2 && seen[B] == 2 && seen[TO] == 2);
    CHECK_OK(pinfold_receiver_recv(from[2], 0, &message));
    CHECK_OK(pinfold_message_free(message));

    /* The end of a task, and a time; a null handle is never ready. */
    cases[TO].sender = NULL;
    handle = submit("receives", NULL, from[2]);
    CHECK_OK(pinfold_receiver_free(from[2]));
    cases[END].handle = handle;
    cases[TIME].at = now() + 10000000;
    CHECK_OK(pinfold_select(cases, COUNT, LONG, &index, &there));
    CHECK(index == TIME && there == NULL);
    cases[TIME].at = 0;
    CHECK_OK(pinfold_sender_free(to[2]));
    CHECK_OK(pinfold_select(cases, COUNT, LONG, &index, &there));
    CHECK(index == END);
    CHECK_OK(pinfold_select(cases, COUNT, 0, &index, &there)); /* it stays so */
    CHECK(index == END);
    CHECK(joined(handle) == 1);
    CHECK_STATUS(pinfold_select(cases, COUNT, 0, &index, &there), PINFOLD_STATUS_BAD_HANDLE);
    cases[END].handle = NULL;

    /* Over: the index says which. */
    CHECK_OK(pinfold_sender_free(to[1]));
    index = COUNT;
    status = pinfold_select(cases, COUNT, LONG, &index, &there);
    CHECK(status == PINFOLD_STATUS_DISCONNECTED && index == B);
    cases[B].receiver = NULL;
    CHECK_STATUS(pinfold_select(cases, COUNT, 1000, &index, &there), PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_sender_free(to[0]));
    CHECK_OK(pinfold_receiver_free(from[0]));
    CHECK_OK(pinfold_receiver_free(from[1]));

    /* Room for some bytes is none for a longer message: that waits for its own, and the others are not held up. */
    bounded.bytes = 100;
    CHECK_OK(pinfold_channel_new(runtime, 10, &bounded, &to[0], &from[0]));
    CHECK_OK(pinfold_channel_new(runtime, 2, NULL, &to[1], &from[1]));
    CHECK_OK(pinfold_sender_send(to[0], long_one, 50, NULL, 0));
    memset(cases, 0, sizeof cases);
    cases[TO].sender = to[0];
    cases[TO].data = long_one;
    cases[TO].len = 60;
    CHECK_STATUS(pinfold_select(cases, COUNT, 0, &index, NULL), PINFOLD_STATUS_NOTHING_YET);
    CHECK_STATUS(pinfold_select(cases, COUNT, 1000000, &index, NULL), PINFOLD_STATUS_TIMED_OUT);
    cases[A].receiver = from[1];
    CHECK(pthread_create(&thread, NULL, sends_late, to[1]) == 0);
    CHECK_OK(pinfold_select(cases, COUNT, LONG, &index, &message));
    CHECK(index == A && message != NULL);
    CHECK_OK(pinfold_message_free(message));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, receives_late, from[0]) == 0);
    CHECK_OK(pinfold_select(cases, COUNT, LONG, &index, &message));
    CHECK(index == TO && message == NULL);
    CHECK(pthread_join(thread, NULL) == 0);
    for (at = 0; at < 2; at++) {
        CHECK_OK(pinfold_sender_free(to[at]));
        CHECK_OK(pinfold_receiver_free(from[at]));
    }
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    pinfold_publisher *publisher;
    pinfold_subscriber *subscriber;
    pinfold_message *message;

    CHECK_OK(pinfold_function_register("sums", sums, NULL));
    CHECK_OK(pinfold_function_register("publishes", publishes, NULL));
    CHECK_OK(pinfold_function_register("receives", receives, NULL));
    CHECK_OK(pinfold_function_register("routes", routes, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 2;
    config.threads_per_worker = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    broadcasts();
    routers();
    selects();
    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.orphans == 0);
    CHECK_OK(pinfold_broadcast_new(runtime, 4, NULL, &publisher));
    CHECK_OK(pinfold_publisher_subscribe(publisher, &subscriber));
    CHECK_OK(pinfold_runtime_free(runtime));
    CHECK_STATUS(pinfold_publisher_send(publisher, "a", 1, NULL, 0), PINFOLD_STATUS_SHUTDOWN);
    CHECK_STATUS(pinfold_subscriber_recv(subscriber, LONG, &message, NULL), PINFOLD_STATUS_SHUTDOWN);
    CHECK_OK(pinfold_publisher_free(publisher));
    CHECK_OK(pinfold_subscriber_free(subscriber));
    return 0;
}
