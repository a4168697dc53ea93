/* What the generated program of calls stands on: who makes live objects, and what each call must
 * come to. See mod.rs. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the calls are made. */
enum where { HOST, IN_TASK, FORKED, ENDED };

static _Thread_local enum where where = HOST;
static _Thread_local char label[256];
static _Thread_local int mistakes, calls;

/* The objects of this thread that are right; those of a kind without a maker are null. */
struct objects {
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;
    pinfold_limit *limit;
    pinfold_buffer *buffer;
    pinfold_events *events;
    pinfold_group *group;
    pinfold_call *call;
    pinfold_handle *freed;
    /* Shared objects, of which no call waits for long: whoever is alone has all that it waits for. */
    pinfold_mutex *mutex;
    pinfold_rwlock *rwlock;
    pinfold_semaphore *semaphore;
    pinfold_once *once;
    pinfold_oncelock *oncelock;
    pinfold_latch *latch;
    pinfold_countdown *countdown;
    pinfold_waitgroup *waitgroup;
    pinfold_waitgroup_member *waitgroup_member;
    pinfold_barrier *barrier;
    pinfold_ticker *ticker;
    pinfold_publisher *publisher;
    pinfold_subscriber *subscriber;
    pinfold_member *member;
    pinfold_router *router;
    /* With one object. */
    pinfold_message *message;
};
static _Thread_local struct objects live;

/* Memory that may be read and written, of any type; longer than anything that is put there. */
static _Thread_local _Alignas(64) unsigned char room[10][1 << 16];
static const char not_utf8[] = "\xff\xfe";

static void make(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    if (where != HOST)
        return;
    config.workers = 1;
    config.memory_cap = 64 << 20;
    CHECK_OK(pinfold_runtime_new(&config, &live.runtime));
}

static pinfold_handle *an_ended_one(void)
{
    pinfold_handle *handle = NULL;
    if (pinfold_task_submit(live.task, "abc", 3, &handle) == PINFOLD_STATUS_OK)
        pinfold_handle_wait(handle, PINFOLD_FOREVER);
    return handle;
}

/* Whether the calls now are of shared objects, which others do without. */
static _Thread_local int is_about_shared;

static void refresh_shared(void)
{
    pinfold_submit_settings with = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_sender *sender;
    pinfold_receiver *receiver;
    const void *object;
    int32_t counted;

    pinfold_mutex_free(live.mutex);
    pinfold_rwlock_free(live.rwlock);
    pinfold_semaphore_free(live.semaphore);
    pinfold_once_free(live.once);
    pinfold_oncelock_free(live.oncelock);
    pinfold_latch_free(live.latch);
    pinfold_countdown_free(live.countdown);
    pinfold_waitgroup_free(live.waitgroup);
    pinfold_waitgroup_member_free(live.waitgroup_member);
    pinfold_barrier_free(live.barrier);
    pinfold_ticker_free(live.ticker);
    pinfold_publisher_free(live.publisher);
    pinfold_subscriber_free(live.subscriber);
    pinfold_member_free(live.member);
    pinfold_router_free(live.router);
    pinfold_message_free(live.message);
    CHECK_OK(pinfold_mutex_new(live.runtime, NULL, 64, &live.mutex));
    CHECK_OK(pinfold_rwlock_new(live.runtime, NULL, 64, &live.rwlock));
    CHECK_OK(pinfold_semaphore_new(live.runtime, 4, &live.semaphore));
    CHECK_OK(pinfold_once_new(live.runtime, &live.once));
    CHECK_OK(pinfold_oncelock_new(live.runtime, 64, &live.oncelock));
    CHECK_OK(pinfold_latch_new(live.runtime, 1, &live.latch, &live.countdown));
    CHECK_OK(pinfold_countdown_count(live.countdown, &counted));
    CHECK_OK(pinfold_waitgroup_new(live.runtime, &live.waitgroup, &live.waitgroup_member));
    CHECK_OK(pinfold_waitgroup_member_free(live.waitgroup_member));
    live.waitgroup_member = NULL;
    CHECK_OK(pinfold_barrier_new(live.runtime, 1, &live.barrier));
    CHECK_OK(pinfold_ticker_new(live.runtime, 1000, &live.ticker));
    CHECK_OK(pinfold_broadcast_new(live.runtime, 4, NULL, &live.publisher));
    CHECK_OK(pinfold_publisher_subscribe(live.publisher, &live.subscriber));
    CHECK_OK(pinfold_publisher_close(live.publisher));
    CHECK_OK(pinfold_collective_new(live.runtime, 1, &live.member));
    CHECK_OK(pinfold_router_new(live.runtime, 1, 4, &live.router, &receiver));
    CHECK_OK(pinfold_receiver_free(receiver));
    CHECK_OK(pinfold_channel_new(live.runtime, 1, NULL, &sender, &receiver));
    object = live.mutex;
    with.objects = &object;
    with.object_count = 1;
    CHECK_OK(pinfold_sender_send(sender, "abc", 3, &with, 0));
    CHECK_OK(pinfold_receiver_recv(receiver, 0, &live.message));
    CHECK_OK(pinfold_sender_free(sender));
    CHECK_OK(pinfold_receiver_free(receiver));
}

/* Fresh objects, as far as the last call may have used them up. */
static void refresh(void)
{
    if (where != HOST)
        return;
    pinfold_handle_free(live.handle);
    pinfold_task_free(live.task);
    pinfold_limit_free(live.limit);
    pinfold_buffer_free(live.buffer);
    pinfold_events_free(live.events);
    pinfold_group_free(live.group);
    if (pinfold_task_new(live.runtime, "nothing", NULL, &live.task) != PINFOLD_STATUS_OK) {
        pinfold_runtime_free(live.runtime);
        make();
        CHECK_OK(pinfold_task_new(live.runtime, "nothing", NULL, &live.task));
    }
    live.handle = an_ended_one();
    if (live.handle == NULL || pinfold_handle_wait(live.handle, 0) != PINFOLD_STATUS_OK) {
        make();
        CHECK_OK(pinfold_task_new(live.runtime, "nothing", NULL, &live.task));
        CHECK((live.handle = an_ended_one()) != NULL);
    }
    CHECK_OK(pinfold_limit_new(5, &live.limit));
    CHECK_OK(pinfold_buffer_new(live.runtime, 100, &live.buffer));
    CHECK_OK(pinfold_events_new(&live.events));
    CHECK_OK(pinfold_group_new(&live.group));
    if (is_about_shared)
        refresh_shared();
    if (live.freed == NULL) {
        live.freed = an_ended_one();
        CHECK_OK(pinfold_handle_free(live.freed));
    }
}

static void wrong(const char *what, int32_t status)
{
    mistakes++;
    fprintf(stderr, "%s (where %d): status %d (%s), %s\n  the last message: %s\n", label, (int)where,
            (int)status, pinfold_status_message(status), what, pinfold_last_message());
}

static int label_file = -1;

static void begin(const char *text)
{
    refresh();
    memset(room, 0, sizeof room);
    snprintf(label, sizeof label, "%s", text);
    if (label_file >= 0) /* the host tells it, should this process die of the call */
        (void)!pwrite(label_file, label, sizeof label, 0);
    alarm(60);
    calls++;
    /* A known last message: one that stays has not been said by this call. */
    pinfold_allowed_cpus(NULL);
}

/* What is known of a call. */
enum expect {
    ANY,       /* whatever comes of it: a status, and a message unless it is OK */
    REFUSED,   /* not OK */
    NO_NULL,   /* a null: refused for being null, or allowed */
    NO_HANDLE, /* a handle that is none: told as such */
    RIGHT      /* nothing is known to be wrong: what comes of it is what else there is to say */
};

/* What the call came to with all that is right. */
static _Thread_local int32_t right;

static void end(int32_t status, enum expect expect)
{
    const char *said = pinfold_last_message();
    if (expect == RIGHT)
        right = status;
    if (strncmp(pinfold_status_message(status), "unknown", 7) == 0)
        wrong("which is none", status);
    if (status == PINFOLD_STATUS_PANIC)
        wrong("a defect", status);
    if (status == PINFOLD_STATUS_OK) {
        if (expect == REFUSED || expect == NO_HANDLE)
            wrong("but it cannot be done", status);
        return;
    }
    if (said[0] == 0)
        wrong("without a message", status);
    if (strcmp(said, "`out_count` is null") == 0 && status != PINFOLD_STATUS_NULL_ARGUMENT)
        wrong("with the message of another failure", status);
    if (status == PINFOLD_STATUS_NULL_ARGUMENT && strstr(said, "null") == NULL)
        wrong("and the message does not say what is null", status);
    if (where != HOST || status == right)
        return;
    if (expect == NO_NULL && status != PINFOLD_STATUS_NULL_ARGUMENT
        && status != PINFOLD_STATUS_NOT_IN_TASK)
        wrong("not that something is null", status);
    if (expect == NO_HANDLE && status != PINFOLD_STATUS_BAD_HANDLE
        && status != PINFOLD_STATUS_NOT_IN_TASK)
        wrong("not that it is no handle", status);
}

/* The same with what the last message must contain. */
static void end_said(int32_t status, enum expect expect, const char *said)
{
    end(status, expect);
    if (where == HOST && strstr(pinfold_last_message(), said) == NULL)
        wrong("and the message does not tell the value", status);
}

static void text_is_there(const char *text)
{
    if (text == NULL)
        wrong("null for a text", 0);
}

static void all(void);

static int32_t nothing(pinfold_call *call, void *user)
{
    void *output;
    (void)user;
    return (int32_t)pinfold_call_output(call, 100, &output);
}

static int32_t inside(pinfold_call *call, void *user)
{
    (void)user;
    where = IN_TASK;
    live.call = call;
    label_file = open("label", O_RDWR | O_CREAT, 0600);
    all();
    return mistakes;
}

/* The outcome of a process that ran all calls. */
static void *in_a_thread(void *result)
{
    make();
    all();
    *(int *)result = mistakes;
    fprintf(stderr, "%d calls\n", calls);
    return NULL;
}

static void on_signal(int number)
{
    /* Of a thread that may be another one than the signal's: it is a hint. */
    static const char text[] = "a signal at: ";
    static char digits[] = "00 ";
    digits[0] = (char)('0' + number / 10);
    digits[1] = (char)('0' + number % 10);
    (void)!write(2, digits, sizeof digits - 1);
    (void)!write(2, text, sizeof text - 1);
    (void)!write(2, label, strlen(label));
    (void)!write(2, "\n", 1);
    signal(number, SIG_DFL);
    raise(number);
}

int main(int argc, char **argv)
{
    pthread_t one, two;
    int in_one = -1, in_two = -1, status;
    pinfold_task *task;
    pinfold_handle *handle;
    pid_t child;

    CHECK_OK(pinfold_function_register("nothing", nothing, NULL));
    CHECK_OK(pinfold_function_register("inside", inside, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    signal(SIGALRM, on_signal);
    signal(SIGSEGV, on_signal);
    signal(SIGABRT, on_signal);

    /* Two threads at once, each with its own objects. */
    CHECK(pthread_create(&one, NULL, in_a_thread, &in_one) == 0);
    CHECK(pthread_create(&two, NULL, in_a_thread, &in_two) == 0);
    CHECK(pthread_join(one, NULL) == 0 && pthread_join(two, NULL) == 0);
    CHECK(in_one == 0 && in_two == 0);

    /* In a task. */
    make();
    refresh();
    CHECK_OK(pinfold_task_new(live.runtime, "inside", NULL, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    alarm(60);
    status = pinfold_handle_join(handle, room, sizeof room, NULL);
    if (status != PINFOLD_STATUS_OK) {
        char at[sizeof label] = "?";
        label_file = open("label", O_RDONLY);
        (void)!pread(label_file, at, sizeof at, 0);
        fprintf(stderr, "in a task, last call: %s\n", at);
    }
    CHECK_OK(status);
    CHECK_OK(pinfold_task_free(task));

    /* In a process that was forked off. */
    refresh();
    child = fork();
    if (child == 0) {
        where = FORKED;
        mistakes = calls = 0;
        all();
        _exit(mistakes ? 1 : 0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    /* After the runtime's end. */
    refresh();
    CHECK_OK(pinfold_runtime_free(live.runtime));
    where = ENDED;
    all();
    CHECK(mistakes == 0);
    return 0;
}
