/* Objects in messages, bytes that are made once, routers in a task, and select over what is no channel. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define SECOND 1000000000u
#define LONG (60ull * SECOND)

static pinfold_runtime *runtime;

static pinfold_handle *submit(const char *name, const pinfold_submit_settings *with)
{
    pinfold_task *task;
    pinfold_handle *handle;
    CHECK_OK(pinfold_task_new(runtime, name, NULL, &task));
    CHECK_OK(pinfold_task_submit_with(task, NULL, 0, with, &handle));
    CHECK_OK(pinfold_task_free(task));
    return handle;
}

static void join(pinfold_handle *handle)
{
    CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
}

static pinfold_submit_settings objects(const void **all, size_t count)
{
    pinfold_submit_settings with = PINFOLD_SUBMIT_SETTINGS_INIT;
    with.objects = all;
    with.object_count = count;
    return with;
}

static void *object(pinfold_message *message, size_t index)
{
    void *object;
    CHECK_OK(pinfold_message_object(message, index, &object));
    return object;
}

/* ---- objects in messages ---- */

/* Gets a mutex, a subscriber and a member of a barrier in a message, and uses them. */
static int32_t uses(pinfold_call *call, void *user)
{
    pinfold_receiver *from;
    pinfold_message *message, *heard;
    pinfold_mutex *mutex;
    pinfold_subscriber *subscriber;
    pinfold_barrier *member;
    void *again, *data;
    size_t count, len;
    int32_t half;

    (void)user;
    CHECK_OK(pinfold_call_receiver(call, 0, &from));
    CHECK_OK(pinfold_receiver_recv(from, LONG, &message));
    CHECK_OK(pinfold_message_object_count(message, &count));
    CHECK(count == 3);
    mutex = object(message, 0);
    subscriber = object(message, 1);
    member = object(message, 2);
    /* What is everybody's is had again; what has one owner is not. */
    CHECK_OK(pinfold_message_object(message, 0, &again));
    CHECK_OK(pinfold_mutex_free(again));
    CHECK_STATUS(pinfold_message_object(message, 1, &again), PINFOLD_STATUS_MOVED);
    CHECK_STATUS(pinfold_message_object(message, 3, &again), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_mutex_lock(mutex, LONG, &data, &len, &half));
    CHECK(len == sizeof(int64_t) && !half);
    ++*(int64_t *)data;
    CHECK_OK(pinfold_mutex_unlock(mutex));
    CHECK_OK(pinfold_subscriber_recv(subscriber, LONG, &heard, NULL));
    CHECK_OK(pinfold_message_free(heard));
    CHECK_OK(pinfold_barrier_wait(member, LONG, NULL));
    CHECK_OK(pinfold_mutex_free(mutex));
    CHECK_OK(pinfold_subscriber_free(subscriber));
    CHECK_OK(pinfold_barrier_free(member));
    CHECK_OK(pinfold_receiver_free(from));
    return 0;
}

static void in_messages(void)
{
    pinfold_submit_settings ends = PINFOLD_SUBMIT_SETTINGS_INIT, with, buffered;
    pinfold_sender *to;
    pinfold_receiver *from;
    pinfold_router *router;
    pinfold_receiver *routed;
    pinfold_publisher *publisher;
    pinfold_subscriber *subscriber, *moved;
    pinfold_barrier *members[2];
    pinfold_mutex *mutex;
    pinfold_message *message, *unread;
    pinfold_buffer *unpublished;
    pinfold_member *member;
    pinfold_handle *handle;
    pinfold_case one = { 0 };
    const void *all[3], *alone;
    void *data;
    int64_t number = 41;
    size_t len, index;
    int32_t half;

    CHECK_OK(pinfold_mutex_new(runtime, &number, sizeof number, &mutex));
    CHECK_OK(pinfold_broadcast_new(runtime, 4, NULL, &publisher));
    CHECK_OK(pinfold_publisher_subscribe(publisher, &subscriber));
    CHECK_OK(pinfold_barrier_new(runtime, 2, members));
    CHECK_OK(pinfold_channel_new(runtime, 1, NULL, &to, &from));
    all[0] = mutex;
    all[1] = subscriber;
    all[2] = members[1];
    with = objects(all, 3);

    /* What was not sent is its handle's again: for want of room, of a buffer that can go, of an end. */
    CHECK_OK(pinfold_sender_send(to, "", 0, NULL, 0));
    CHECK_STATUS(pinfold_sender_send(to, "", 0, &with, 0), PINFOLD_STATUS_FULL);
    CHECK_STATUS(pinfold_sender_send(to, "", 0, &with, 1000), PINFOLD_STATUS_TIMED_OUT);
    one.sender = to;
    one.settings = &with;
    CHECK_STATUS(pinfold_select(&one, 1, 1000, &index, NULL), PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_buffer_new(runtime, 8, &unpublished));
    buffered = with;
    buffered.buffers = &unpublished;
    buffered.buffer_count = 1;
    CHECK_STATUS(pinfold_sender_send(to, "", 0, &buffered, 0), PINFOLD_STATUS_NOT_PUBLISHED);
    CHECK_OK(pinfold_buffer_free(unpublished));
    all[0] = to;
    CHECK_STATUS(pinfold_sender_send(to, "", 0, &with, 0), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_SAID("object");
    all[0] = mutex;
    all[2] = subscriber;
    CHECK_STATUS(pinfold_sender_send(to, "", 0, &with, 0), PINFOLD_STATUS_MOVED);
    all[2] = members[1];
    CHECK_STATUS(pinfold_publisher_send(publisher, "", 0, &with, 0), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("one owner");
    CHECK_OK(pinfold_collective_new(runtime, 1, &member));
    CHECK_STATUS(pinfold_member_broadcast(member, 0, "", 0, &with, LONG, &message, NULL),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_OK(pinfold_subscriber_len(subscriber, &len));
    CHECK_OK(pinfold_receiver_recv(from, 0, &message));
    CHECK_OK(pinfold_message_object_count(message, &len));
    CHECK(len == 0);
    CHECK_OK(pinfold_message_free(message));

    /* To a task, by a select. */
    ends.receivers = &from;
    ends.receiver_count = 1;
    handle = submit("uses", &ends);
    CHECK_OK(pinfold_select(&one, 1, LONG, &index, NULL));
    CHECK_STATUS(pinfold_subscriber_len(subscriber, &len), PINFOLD_STATUS_MOVED);
    CHECK_OK(pinfold_publisher_send(publisher, "7", 1, NULL, LONG));
    CHECK_OK(pinfold_barrier_wait(members[0], LONG, NULL));
    join(handle);
    CHECK_OK(pinfold_mutex_lock(mutex, LONG, &data, &len, &half));
    CHECK(*(int64_t *)data == 42 && !half);
    CHECK_OK(pinfold_mutex_unlock(mutex));

    /* What everybody may have goes with what all get, and through a router. */
    CHECK_OK(pinfold_publisher_subscribe(publisher, &moved));
    alone = mutex;
    with = objects(&alone, 1);
    CHECK_OK(pinfold_publisher_send(publisher, "", 0, &with, 0));
    CHECK_OK(pinfold_subscriber_recv(moved, 0, &message, NULL));
    CHECK_OK(pinfold_mutex_free(object(message, 0)));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_member_broadcast(member, 0, "", 0, &with, LONG, &message, NULL));
    CHECK_OK(pinfold_mutex_free(object(message, 0)));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_router_new(runtime, 1, 1, &router, &routed));
    alone = moved;
    CHECK_OK(pinfold_router_balance(router, "", 0, &with, LONG));
    CHECK_STATUS(pinfold_router_send(router, 0, "", 0, &with, 0), PINFOLD_STATUS_MOVED);
    CHECK_OK(pinfold_receiver_recv(routed, 0, &message));
    CHECK_OK(pinfold_subscriber_free(moved));
    moved = object(message, 0);
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_subscriber_len(moved, &len));

    /* What nobody has taken out of a message ends with it. */
    alone = moved;
    CHECK_OK(pinfold_router_send(router, 0, "", 0, &with, 0));
    CHECK_OK(pinfold_receiver_recv(routed, 0, &unread));
    CHECK_OK(pinfold_publisher_subscribers(publisher, &len));
    CHECK(len == 1);
    CHECK_OK(pinfold_message_free(unread));
    CHECK_OK(pinfold_publisher_subscribers(publisher, &len));
    CHECK(len == 0);

    /* A router itself, in a message. */
    alone = router;
    CHECK_OK(pinfold_sender_send(to, "", 0, &with, 0));
    CHECK_OK(pinfold_router_free(router));
    CHECK_OK(pinfold_receiver_recv(from, 0, &message));
    router = object(message, 0);
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_router_send(router, 0, "", 0, NULL, 0));
    CHECK_OK(pinfold_receiver_len(routed, &len));
    CHECK(len == 1);

    CHECK_OK(pinfold_router_free(router));
    CHECK_OK(pinfold_receiver_free(routed));
    CHECK_OK(pinfold_member_free(member));
    CHECK_OK(pinfold_subscriber_free(moved));
    CHECK_OK(pinfold_subscriber_free(subscriber));
    CHECK_OK(pinfold_publisher_free(publisher));
    CHECK_OK(pinfold_barrier_free(members[0]));
    CHECK_OK(pinfold_barrier_free(members[1]));
    CHECK_OK(pinfold_mutex_free(mutex));
    CHECK_OK(pinfold_sender_free(to));
    CHECK_OK(pinfold_receiver_free(from));
}

/* ---- made once ---- */

static int32_t fills(void *data, size_t len, void *user)
{
    static const unsigned char zeros[4096];
    if (memcmp(data, zeros, len) != 0)
        return 5;
    memset(data, *(const int *)user, len);
    return 0;
}

static int32_t begins_and_fails(void *data, size_t len, void *user)
{
    (void)user;
    memset(data, 1, len);
    return 9;
}

static int32_t begins_and_dies(void *data, size_t len, void *user)
{
    (void)user;
    memset(data, 1, len);
    raise(SIGKILL);
    return 0;
}

static int32_t asks_itself(void *data, size_t len, void *user)
{
    const void *same;
    size_t size;
    (void)data;
    (void)len;
    return pinfold_oncelock_get_or_init(user, LONG, fills, NULL, &same, &size) == PINFOLD_STATUS_DEADLOCK ? 8 : 0;
}

static int32_t dies_in_the_middle(pinfold_call *call, void *user)
{
    void *oncelock;
    const void *data;
    size_t len;
    (void)user;
    CHECK_OK(pinfold_call_object(call, 0, &oncelock));
    pinfold_oncelock_get_or_init(oncelock, LONG, begins_and_dies, NULL, &data, &len);
    return 1;
}

/* Makes it, if nobody has; its output is whether it has all bytes of one number. */
static int32_t makes(pinfold_call *call, void *user)
{
    void *oncelock;
    const void *data;
    size_t len, at;
    int number = 3;
    (void)user;
    CHECK_OK(pinfold_call_object(call, 0, &oncelock));
    CHECK_OK(pinfold_oncelock_get_or_init(oncelock, LONG, fills, &number, &data, &len));
    CHECK(len == 4096 && (uintptr_t)data % 64 == 0);
    for (at = 0; at < len; at++)
        CHECK(((const char *)data)[at] == 3);
    CHECK_OK(pinfold_oncelock_free(oncelock));
    return 0;
}

static int32_t has_its_own(pinfold_call *call, void *user)
{
    pinfold_oncelock *oncelock;
    const void *data;
    size_t len;
    int number = 6;
    (void)user;
    CHECK_OK(pinfold_call_oncelock_new(call, 100, &oncelock));
    CHECK_OK(pinfold_oncelock_get_or_init(oncelock, LONG, fills, &number, &data, &len));
    CHECK(len == 100 && ((const char *)data)[99] == 6);
    CHECK_OK(pinfold_oncelock_free(oncelock));
    return 0;
}

static void made_once(void)
{
    pinfold_submit_settings with;
    pinfold_oncelock *oncelock, *empty;
    pinfold_handle *handles[4], *handle;
    const void *all[1], *data, *same;
    size_t len, at;
    int number = 4;

    CHECK_OK(pinfold_oncelock_new(runtime, 4096, &oncelock));
    CHECK_STATUS(pinfold_oncelock_get(oncelock, &data, &len), PINFOLD_STATUS_NOTHING_YET);
    CHECK_STATUS(pinfold_oncelock_get_or_init(oncelock, LONG, NULL, NULL, &data, &len), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_oncelock_get_or_init(oncelock, LONG, begins_and_fails, NULL, &data, &len),
                 PINFOLD_STATUS_TASK_FAILED);
    CHECK_SAID("9");
    CHECK_STATUS(pinfold_oncelock_get_or_init(oncelock, LONG, asks_itself, oncelock, &data, &len),
                 PINFOLD_STATUS_TASK_FAILED);
    CHECK_SAID("8");
    all[0] = oncelock;
    with = objects(all, 1);
    handle = submit("dies_in_the_middle", &with);
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_WORKER_DIED);
    for (at = 0; at < 4; at++)
        handles[at] = submit("makes", &with);
    for (at = 0; at < 4; at++)
        join(handles[at]);
    CHECK_OK(pinfold_oncelock_get(oncelock, &data, &len));
    CHECK(len == 4096 && ((const char *)data)[4095] == 3);
    CHECK_OK(pinfold_oncelock_get_or_init(oncelock, 0, fills, &number, &same, &len));
    CHECK(same == data);
    join(submit("has_its_own", NULL));

    CHECK_OK(pinfold_oncelock_new(runtime, 0, &empty));
    CHECK_OK(pinfold_oncelock_get_or_init(empty, 0, fills, &number, &data, &len));
    CHECK(len == 0);
    CHECK_STATUS(pinfold_oncelock_new(runtime, SIZE_MAX, &empty), PINFOLD_STATUS_TOO_LARGE);
    CHECK_OK(pinfold_oncelock_free(empty));
    CHECK_OK(pinfold_oncelock_free(oncelock));
    CHECK_STATUS(pinfold_oncelock_get(oncelock, &data, &len), PINFOLD_STATUS_BAD_HANDLE);
}

/* ---- a router that a task makes ---- */

static int32_t routes(pinfold_call *call, void *user)
{
    pinfold_router *router;
    pinfold_receiver *receivers[2];
    pinfold_message *message;
    size_t number;

    (void)user;
    CHECK_STATUS(pinfold_call_router_new(call, 0, 1, &router, receivers), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_call_router_new(call, 2, 1, &router, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_call_router_new(call, 2, 1, &router, receivers));
    CHECK_OK(pinfold_router_send_by_key(router, "a", 1, "x", 1, NULL, LONG));
    CHECK_OK(pinfold_router_receiver_of(router, "a", 1, &number));
    CHECK_OK(pinfold_receiver_recv(receivers[number], 0, &message));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_receiver_free(receivers[0]));
    CHECK_OK(pinfold_receiver_free(receivers[1]));
    CHECK_STATUS(pinfold_router_balance(router, "", 0, NULL, 0), PINFOLD_STATUS_DISCONNECTED);
    CHECK_OK(pinfold_router_free(router));
    return 0;
}

/* ---- select ---- */

static int32_t nothing(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    return 0;
}

/* Ends when it is told. */
static int32_t waits(pinfold_call *call, void *user)
{
    pinfold_receiver *from;
    pinfold_message *message;
    (void)user;
    CHECK_OK(pinfold_call_receiver(call, 0, &from));
    CHECK_OK(pinfold_receiver_recv(from, LONG, &message));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_receiver_free(from));
    return 0;
}

/* Waits for the ends of its children. */
static int32_t has_children(pinfold_call *call, void *user)
{
    pinfold_submit_settings with = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_child *quick, *told;
    pinfold_sender *go;
    pinfold_receiver *of_child, *never;
    pinfold_case cases[3];
    size_t index;

    (void)user;
    memset(cases, 0, sizeof cases);
    CHECK_OK(pinfold_call_channel_new(call, 1, NULL, &go, &of_child));
    CHECK_OK(pinfold_call_receiver(call, 0, &never));
    with.receivers = &of_child;
    with.receiver_count = 1;
    CHECK_OK(pinfold_call_submit(call, "nothing", NULL, 0, NULL, &quick));
    CHECK_OK(pinfold_call_submit(call, "waits", NULL, 0, &with, &told));
    /* The one that can end does, whoever runs it. */
    cases[0].object = quick;
    cases[1].object = NULL;
    CHECK_OK(pinfold_select(cases, 2, LONG, &index, NULL));
    CHECK(index == 0);
    CHECK_OK(pinfold_child_wait(quick, 0));
    CHECK_OK(pinfold_select(cases, 2, 0, &index, NULL)); /* it stays so */
    CHECK_OK(pinfold_child_free(quick));
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, NULL), PINFOLD_STATUS_BAD_HANDLE);
    cases[0].object = told;
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, NULL), PINFOLD_STATUS_NOTHING_YET);
    CHECK_OK(pinfold_sender_send(go, "", 0, NULL, LONG));
    CHECK_OK(pinfold_select(cases, 2, LONG, &index, NULL));
    CHECK(index == 0);
    CHECK_OK(pinfold_child_join(told, NULL, 0, NULL));
    CHECK_OK(pinfold_sender_free(go));
    CHECK_OK(pinfold_receiver_free(of_child));
    CHECK_OK(pinfold_receiver_free(never));
    return 0;
}

static void *publishes(void *publisher)
{
    CHECK_OK(pinfold_publisher_send(publisher, "x", 1, NULL, LONG));
    return NULL;
}

static void selects(void)
{
    pinfold_submit_settings ends = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_publisher *publisher;
    pinfold_subscriber *subscriber;
    pinfold_ticker *ticker;
    pinfold_sender *to;
    pinfold_receiver *from;
    pinfold_message *message;
    pinfold_mutex *mutex;
    pinfold_case cases[2];
    pthread_t thread;
    uint64_t ticks, all = 0;
    size_t index;

    memset(cases, 0, sizeof cases);
    CHECK_OK(pinfold_broadcast_new(runtime, 4, NULL, &publisher));
    CHECK_OK(pinfold_publisher_subscribe(publisher, &subscriber));
    CHECK_OK(pinfold_channel_new(runtime, 1, NULL, &to, &from));
    cases[0].object = subscriber;
    cases[1].receiver = from;
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_NOTHING_YET);
    CHECK_STATUS(pinfold_select(cases, 2, 1000, &index, &message), PINFOLD_STATUS_TIMED_OUT);
    CHECK(pthread_create(&thread, NULL, publishes, publisher) == 0);
    CHECK_OK(pinfold_select(cases, 2, LONG, &index, &message));
    CHECK(index == 0 && message == NULL);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(pinfold_subscriber_recv(subscriber, 0, &message, NULL));
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_sender_send(to, "", 0, NULL, 0));
    CHECK_OK(pinfold_select(cases, 2, LONG, &index, &message));
    CHECK(index == 1 && message != NULL);
    CHECK_OK(pinfold_message_free(message));
    CHECK_OK(pinfold_publisher_free(publisher));
    CHECK_OK(pinfold_select(cases, 1, LONG, &index, NULL)); /* nobody sends any more */
    CHECK_STATUS(pinfold_subscriber_recv(subscriber, 0, &message, NULL), PINFOLD_STATUS_DISCONNECTED);

    CHECK_OK(pinfold_ticker_new(runtime, 1000000, &ticker));
    cases[0].object = ticker;
    while (all < 3) {
        CHECK_OK(pinfold_select(cases, 2, LONG, &index, &message));
        CHECK(index == 0);
        CHECK_OK(pinfold_ticker_missed(ticker, &ticks));
        all += ticks;
    }

    /* What is wrong. */
    cases[0].receiver = from;
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("more than one");
    cases[0].receiver = NULL;
    CHECK_OK(pinfold_ticker_free(ticker));
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_mutex_new(runtime, NULL, 8, &mutex));
    cases[0].object = mutex;
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_SAID("pinfold_subscriber");
    CHECK_OK(pinfold_mutex_free(mutex));
    cases[0].object = (void *)(uintptr_t)30; /* a child's kind, outside of any task */
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_NOT_IN_TASK);
    cases[0].object = NULL;
    cases[0].reserved = 1;
    CHECK_STATUS(pinfold_select(cases, 2, 0, &index, &message), PINFOLD_STATUS_INVALID_ARGUMENT);

    ends.receivers = &from;
    ends.receiver_count = 1;
    join(submit("has_children", &ends));
    CHECK_OK(pinfold_subscriber_free(subscriber));
    CHECK_OK(pinfold_sender_free(to));
    CHECK_OK(pinfold_receiver_free(from));
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;

    CHECK_OK(pinfold_function_register("uses", uses, NULL));
    CHECK_OK(pinfold_function_register("dies_in_the_middle", dies_in_the_middle, NULL));
    CHECK_OK(pinfold_function_register("makes", makes, NULL));
    CHECK_OK(pinfold_function_register("has_its_own", has_its_own, NULL));
    CHECK_OK(pinfold_function_register("routes", routes, NULL));
    CHECK_OK(pinfold_function_register("nothing", nothing, NULL));
    CHECK_OK(pinfold_function_register("waits", waits, NULL));
    CHECK_OK(pinfold_function_register("has_children", has_children, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 2;
    config.memory_cap = 64 << 20;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    in_messages();
    made_once();
    join(submit("routes", NULL));
    selects();
    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.orphans == 0);
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
