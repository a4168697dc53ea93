/* Several handles: waiting for all and any, cancelling, progress, callbacks, events. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define LONG (60 * SECOND)

/* Does as its argument says: how long it sleeps, in ms, and what it returns. */
typedef struct { int32_t ms, code; } order;

static int32_t nap(pinfold_call *call, void *user)
{
    const void *argument;
    size_t len;
    order order;
    void *out;

    (void)user;
    CHECK_OK(pinfold_call_argument(call, &argument, &len));
    memcpy(&order, argument, sizeof order);
    usleep((useconds_t)order.ms * 1000);
    if (order.code == 99)
        kill(getpid(), SIGKILL);
    CHECK_OK(pinfold_call_output(call, sizeof order, &out));
    memcpy(out, &order, sizeof order);
    return order.code;
}

/* Says how far it is until it is told to end. */
static int32_t listens(pinfold_call *call, void *user)
{
    int32_t cancelled = 0;
    uint64_t left = 0;

    (void)user;
    CHECK_OK(pinfold_call_time_left(call, &left));
    CHECK(left == PINFOLD_FOREVER);
    CHECK_STATUS(pinfold_call_report_progress(call, 0.0 / (double)cancelled, "x"),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_OK(pinfold_call_report_progress(call, 0.5, "half of it"));
    while (!cancelled) {
        usleep(1000);
        CHECK_OK(pinfold_call_is_cancelled(call, &cancelled));
    }
    return 1;
}

static int32_t deaf(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    for (;;)
        pause();
    return 0;
}

static pinfold_task *naps;

static pinfold_handle *submit(pinfold_task *task, int32_t ms, int32_t code)
{
    order order;
    pinfold_handle *handle;

    order.ms = ms;
    order.code = code;
    CHECK_OK(pinfold_task_submit(task, &order, sizeof order, &handle));
    return handle;
}

static void waits(pinfold_task *listen)
{
    pinfold_handle *handles[64], *never = submit(listen, 0, 0), *two[3];
    size_t i, index = 77;
    int32_t finished = 7;

    CHECK_OK(pinfold_handle_wait_all(NULL, 0, 0));
    for (i = 0; i < 64; i++)
        handles[i] = submit(naps, 0, i % 8 == 0);
    CHECK_OK(pinfold_handle_wait_all(handles, 64, LONG));
    for (i = 0; i < 64; i++) {
        CHECK_OK(pinfold_handle_is_finished(handles[i], &finished));
        CHECK(finished == 1);
        CHECK_STATUS(pinfold_handle_status(handles[i]),
                     i % 8 == 0 ? PINFOLD_STATUS_TASK_FAILED : PINFOLD_STATUS_OK);
    }
    CHECK_OK(pinfold_handle_wait_all(handles, 64, 0));
    CHECK_OK(pinfold_handle_wait_any(handles, 64, 0, &index));
    CHECK(index == 0);

    two[0] = never;
    two[1] = handles[0];
    two[2] = never;
    CHECK_STATUS(pinfold_handle_wait_all(two, 2, 1), PINFOLD_STATUS_TIMED_OUT);
    CHECK_STATUS(pinfold_handle_wait_any(&never, 1, 1, &index), PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_handle_wait_any(two, 2, 0, &index));
    CHECK(index == 1);
    two[1] = never; /* the same several times */
    CHECK_STATUS(pinfold_handle_wait_any(two, 3, SECOND / 100, &index), PINFOLD_STATUS_TIMED_OUT);
    two[1] = submit(naps, 20, 0);
    CHECK_OK(pinfold_handle_wait_any(two, 3, LONG, &index));
    CHECK(index == 1);
    CHECK_OK(pinfold_handle_free(two[1]));
    two[1] = submit(naps, 0, 99); /* its worker dies */
    CHECK_OK(pinfold_handle_wait_any(two, 3, LONG, &index));
    CHECK(index == 1);
    CHECK_STATUS(pinfold_handle_status(two[1]), PINFOLD_STATUS_WORKER_DIED);
    CHECK_OK(pinfold_handle_free(two[1]));

    CHECK_STATUS(pinfold_handle_wait_any(two, 0, 0, &index), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_handle_wait_any(two, 3, 0, &index), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_handle_wait_all(two, 3, 0), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_handle_wait_all(NULL, 3, 0), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_handle_wait_any(two, 1, 0, NULL), PINFOLD_STATUS_NULL_ARGUMENT);

    CHECK_STATUS(pinfold_handle_status(never), PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_handle_cancel(never));
    CHECK_STATUS(pinfold_handle_join(never, NULL, 0, NULL), PINFOLD_STATUS_CANCELLED);
    for (i = 0; i < 64; i++)
        CHECK_OK(pinfold_handle_free(handles[i]));
}

static pinfold_handle *shared[2];

static void *waits_too(void *data)
{
    size_t index;

    CHECK_OK(pinfold_handle_wait_any(shared, 2, LONG, &index));
    CHECK_OK(pinfold_handle_wait_all(shared, 2, LONG));
    return data;
}

/* Any number of threads wait for the same. */
static void many_wait(pinfold_task *listen)
{
    pthread_t threads[8];
    size_t i;

    shared[0] = submit(listen, 0, 0);
    shared[1] = submit(listen, 0, 0);
    for (i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, waits_too, NULL) == 0);
    usleep(10000);
    CHECK_OK(pinfold_handle_cancel(shared[1]));
    CHECK_OK(pinfold_handle_cancel(shared[0]));
    for (i = 0; i < 8; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_OK(pinfold_handle_free(shared[0]));
    CHECK_OK(pinfold_handle_free(shared[1]));
}

static void cancels(pinfold_task *listen, pinfold_task *deafs)
{
    pinfold_handle *handle = submit(listen, 0, 0);
    char text[128] = "untouched";
    double fraction = 0;
    uint64_t id = 0;

    while (pinfold_handle_progress(handle, text, sizeof text, &fraction)
           == PINFOLD_STATUS_NOTHING_YET)
        usleep(1000);
    CHECK(fraction == 0.5 && strcmp(text, "half of it") == 0);
    CHECK_OK(pinfold_handle_progress(handle, text, 5, NULL));
    CHECK(strcmp(text, "half") == 0);
    CHECK_OK(pinfold_handle_progress(handle, NULL, 0, NULL));
    CHECK_STATUS(pinfold_handle_progress(handle, NULL, 1, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_handle_id(handle, &id));
    CHECK(id != 0);
    CHECK_OK(pinfold_handle_cancel_within(handle, PINFOLD_FOREVER));
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_CANCELLED);

    handle = submit(deafs, 0, 0);
    CHECK_OK(pinfold_handle_cancel_within(handle, SECOND / 50));
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_CANCELLED);

    /* Both workers would be held for ever. */
    handle = submit(deafs, 0, 0);
    CHECK_OK(pinfold_handle_abort_on_free(handle, SECOND / 50));
    CHECK_OK(pinfold_handle_free(handle));
    handle = submit(listen, 0, 0);
    CHECK_OK(pinfold_handle_abort_on_free(handle, PINFOLD_FOREVER));
    CHECK_OK(pinfold_handle_free(handle));
    CHECK_OK(pinfold_handle_join(submit(naps, 0, 0), text, sizeof text, NULL));
    CHECK_STATUS(pinfold_handle_cancel(handle), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_handle_cancel(NULL), PINFOLD_STATUS_NULL_ARGUMENT);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int calls, good, failed, progressed;

static void completed(pinfold_status status, const void *data, size_t len, void *user)
{
    order order;

    CHECK(user == &calls);
    pthread_mutex_lock(&lock);
    calls++;
    if (status == PINFOLD_STATUS_OK) {
        CHECK(len == sizeof order && (uintptr_t)data % 64 == 0);
        memcpy(&order, data, sizeof order);
        CHECK(order.code == 0);
        good++;
    } else {
        CHECK(len == 0 && data == NULL);
        CHECK_STATUS(status, PINFOLD_STATUS_TASK_FAILED);
        CHECK_SAID("returned 5");
        failed++;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void has_progressed(double fraction, const char *message, void *user)
{
    CHECK(fraction == 0.5 && strcmp(message, "half of it") == 0 && user == &progressed);
    pthread_mutex_lock(&lock);
    progressed++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void callbacks(pinfold_task *listen)
{
    pinfold_handle *fine = submit(naps, 5, 0), *bad = submit(naps, 5, 5), *told;

    CHECK_OK(pinfold_handle_on_complete(fine, completed, &calls));
    CHECK_OK(pinfold_handle_on_complete(fine, completed, &calls));
    CHECK_OK(pinfold_handle_on_complete(bad, completed, &calls));
    CHECK_OK(pinfold_handle_free(bad)); /* it is called all the same */
    CHECK_OK(pinfold_handle_wait(fine, PINFOLD_FOREVER));
    CHECK_OK(pinfold_handle_on_complete(fine, completed, &calls)); /* its outcome was seen */
    CHECK_STATUS(pinfold_handle_on_complete(fine, NULL, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_handle_on_progress(fine, has_progressed, NULL)); /* it has ended: no call */
    CHECK_OK(pinfold_handle_free(fine));

    told = submit(listen, 0, 0);
    CHECK_OK(pinfold_handle_on_progress(told, has_progressed, &progressed));
    pthread_mutex_lock(&lock);
    while (calls < 4 || progressed < 1)
        pthread_cond_wait(&changed, &lock);
    CHECK(good == 3 && failed == 1);
    pthread_mutex_unlock(&lock);
    CHECK_OK(pinfold_handle_cancel(told));
    CHECK_STATUS(pinfold_handle_join(told, NULL, 0, NULL), PINFOLD_STATUS_CANCELLED);
}

static int is_readable(int fd, int timeout)
{
    struct pollfd poll_it = {fd, POLLIN, 0};

    return poll(&poll_it, 1, timeout) == 1;
}

static void events(pinfold_task *listen, pinfold_runtime *runtime)
{
    pinfold_handle *handles[40], *other;
    pinfold_events *events;
    uint64_t token, seen = 0;
    struct stat what;
    int fd = -1, other_end = -1, was_open[256], pipes[2], i, status;
    pid_t child;
    char byte;

    for (i = 0; i < 256; i++)
        was_open[i] = fcntl(i, F_GETFD) >= 0;
    CHECK_OK(pinfold_events_new(&events));
    CHECK_OK(pinfold_events_fd(events, &fd));
    for (i = 0; i < 256; i++)
        if (!was_open[i] && i != fd && fstat(i, &what) == 0 && S_ISSOCK(what.st_mode))
            other_end = i;
    CHECK(other_end >= 0);
    CHECK(!is_readable(fd, 0));
    CHECK_STATUS(pinfold_events_next(events, &token), PINFOLD_STATUS_NOTHING_YET);
    for (i = 0; i < 40; i++) {
        handles[i] = submit(naps, i % 3, i == 7 ? 99 : i % 2);
        CHECK_OK(pinfold_events_add(events, handles[i], (uint64_t)i));
    }
    while (seen != (UINT64_C(1) << 40) - 1) {
        CHECK(is_readable(fd, 60000));
        CHECK_OK(pinfold_events_next(events, &token));
        CHECK(token < 40 && (seen & UINT64_C(1) << token) == 0);
        CHECK(pinfold_handle_status(handles[token]) != PINFOLD_STATUS_TIMED_OUT);
        seen |= UINT64_C(1) << token;
    }
    CHECK(!is_readable(fd, 0));
    CHECK_STATUS(pinfold_events_next(events, &token), PINFOLD_STATUS_NOTHING_YET);

    /* One that has ended, twice; and one whose handle is freed. */
    CHECK_OK(pinfold_events_add(events, handles[0], 1));
    CHECK_OK(pinfold_events_add(events, handles[0], 2));
    CHECK(is_readable(fd, 0));
    CHECK_OK(pinfold_events_next(events, &token));
    CHECK(token == 1 && is_readable(fd, 0));
    CHECK_OK(pinfold_events_next(events, &token));
    CHECK(token == 2 && !is_readable(fd, 0));
    other = submit(naps, 10, 0);
    CHECK_OK(pinfold_events_add(events, other, UINT64_MAX));
    CHECK_OK(pinfold_handle_free(other));
    CHECK(is_readable(fd, 60000));
    CHECK_OK(pinfold_events_next(events, &token));
    CHECK(token == UINT64_MAX);

    /* In a process that was forked off. */
    child = fork();
    if (child == 0) {
        if (pinfold_events_add(events, handles[0], 3) != PINFOLD_STATUS_FORKED
            || pinfold_events_next(events, &token) != PINFOLD_STATUS_FORKED
            || pinfold_events_free(events) != PINFOLD_STATUS_OK)
            _exit(1);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(!is_readable(fd, 0));
    CHECK_OK(pinfold_events_add(events, handles[0], 4));
    CHECK(is_readable(fd, 0));
    CHECK_OK(pinfold_events_next(events, &token));

    /* The program closes it, and has something else by its number: nothing is written there. */
    CHECK(pipe2(pipes, O_NONBLOCK) == 0);
    CHECK(dup2(pipes[1], fd) == fd);
    CHECK(dup2(pipes[1], other_end) == other_end);
    CHECK_OK(pinfold_events_add(events, handles[0], 5));
    other = submit(naps, 1, 0);
    CHECK_OK(pinfold_events_add(events, other, 6));
    CHECK_OK(pinfold_handle_wait(other, PINFOLD_FOREVER));
    CHECK_OK(pinfold_events_next(events, &token));
    CHECK(token == 5);
    CHECK_OK(pinfold_events_free(events));
    CHECK(fcntl(fd, F_GETFD) >= 0); /* the program's */
    CHECK(read(pipes[0], &byte, 1) == -1 && errno == EAGAIN);
    CHECK_OK(pinfold_handle_free(other));

    /* Freed while tasks are under way; and the runtime ends before the task does. */
    CHECK_OK(pinfold_events_new(&events));
    other = submit(naps, 20, 0);
    CHECK_OK(pinfold_events_add(events, other, 1));
    CHECK_OK(pinfold_events_free(events));
    CHECK_STATUS(pinfold_events_add(events, other, 1), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_events_free(events), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_events_free(NULL));
    CHECK_OK(pinfold_handle_free(other));
    CHECK_STATUS(pinfold_events_new(NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_events_next((pinfold_events *)runtime, &token),
                 PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_events_new(&events));
    CHECK_STATUS(pinfold_events_add(events, NULL, 1), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_events_fd(events, &fd));
    other = submit(listen, 0, 0);
    CHECK_OK(pinfold_events_add(events, other, 9));
    CHECK_OK(pinfold_handle_cancel(other));
    CHECK_OK(pinfold_runtime_free(runtime));
    CHECK(is_readable(fd, 60000));
    CHECK_OK(pinfold_events_next(events, &token));
    CHECK(token == 9);
    CHECK_OK(pinfold_events_free(events));
    CHECK_OK(pinfold_handle_free(other));
    for (i = 0; i < 40; i++)
        CHECK_OK(pinfold_handle_free(handles[i]));
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_task *listen, *deafs;
    pinfold_runtime *runtime;

    CHECK_OK(pinfold_function_register("nap", nap, NULL));
    CHECK_OK(pinfold_function_register("listens", listens, NULL));
    CHECK_OK(pinfold_function_register("deaf", deaf, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "nap", NULL, &naps));
    CHECK_OK(pinfold_task_new(runtime, "listens", NULL, &listen));
    CHECK_OK(pinfold_task_new(runtime, "deaf", NULL, &deafs));
    waits(listen);
    many_wait(listen);
    cancels(listen, deafs);
    callbacks(listen);
    events(listen, runtime);
    CHECK_OK(pinfold_task_free(naps));
    CHECK_OK(pinfold_task_free(listen));
    CHECK_OK(pinfold_task_free(deafs));
    return 0;
}
