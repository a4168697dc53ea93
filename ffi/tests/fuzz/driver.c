/* Random calls over live and dead handles, by several threads, while workers are killed.
 *
 *     driver [--seconds N] [--seed S] [--threads T] [--no-kills]
 *
 * Each thread draws calls and their arguments; what calls return lies in a pool that all
 * threads draw from, and in which nothing is taken out when it is freed: so handles are used that are
 * freed, that are of another kind or runtime, or that another thread frees just now. Tasks return,
 * fail, crash and sleep; now and then a worker is killed from outside.
 *
 * It holds: no call has a status that means a defect; each value that comes of a task is the right
 * one; at the end everything has ended, nothing is left in shared memory that nobody owns, and no
 * process is left. Memory that is lent is only used by who cannot lose it.
 */
#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { POOL = 192, RUNTIMES = 2, KINDS = 23, MAX_THREADS = 4, MAX_OUT = 3000 };
enum kind {
    TASK, HANDLE, LIMIT, RUNTIME, BUFFER, EVENTS, SENDER, RECEIVER,
    MUTEX, RWLOCK, SEMAPHORE, ONCE, ONCELOCK, LATCH, COUNTDOWN, WAITGROUP, WAITMEMBER, BARRIER, TICKER, PUBLISHER,
    SUBSCRIBER, MEMBER, ROUTER
};

static _Atomic(void *) pool[KINDS][POOL];
static const int pool_size[KINDS] = {
    32, POOL, 8, RUNTIMES, 16, 2, 10, 10, 4, 4, 4, 4, 4, 4, 4, 4, 4, 6, 2, 4, 6, 6, 3
};
static atomic_ulong calls, values, deaths, kills;
static atomic_bool stop;
static int with_kills = 1;

/* xorshift64*: the sequence of a thread is given by its seed; how the threads' calls mix is not. */
struct random { uint64_t state; };

static uint64_t draw(struct random *random)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * 2685821657736338717u;
}

static uint64_t below(struct random *random, uint64_t bound)
{
    return (draw(random) >> 11) % bound;
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- the tasks ---- */

enum what { RETURN, FAIL, SLEEP, CRASH, EXIT, KILL, ABORT };

struct order { uint32_t what, len; uint64_t seed; };

/* What an output consists of; it tells itself whether it is whole. */
static void fill(unsigned char *output, uint32_t len, uint64_t seed)
{
    uint32_t at;
    if (len < sizeof(struct order)) {
        memset(output, 0, len);
        return;
    }
    memcpy(output, &len, sizeof len);
    memcpy(output + 8, &seed, sizeof seed);
    for (at = 16; at < len; at++)
        output[at] = (unsigned char)(seed + at);
}

static int is_whole(const unsigned char *output, size_t len)
{
    uint32_t own;
    uint64_t seed;
    size_t at;
    if (len < sizeof(struct order))
        return 1;
    memcpy(&own, output, sizeof own);
    memcpy(&seed, output + 8, sizeof seed);
    if (own != len)
        return 0;
    for (at = 16; at < len; at++)
        if (output[at] != (unsigned char)(seed + at))
            return 0;
    return 1;
}

static void *volatile nowhere = NULL;

static void free_as_any(void *object);

/* A message, whole or not at all; it is freed. */
static int is_whole_message(pinfold_message *message)
{
    pinfold_buffer *buffer;
    const void *data;
    size_t len, count;
    int is_well;

    if (pinfold_message_data(message, &data, &len) != PINFOLD_STATUS_OK || !is_whole(data, len))
        return 0;
    if (pinfold_message_buffer_count(message, &count) != PINFOLD_STATUS_OK)
        return 0;
    while (count-- > 0) {
        if (pinfold_message_buffer(message, count, &buffer) != PINFOLD_STATUS_OK)
            return 0;
        is_well = pinfold_buffer_const_data(buffer, &data, &len) == PINFOLD_STATUS_OK && is_whole(data, len);
        if (pinfold_buffer_free(buffer) != PINFOLD_STATUS_OK || !is_well)
            return 0;
    }
    if (pinfold_message_object_count(message, &count) != PINFOLD_STATUS_OK)
        return 0;
    while (count-- > 0) {
        void *object;
        /* Some are left in it. */
        if (count % 2 == 0 && pinfold_message_object(message, count, &object) == PINFOLD_STATUS_OK)
            free_as_any(object);
    }
    if (len % 2 == 0 && pinfold_message_ack(message) != PINFOLD_STATUS_OK)
        return 0;
    return pinfold_message_free(message) == PINFOLD_STATUS_OK;
}

/* Each end of a channel is used once. */
static int ends_are_well(pinfold_call *call, const struct order *order)
{
    unsigned char data[200];
    pinfold_sender *sender;
    pinfold_receiver *receiver;
    pinfold_message *message;
    size_t count, at;

    if (pinfold_call_sender_count(call, &count) != PINFOLD_STATUS_OK)
        return 0;
    for (at = 0; at < count; at++) {
        uint32_t len = (uint32_t)(order->seed % sizeof data);
        fill(data, len, order->seed);
        if (pinfold_call_sender(call, at, &sender) != PINFOLD_STATUS_OK)
            return 0;
        pinfold_sender_send(sender, data, len, NULL, order->seed % 1000000);
        pinfold_sender_free(sender);
    }
    if (pinfold_call_receiver_count(call, &count) != PINFOLD_STATUS_OK)
        return 0;
    for (at = 0; at < count; at++) {
        if (pinfold_call_receiver(call, at, &receiver) != PINFOLD_STATUS_OK)
            return 0;
        if (pinfold_receiver_recv(receiver, order->seed % 1000000, &message) == PINFOLD_STATUS_OK
            && !is_whole_message(message))
            return 0;
        pinfold_receiver_free(receiver);
    }
    return 1;
}

static int objects_are_well(pinfold_call *call, uint64_t seed);

static int32_t work(pinfold_call *call, void *user)
{
    const void *argument, *input;
    void *output;
    size_t len, count, at;
    struct order order = {0, 0, 0};

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK)
        return 1001;
    memcpy(&order, argument, len < sizeof order ? len : sizeof order);
    if (pinfold_call_input_count(call, &count) != PINFOLD_STATUS_OK)
        return 1002;
    for (at = 0; at < count; at++)
        if (pinfold_call_input(call, at, &input, &len) != PINFOLD_STATUS_OK || !is_whole(input, len))
            return 1003;
    if (pinfold_call_buffer_count(call, &count) != PINFOLD_STATUS_OK)
        return 1005;
    for (at = 0; at < count; at++)
        if (pinfold_call_buffer(call, at, &input, &len) != PINFOLD_STATUS_OK || !is_whole(input, len))
            return 1006;
    if (pinfold_call_input_count(call, &count) != PINFOLD_STATUS_OK)
        return 1007;
    if (pinfold_call_input(call, count, &input, &len) != PINFOLD_STATUS_INVALID_ARGUMENT)
        return 1004;
    if (!ends_are_well(call, &order))
        return 1008;
    if (!objects_are_well(call, order.seed))
        return 1009;
    switch ((enum what)order.what) {
    case FAIL: pinfold_call_explain(call, "as it was told"); return 7;
    case SLEEP: usleep((useconds_t)(order.seed % 3000)); break;
    case CRASH: *(volatile int *)nowhere = 1; break;
    case EXIT: exit((int)(order.seed % 3));
    case KILL: raise(SIGKILL); break;
    case ABORT: abort();
    default: break;
    }
    if (order.len != 0) {
        if (pinfold_call_output(call, order.len, &output) != PINFOLD_STATUS_OK)
            return 8; /* memory may be short */
        fill(output, order.len, order.seed);
    }
    return 0;
}

static struct order an_order(struct random *random)
{
    struct order order;
    uint64_t kind = below(random, 1000);
    order.what = kind < 900 ? RETURN : kind < 950 ? FAIL : kind < 985 ? SLEEP
                 : (uint32_t)(CRASH + below(random, 4));
    order.len = (uint32_t)(below(random, 4) == 0 ? below(random, MAX_OUT) : below(random, 64));
    order.seed = draw(random);
    return order;
}

/* ---- the calls ---- */

/* Every status that a call may have; a defect ends the process. */
static int32_t seen(int32_t status, const char *call)
{
    atomic_fetch_add(&calls, 1);
    if (status == PINFOLD_STATUS_PANIC || status == PINFOLD_STATUS_SYSTEM
        || strncmp(pinfold_status_message(status), "unknown", 7) == 0) {
        fprintf(stderr, "%s: %d: %s\n", call, (int)status, pinfold_last_message());
        _Exit(1);
    }
    if (status != PINFOLD_STATUS_OK && pinfold_last_message()[0] == 0) {
        fprintf(stderr, "%s: %d, without a message\n", call, (int)status);
        _Exit(1);
    }
    return status;
}
#define SEEN(call) seen((int32_t)(call), #call)

/* Something of this kind, most likely; it may have been freed. */
static void *any(struct random *random, enum kind kind)
{
    uint64_t odd = below(random, 400);
    if (odd == 0)
        return NULL;
    if (odd == 1)
        return (void *)(uintptr_t)draw(random);
    if (odd == 2)
        kind = (enum kind)below(random, KINDS);
    return atomic_load(&pool[kind][below(random, (uint64_t)pool_size[kind])]);
}

static void free_shared(enum kind kind, void *old);

/* To the pool; what was there is freed: there is a bound of what lives. */
static void keep(struct random *random, enum kind kind, void *object)
{
    void *old = atomic_exchange(&pool[kind][below(random, (uint64_t)pool_size[kind])], object);
    switch (kind) {
    case TASK: SEEN(pinfold_task_free(old)); break;
    case HANDLE: SEEN(pinfold_handle_free(old)); break;
    case LIMIT: SEEN(pinfold_limit_free(old)); break;
    case RUNTIME: SEEN(pinfold_runtime_free(old)); break;
    case BUFFER: SEEN(pinfold_buffer_free(old)); break;
    case EVENTS: SEEN(pinfold_events_free(old)); break;
    case SENDER: SEEN(pinfold_sender_free(old)); break;
    case RECEIVER: SEEN(pinfold_receiver_free(old)); break;
    default: free_shared(kind, old); break;
    }
}

#include "shared.h"

static void new_runtime(struct random *random)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    config.workers = 1 + below(random, 2);
    config.threads_per_worker = 1 + below(random, 2);
    config.memory_cap = 64u << 20;
    config.queue_capacity = 16 + below(random, 500);
    config.keepers = (int32_t)below(random, 3);
    config.spares = below(random, 2);
    config.orphans = (int32_t)below(random, 3);
    config.on_free = (int32_t)below(random, 5);
    config.on_free_time = below(random, 100000000);
    config.on_free_grace = below(random, 100000000);
    if (SEEN(pinfold_runtime_new(&config, &runtime)) == PINFOLD_STATUS_OK)
        keep(random, RUNTIME, runtime);
}

static void new_task(struct random *random)
{
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;
    pinfold_tag tag = {"key", "value"};
    pinfold_share share;
    pinfold_task *task;
    share.limit = any(random, LIMIT);
    share.units = below(random, 4);
    if (below(random, 3) == 0) {
        settings.limits = &share;
        settings.limit_count = 1;
    }
    if (below(random, 4) == 0) {
        settings.name = "named";
        settings.tags = &tag;
        settings.tag_count = 1;
    }
    settings.priority = (int32_t)below(random, 6); /* 5 is none */
    settings.attempts = (uint32_t)below(random, 4);
    if (below(random, 4) == 0)
        settings.run_limit = 1000000 + below(random, 20000000);
    if (below(random, 6) == 0)
        settings.hard_deadline = 1000000 + below(random, 50000000);
    if (below(random, 6) == 0)
        settings.start_deadline = 1000000 + below(random, 50000000);
    if (below(random, 4) == 0) {
        settings.retry = (int32_t)below(random, 4);
        settings.retry_attempts = (uint32_t)below(random, 4);
        settings.retry_delay = below(random, 2000000);
        settings.retry_jitter = (int32_t)below(random, 3);
    }
    if (SEEN(pinfold_task_new(any(random, RUNTIME), "work", below(random, 2) ? NULL : &settings, &task))
        == PINFOLD_STATUS_OK)
        keep(random, TASK, task);
}

/* A buffer that is written before others can have it. */
static void new_buffer(struct random *random)
{
    pinfold_buffer *buffer, *same;
    void *data;
    uint32_t len = (uint32_t)below(random, 100000);
    size_t before = below(random, 2) * below(random, 200), behind = before ? below(random, 200) : 0;
    if (SEEN(pinfold_buffer_new(any(random, RUNTIME), before + len + behind, &buffer))
        != PINFOLD_STATUS_OK)
        return;
    CHECK_OK(pinfold_buffer_data(buffer, &data));
    fill((unsigned char *)data + before, len, draw(random));
    if (before > 0) { /* a range of it is what tells whether it is whole */
        CHECK_OK(pinfold_buffer_publish(buffer));
        CHECK_OK(pinfold_buffer_range(buffer, before, len, &same));
        CHECK_OK(pinfold_buffer_free(buffer));
        buffer = same;
    } else if (below(random, 8) != 0) {
        CHECK_OK(pinfold_buffer_publish(buffer));
        CHECK_OK(pinfold_buffer_retain(buffer, &same));
        keep(random, BUFFER, same);
    }
    keep(random, BUFFER, buffer);
    if (SEEN(pinfold_buffer_range(any(random, BUFFER), below(random, 300), below(random, 300), &same))
        == PINFOLD_STATUS_OK)
        CHECK_OK(pinfold_buffer_free(same));
}

static atomic_ulong messages;

/* Channels of any kind, and what goes through them; no ends in messages: two channels that are in messages of
 * each other stay for ever. */
static void channels(struct random *random)
{
    pinfold_channel_settings settings = PINFOLD_CHANNEL_SETTINGS_INIT;
    pinfold_submit_settings with = PINFOLD_SUBMIT_SETTINGS_INIT;
    unsigned char data[MAX_OUT];
    pinfold_sender *sender;
    pinfold_receiver *receiver;
    pinfold_message *message;
    pinfold_buffer *buffers[2];
    const void *objects[2];
    uint64_t number;
    size_t count;
    uint32_t len;

    switch (below(random, 12)) {
    case 0:
        settings.overflow = (int32_t)below(random, 5); /* 4 is none */
        settings.acks = below(random, 3) == 0;
        settings.compress_from = below(random, 3) == 0 ? 100 : 0;
        settings.bytes = below(random, 3) == 0 ? 10000 : 0;
        if (SEEN(pinfold_channel_new(any(random, RUNTIME), below(random, 20), &settings, &sender, &receiver))
            != PINFOLD_STATUS_OK)
            break;
        keep(random, SENDER, sender);
        keep(random, RECEIVER, receiver);
        break;
    case 1:
        if (SEEN(pinfold_sender_clone(any(random, SENDER), &sender)) == PINFOLD_STATUS_OK)
            keep(random, SENDER, sender);
        break;
    case 2:
        if (SEEN(pinfold_receiver_clone(any(random, RECEIVER), &receiver)) == PINFOLD_STATUS_OK)
            keep(random, RECEIVER, receiver);
        break;
    case 3: SEEN(pinfold_sender_len(any(random, SENDER), &count)); break;
    case 4: SEEN(pinfold_receiver_dropped(any(random, RECEIVER), &number)); break;
    case 5: SEEN(below(random, 20) == 0 ? pinfold_sender_close(any(random, SENDER))
                                        : pinfold_sender_capacity(any(random, SENDER), &count)); break;
    case 6: SEEN(pinfold_receiver_lost(any(random, RECEIVER), &number)); break;
    case 7: case 8:
        len = (uint32_t)below(random, below(random, 4) ? 200 : sizeof data);
        fill(data, len, draw(random));
        buffers[0] = any(random, BUFFER);
        buffers[1] = any(random, BUFFER);
        with.buffers = buffers;
        with.buffer_count = below(random, 3);
        /* As little as ends can, those that have messages. */
        for (count = 0; count < 2; count++)
            objects[count] = any(random, (enum kind)(MUTEX + below(random, TICKER - MUTEX + 1)));
        with.objects = objects;
        with.object_count = below(random, 4) ? 0 : below(random, 3);
        SEEN(pinfold_sender_send(any(random, SENDER), data, len, below(random, 2) ? &with : NULL,
                                 below(random, 1000000)));
        break;
    default:
        if (SEEN(pinfold_receiver_recv(any(random, RECEIVER), below(random, 1000000), &message))
            == PINFOLD_STATUS_OK) {
            CHECK(is_whole_message(message));
            atomic_fetch_add(&messages, 1);
        }
        break;
    }
}

static void submit_with(struct random *random)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    struct order order = an_order(random);
    pinfold_buffer *buffers[3];
    pinfold_sender *senders[2];
    pinfold_receiver *receivers[2];
    pinfold_handle *after[3], *handle;
    const void *objects[2];
    size_t at;
    for (at = 0; at < 2; at++)
        objects[at] = any(random, (enum kind)(MUTEX + below(random, ROUTER - MUTEX + 1)));
    settings.objects = objects;
    settings.object_count = below(random, 3);
    senders[0] = any(random, SENDER);
    senders[1] = any(random, SENDER);
    receivers[0] = any(random, RECEIVER);
    receivers[1] = any(random, RECEIVER);
    settings.senders = senders;
    settings.sender_count = below(random, 3);
    settings.receivers = receivers;
    settings.receiver_count = below(random, 3);
    settings.buffers = buffers;
    settings.buffer_count = below(random, 4);
    settings.move_buffers = (int32_t)below(random, 2);
    settings.after = after;
    settings.after_count = below(random, 4);
    for (at = 0; at < 3; at++) {
        buffers[at] = any(random, BUFFER);
        after[at] = any(random, HANDLE);
    }
    if (SEEN(pinfold_task_submit_with(any(random, TASK), &order, sizeof order, &settings, &handle))
        == PINFOLD_STATUS_OK)
        keep(random, HANDLE, handle);
}

static atomic_ulong callbacks;

static void completed(pinfold_status status, const void *data, size_t len, void *user)
{
    CHECK(status != PINFOLD_STATUS_OK || is_whole(data, len));
    atomic_fetch_add((atomic_ulong *)user, 1);
}

/* What asks for handles in other ways, and ends their tasks. */
static void follow(struct random *random)
{
    pinfold_handle *handles[4];
    pinfold_events *events;
    size_t at, index;
    int32_t finished;
    uint64_t token, tokens[4];
    char output[100];
    size_t lens[4];
    int fd;

    for (at = 0; at < 4; at++)
        handles[at] = any(random, HANDLE);
    switch (below(random, 15)) {
    case 0: SEEN(pinfold_handle_wait_all(handles, below(random, 5), below(random, 3000000))); break;
    case 1: SEEN(pinfold_handle_wait_any(handles, below(random, 5), below(random, 3000000), &index)); break;
    case 2: SEEN(pinfold_handle_is_finished(handles[0], &finished)); break;
    case 3: SEEN(pinfold_handle_status(handles[0])); break;
    case 4: SEEN(pinfold_handle_cancel(handles[0])); break;
    case 5: SEEN(pinfold_handle_cancel_within(handles[0], below(random, 5000000))); break;
    case 6: SEEN(pinfold_handle_abort_on_free(handles[0], below(random, 5000000))); break;
    case 7: SEEN(pinfold_handle_on_complete(handles[0], completed, &callbacks)); break;
    case 8: SEEN(pinfold_events_add(any(random, EVENTS), handles[0], draw(random))); break;
    case 9: SEEN(pinfold_events_next(any(random, EVENTS), &token)); break;
    case 10: SEEN(pinfold_events_fd(any(random, EVENTS), &fd)); break;
    case 11: SEEN(pinfold_events_next_many(any(random, EVENTS), tokens, below(random, 5), &index)); break;
    case 12: SEEN(pinfold_handle_free_many(handles, below(random, 5))); break;
    case 13:
        SEEN(pinfold_handle_copy_many(handles, below(random, 5), below(random, 3000000), output,
                                      below(random, sizeof output), lens, &index));
        break;
    default:
        if (below(random, 10) == 0 && SEEN(pinfold_events_new(&events)) == PINFOLD_STATUS_OK)
            keep(random, EVENTS, events);
        break;
    }
}

static void submit(struct random *random)
{
    struct order order = an_order(random);
    pinfold_task *task = any(random, TASK);
    pinfold_handle *handle, *after[4];
    size_t count, at;
    int32_t status;

    switch (below(random, 4)) {
    case 0: status = SEEN(pinfold_task_submit(task, &order, sizeof order, &handle)); break;
    case 1: status = SEEN(pinfold_task_try_submit(task, &order, sizeof order, &handle)); break;
    case 2:
        status = SEEN(pinfold_task_submit_timeout(task, &order, sizeof order,
                                                  below(random, 3000000), &handle));
        break;
    default:
        count = below(random, 5);
        for (at = 0; at < count; at++)
            after[at] = any(random, HANDLE);
        status = SEEN(pinfold_task_submit_after(task, &order, sizeof order, after, count, &handle));
        break;
    }
    if (status == PINFOLD_STATUS_OK)
        keep(random, HANDLE, handle);
}

/* A task of one's own, which no other thread frees: its value is the one that was ordered. */
static void check_value(struct random *random)
{
    unsigned char output[MAX_OUT];
    struct order order = an_order(random);
    pinfold_handle *handle;
    const void *data;
    size_t len = 0;
    int32_t status, code;

    if (SEEN(pinfold_task_submit(any(random, TASK), &order, sizeof order, &handle)) != PINFOLD_STATUS_OK)
        return;
    if (below(random, 2) == 0) {
        status = SEEN(pinfold_handle_result(handle, &data, &len));
        CHECK(status != PINFOLD_STATUS_OK || (len == order.len && is_whole(data, len)));
    }
    SEEN(pinfold_handle_wait(handle, PINFOLD_FOREVER));
    CHECK_OK(pinfold_handle_code(handle, &code));
    CHECK(code == 0 || code == 7 || code == 8);
    status = SEEN(pinfold_handle_join(handle, output, sizeof output, &len));
    if (status == PINFOLD_STATUS_OK) {
        CHECK(len == order.len && is_whole(output, len));
        CHECK(order.what == RETURN || order.what == SLEEP);
        atomic_fetch_add(&values, 1);
    } else if (status == PINFOLD_STATUS_WORKER_DIED || status == PINFOLD_STATUS_POISON) {
        atomic_fetch_add(&deaths, 1);
    }
}

static void many(struct random *random)
{
    enum { COUNT = 8 };
    struct order orders[COUNT];
    pinfold_handle *handles[COUNT];
    size_t lens[COUNT], at;

    for (at = 0; at < COUNT; at++) {
        orders[at] = an_order(random);
        lens[at] = sizeof orders[at];
    }
    if (below(random, 2))
        SEEN(pinfold_task_submit_many(any(random, TASK), orders, sizeof orders, lens, COUNT, handles));
    else
        SEEN(pinfold_task_submit_many_timeout(any(random, TASK), orders, sizeof orders, lens, COUNT,
                                              below(random, 3000000), handles));
    for (at = 0; at < COUNT && handles[at] != NULL; at++)
        keep(random, HANDLE, handles[at]);
}

/* Nothing is nobody's; else what that is is said. Whether there is such a runtime. */
static int check_orphans(pinfold_runtime *runtime)
{
    pinfold_text *text;
    const char *data;
    size_t len;
    if (SEEN(pinfold_runtime_audit_json(runtime, &text)) != PINFOLD_STATUS_OK)
        return 0;
    CHECK_OK(pinfold_text_data(text, &data, &len));
    if (strstr(data, "\"orphans\":[]") == NULL) {
        fprintf(stderr, "%s\n", data);
        CHECK(!"there are orphans");
    }
    CHECK_OK(pinfold_text_free(text));
    return 1;
}

static void look(struct random *random)
{
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    pinfold_stats stats = PINFOLD_STATS_INIT;
    pinfold_text *text;
    char names[64];
    size_t len;
    uint64_t units;
    pinfold_runtime *runtime = any(random, RUNTIME);

    switch (below(random, 6)) {
    case 0: SEEN(pinfold_runtime_audit(runtime, &audit)); break;
    case 5: check_orphans(runtime); break;
    case 1:
        if (SEEN(pinfold_runtime_stats(runtime, &stats)) == PINFOLD_STATUS_OK)
            CHECK(stats.damage == 0);
        break;
    case 2:
        if (SEEN(pinfold_runtime_stats_json(runtime, &text)) == PINFOLD_STATUS_OK)
            CHECK_OK(pinfold_text_free(text));
        break;
    case 3: SEEN(pinfold_runtime_functions(runtime, names, sizeof names, &len)); break;
    default: SEEN(pinfold_limit_available(any(random, LIMIT), &units)); break;
    }
}

static void one_call(struct random *random)
{
    unsigned char output[MAX_OUT];
    pinfold_limit *limit;
    int32_t code;
    size_t len;
    uint64_t which = below(random, 1000);

    if (which < 250)
        submit(random);
    else if (which < 300)
        submit_with(random);
    else if (which < 310)
        new_buffer(random);
    else if (which < 380)
        follow(random);
    else if (which < 500)
        check_value(random);
    else if (which < 550)
        channels(random);
    else if (which < 575)
        shared_objects(random);
    else if (which < 600)
        SEEN(pinfold_handle_wait(any(random, HANDLE), below(random, 2000000)));
    else if (which < 700)
        SEEN(pinfold_handle_free(any(random, HANDLE)));
    else if (which < 800) {
        if (SEEN(pinfold_handle_join(any(random, HANDLE), output, below(random, sizeof output), &len))
            == PINFOLD_STATUS_OK)
            CHECK(is_whole(output, len));
    } else if (which < 850) {
        /* From 1000 on a task says that something is not well. */
        if (SEEN(pinfold_handle_code(any(random, HANDLE), &code)) == PINFOLD_STATUS_OK)
            CHECK(code < 1000);
    } else if (which < 880)
        many(random);
    else if (which < 920)
        look(random);
    else if (which < 960)
        new_task(random);
    else if (which < 970)
        SEEN(pinfold_task_free(any(random, TASK)));
    else if (which < 975) {
        if (SEEN(pinfold_limit_new(below(random, 6), &limit)) == PINFOLD_STATUS_OK)
            keep(random, LIMIT, limit);
    } else if (which < 980)
        SEEN(pinfold_limit_free(any(random, LIMIT)));
    else if (which < 985)
        SEEN(below(random, 2) ? pinfold_sender_free(any(random, SENDER))
                              : pinfold_receiver_free(any(random, RECEIVER)));
    else if (which < 998)
        pinfold_status_message((int32_t)draw(random));
    else if (below(random, 40) == 0)
        new_runtime(random);
}

static void *a_thread(void *seed)
{
    struct random random = {*(uint64_t *)seed};
    while (!atomic_load(&stop))
        one_call(&random);
    return NULL;
}

/* ---- processes ---- */

/* The children of a process, up to `max`. */
static int children(pid_t process, pid_t *found, int max)
{
    char path[64];
    struct dirent *thread;
    DIR *threads;
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    threads = opendir(path);
    while (threads != NULL && (thread = readdir(threads)) != NULL) {
        char file[128];
        FILE *list;
        int child;
        if (thread->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "/proc/%d/task/%.20s/children", (int)process, thread->d_name);
        list = fopen(file, "r");
        while (list != NULL && count < max && fscanf(list, "%d", &child) == 1)
            found[count++] = child;
        if (list != NULL)
            fclose(list);
    }
    if (threads != NULL)
        closedir(threads);
    return count;
}

static int is_child_of(pid_t process, pid_t parent)
{
    pid_t all[128];
    int count = children(parent, all, 128), at;
    for (at = 0; at < count; at++)
        if (all[at] == process)
            return 1;
    return 0;
}

/* kill -9 of a process of ours, one that has no parent but ours. */
static void kill_one(struct random *random)
{
    pid_t zygotes[16], workers[128];
    int count = children(getpid(), zygotes, 16), descriptor;
    pid_t zygote, victim;
    if (count == 0)
        return;
    zygote = zygotes[below(random, (uint64_t)count)];
    count = children(zygote, workers, 128);
    victim = count == 0 || below(random, 20) == 0 ? zygote : workers[below(random, (uint64_t)count)];
    /* Its number may be another process's by now: not so that of what the descriptor is of. */
    descriptor = (int)syscall(SYS_pidfd_open, victim, 0);
    if (descriptor < 0)
        return;
    if (is_child_of(victim, victim == zygote ? getpid() : zygote)
        && syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, NULL, 0) == 0)
        atomic_fetch_add(&kills, 1);
    close(descriptor);
}

/* Everything of the pool's ends; what it tells then. */
static void end_all(void)
{
    int at, kind;
    uint64_t until = now() + 60u * 1000000000u;
    for (at = 0; at < POOL; at++) {
        void *handle = atomic_load(&pool[HANDLE][at]);
        int32_t status = SEEN(pinfold_handle_wait(handle, PINFOLD_FOREVER));
        CHECK(handle == NULL || status == PINFOLD_STATUS_OK || status == PINFOLD_STATUS_BAD_HANDLE);
        SEEN(pinfold_handle_free(handle));
    }
    for (at = 0; at < RUNTIMES; at++) {
        void *runtime = atomic_load(&pool[RUNTIME][at]);
        pinfold_audit audit = PINFOLD_AUDIT_INIT;
        pinfold_stats stats = PINFOLD_STATS_INIT;
        /* What was submitted and whose handles were freed goes on. */
        while (pinfold_runtime_audit(runtime, &audit) == PINFOLD_STATUS_OK
               && audit.slots_queued + audit.slots_running + audit.slots_waiting != 0) {
            CHECK(now() < until);
            usleep(1000);
        }
        if (check_orphans(runtime)) {
            CHECK_OK(pinfold_runtime_stats(runtime, &stats));
            CHECK(stats.damage == 0);
        }
        SEEN(pinfold_runtime_free(runtime));
    }
    for (at = 0; at < POOL; at++) {
        SEEN(pinfold_buffer_free(atomic_load(&pool[BUFFER][at])));
        SEEN(pinfold_events_free(atomic_load(&pool[EVENTS][at])));
        SEEN(pinfold_task_free(atomic_load(&pool[TASK][at])));
        SEEN(pinfold_limit_free(atomic_load(&pool[LIMIT][at])));
        SEEN(pinfold_sender_free(atomic_load(&pool[SENDER][at])));
        SEEN(pinfold_receiver_free(atomic_load(&pool[RECEIVER][at])));
        for (kind = MUTEX; kind <= ROUTER; kind++)
            free_shared((enum kind)kind, atomic_load(&pool[kind][at]));
    }
}

int main(int argc, char **argv)
{
    uint64_t seconds = 10, seed = now(), seeds[MAX_THREADS], until;
    struct random random;
    pthread_t threads[MAX_THREADS];
    int count = 0, at;
    pid_t left[1];

    CHECK_OK(pinfold_function_register("work", work, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    for (at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--no-kills") == 0)
            with_kills = 0;
        else if (at + 1 < argc && strcmp(argv[at], "--seconds") == 0)
            seconds = strtoull(argv[++at], NULL, 10);
        else if (at + 1 < argc && strcmp(argv[at], "--seed") == 0)
            seed = strtoull(argv[++at], NULL, 10);
        else if (at + 1 < argc && strcmp(argv[at], "--threads") == 0)
            count = atoi(argv[++at]);
        else {
            fprintf(stderr, "usage: %s [--seconds N] [--seed S] [--threads T] [--no-kills]\n", argv[0]);
            return 2;
        }
    }
    fprintf(stderr, "seed %llu, %llu s\n", (unsigned long long)seed, (unsigned long long)seconds);
    random.state = seed | 1;
    for (at = 0; at < 8; at++)
        draw(&random);
    if (count < 1 || count > MAX_THREADS)
        count = 1 + (int)below(&random, MAX_THREADS);
    /* A call that hangs. */
    alarm((unsigned)seconds + 120);
    for (at = 0; at < RUNTIMES * 3; at++)
        new_runtime(&random);
    for (at = 0; at < 20; at++)
        new_task(&random);
    for (at = 0; at < count; at++) {
        seeds[at] = draw(&random) | 1;
        CHECK(pthread_create(&threads[at], NULL, a_thread, &seeds[at]) == 0);
    }
    until = now() + seconds * 1000000000u;
    while (now() < until) {
        usleep((useconds_t)below(&random, 20000));
        if (with_kills)
            kill_one(&random);
    }
    atomic_store(&stop, 1);
    for (at = 0; at < count; at++)
        CHECK(pthread_join(threads[at], NULL) == 0);
    end_all();
    /* Those that end just now have a moment to do so. */
    until = now() + 30u * 1000000000u;
    while (children(getpid(), left, 1) != 0) {
        CHECK(now() < until);
        usleep(1000);
    }
    fprintf(stderr, "%d threads, %lu calls, %lu values, %lu messages, %lu tasks lost with their workers, %lu kills\n",
            count, atomic_load(&calls), atomic_load(&values), atomic_load(&messages), atomic_load(&deaths),
            atomic_load(&kills));
    CHECK(atomic_load(&values) > 0);
    return 0;
}
