/* Locks and their like between the host and tasks: also when who has them dies. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND 1000000000u
#define LONG (60ull * SECOND)

static pinfold_runtime *runtime;

/* Object `index` of a call; the test of types is the use. */
static void *object(pinfold_call *call, size_t index)
{
    void *object = NULL;
    return pinfold_call_object(call, index, &object) == PINFOLD_STATUS_OK ? object : NULL;
}

/* ---- tasks ---- */

/* Adds 1 to a number in a mutex, 1000 times. */
static int32_t adds(pinfold_call *call, void *user)
{
    pinfold_mutex *mutex = object(call, 0);
    void *data;
    size_t len;
    int32_t half;
    int at;

    (void)user;
    for (at = 0; at < 1000; at++) {
        if (pinfold_mutex_lock(mutex, PINFOLD_FOREVER, &data, &len, &half) != PINFOLD_STATUS_OK || len != 64
            || (uintptr_t)data % 64 != 0 || half)
            return 1;
        ++*(uint64_t *)data;
        if (pinfold_mutex_unlock(mutex) != PINFOLD_STATUS_OK)
            return 2;
    }
    return pinfold_mutex_free(mutex) == PINFOLD_STATUS_OK ? 0 : 3;
}

/* Changes the first of two numbers, and dies. */
static int32_t dies(pinfold_call *call, void *user)
{
    pinfold_mutex *mutex = object(call, 0);
    void *data;
    size_t len;
    int32_t half;

    (void)user;
    if (pinfold_mutex_lock(mutex, PINFOLD_FOREVER, &data, &len, &half) != PINFOLD_STATUS_OK)
        return 1;
    ++*(uint64_t *)data;
    raise(SIGKILL);
    return 2;
}

/* Takes all that it has, says so, and keeps it until it is told. */
static int32_t holds(pinfold_call *call, void *user)
{
    pinfold_mutex *mutex = object(call, 0);
    pinfold_rwlock *lock = object(call, 1);
    pinfold_semaphore *semaphore = object(call, 2);
    pinfold_sender *ready;
    pinfold_receiver *go;
    pinfold_message *message;
    void *data;
    const void *to_read;
    size_t len;
    int32_t half;

    (void)user;
    if (pinfold_mutex_lock(mutex, LONG, &data, &len, &half) != PINFOLD_STATUS_OK
        || pinfold_rwlock_read(lock, LONG, &to_read, &len, &half) != PINFOLD_STATUS_OK
        || pinfold_semaphore_acquire(semaphore, LONG) != PINFOLD_STATUS_OK
        || pinfold_call_sender(call, 0, &ready) != PINFOLD_STATUS_OK
        || pinfold_call_receiver(call, 0, &go) != PINFOLD_STATUS_OK
        || pinfold_sender_send(ready, "", 0, NULL, LONG) != PINFOLD_STATUS_OK
        || pinfold_receiver_recv(go, LONG, &message) != PINFOLD_STATUS_OK)
        return 1;
    pinfold_message_free(message);
    if (pinfold_mutex_unlock(mutex) != PINFOLD_STATUS_OK || pinfold_rwlock_unlock(lock) != PINFOLD_STATUS_OK
        || pinfold_semaphore_release(semaphore) != PINFOLD_STATUS_OK)
        return 2;
    pinfold_mutex_free(mutex);
    pinfold_rwlock_free(lock);
    pinfold_semaphore_free(semaphore);
    pinfold_sender_free(ready);
    pinfold_receiver_free(go);
    return 0;
}

static int32_t writes_7(int32_t was_begun, void *user)
{
    *(uint64_t *)user = was_begun ? 70 : 7;
    return 0;
}

static int32_t is_killed(int32_t was_begun, void *user)
{
    (void)was_begun;
    (void)user;
    raise(SIGKILL);
    return 0;
}

static int32_t fails(int32_t was_begun, void *user)
{
    (void)was_begun;
    (void)user;
    return 9;
}

static int32_t begins_once(pinfold_call *call, void *user)
{
    int32_t called;
    (void)user;
    pinfold_once_call(object(call, 0), LONG, is_killed, NULL, &called);
    return 1;
}

/* Counts, and comes to the barrier; its member of the group is done with it. */
static int32_t counts(pinfold_call *call, void *user)
{
    pinfold_countdown *countdown = object(call, 0);
    pinfold_barrier *member = object(call, 1);
    void *again;
    size_t number, count;
    int32_t counted;

    (void)user;
    if (pinfold_call_object_count(call, &count) != PINFOLD_STATUS_OK || count != 3)
        return 1;
    if (pinfold_call_object(call, 1, &again) != PINFOLD_STATUS_MOVED
        || pinfold_call_object(call, 3, &again) != PINFOLD_STATUS_INVALID_ARGUMENT)
        return 2;
    if (pinfold_countdown_count(countdown, &counted) != PINFOLD_STATUS_OK || !counted)
        return 3;
    pinfold_countdown_free(countdown);
    if (pinfold_barrier_number(member, &number, &count) != PINFOLD_STATUS_OK || count != 3)
        return 4;
    if (pinfold_barrier_wait(member, PINFOLD_FOREVER, NULL) != PINFOLD_STATUS_OK)
        return 5;
    pinfold_barrier_free(member);
    return 0;
}

/* Dies with whatever it has got. */
static int32_t just_dies(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    raise(SIGKILL);
    return 0;
}

/* Makes one of each in the worker, and uses it. */
static int32_t makes(pinfold_call *call, void *user)
{
    pinfold_mutex *mutex;
    pinfold_rwlock *lock;
    pinfold_semaphore *semaphore;
    pinfold_once *once;
    pinfold_latch *latch;
    pinfold_countdown *countdown;
    pinfold_waitgroup *group;
    pinfold_waitgroup_member *member;
    pinfold_barrier *barrier;
    pinfold_ticker *ticker;
    void *data;
    size_t len;
    uint64_t ticks, seven = 0;
    int32_t half, done;

    (void)user;
    if (pinfold_call_mutex_new(call, "abc", 3, &mutex) != PINFOLD_STATUS_OK
        || pinfold_mutex_lock(mutex, 0, &data, &len, &half) != PINFOLD_STATUS_OK || memcmp(data, "abc", 3) != 0
        || pinfold_mutex_free(mutex) != PINFOLD_STATUS_OK)
        return 1;
    if (pinfold_call_rwlock_new(call, NULL, 8, &lock) != PINFOLD_STATUS_OK
        || pinfold_rwlock_write(lock, 0, &data, &len, &half) != PINFOLD_STATUS_OK || *(uint64_t *)data != 0
        || pinfold_rwlock_free(lock) != PINFOLD_STATUS_OK)
        return 2;
    if (pinfold_call_semaphore_new(call, 1, &semaphore) != PINFOLD_STATUS_OK
        || pinfold_semaphore_acquire(semaphore, 0) != PINFOLD_STATUS_OK
        || pinfold_semaphore_acquire(semaphore, 0) != PINFOLD_STATUS_BUSY
        || pinfold_semaphore_free(semaphore) != PINFOLD_STATUS_OK)
        return 3;
    if (pinfold_call_once_new(call, &once) != PINFOLD_STATUS_OK
        || pinfold_once_call(once, 0, writes_7, &seven, &done) != PINFOLD_STATUS_OK || seven != 7
        || pinfold_once_free(once) != PINFOLD_STATUS_OK)
        return 4;
    if (pinfold_call_latch_new(call, 1, &latch, &countdown) != PINFOLD_STATUS_OK
        || pinfold_countdown_free(countdown) != PINFOLD_STATUS_OK
        || pinfold_latch_wait(latch, LONG) != PINFOLD_STATUS_MEMBER_GONE
        || pinfold_latch_free(latch) != PINFOLD_STATUS_OK)
        return 5;
    if (pinfold_call_waitgroup_new(call, &group, &member) != PINFOLD_STATUS_OK
        || pinfold_waitgroup_wait(group, 0) != PINFOLD_STATUS_TIMED_OUT
        || pinfold_waitgroup_member_free(member) != PINFOLD_STATUS_OK
        || pinfold_waitgroup_wait(group, LONG) != PINFOLD_STATUS_OK
        || pinfold_waitgroup_free(group) != PINFOLD_STATUS_OK)
        return 6;
    if (pinfold_call_barrier_new(call, 1, &barrier) != PINFOLD_STATUS_OK
        || pinfold_barrier_wait(barrier, LONG, NULL) != PINFOLD_STATUS_OK
        || pinfold_barrier_free(barrier) != PINFOLD_STATUS_OK)
        return 7;
    if (pinfold_call_ticker_new(call, 1000000, &ticker) != PINFOLD_STATUS_OK
        || pinfold_ticker_wait(ticker, &ticks) != PINFOLD_STATUS_OK || ticks == 0
        || pinfold_ticker_free(ticker) != PINFOLD_STATUS_OK)
        return 8;
    return 0;
}

/* Has a child of its own do something with what it has made, and with what it has got. */
static int32_t has_a_child(pinfold_call *call, void *user)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    const void *objects[1];
    pinfold_mutex *mutexes[2];
    pinfold_child *child;
    void *data;
    size_t len, at;
    int32_t half;

    (void)user;
    mutexes[0] = object(call, 0);
    if (pinfold_call_mutex_new(call, NULL, 64, &mutexes[1]) != PINFOLD_STATUS_OK)
        return 1;
    settings.objects = objects;
    settings.object_count = 1;
    for (at = 0; at < 2; at++) {
        objects[0] = mutexes[at];
        if (pinfold_call_submit(call, "adds", NULL, 0, &settings, &child) != PINFOLD_STATUS_OK
            || pinfold_child_join(child, NULL, 0, NULL) != PINFOLD_STATUS_OK)
            return 2;
        if (pinfold_mutex_lock(mutexes[at], LONG, &data, &len, &half) != PINFOLD_STATUS_OK
            || *(uint64_t *)data != 1000 || pinfold_mutex_free(mutexes[at]) != PINFOLD_STATUS_OK)
            return 3;
    }
    return 0;
}

/* ---- the host ---- */

static pinfold_handle *submit(const char *name, const void *const *objects, size_t count,
                              pinfold_sender **sender, pinfold_receiver **receiver)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_task *task;
    pinfold_handle *handle;

    CHECK_OK(pinfold_task_new(runtime, name, NULL, &task));
    settings.objects = objects;
    settings.object_count = count;
    settings.senders = sender;
    settings.sender_count = sender != NULL;
    settings.receivers = receiver;
    settings.receiver_count = receiver != NULL;
    CHECK_OK(pinfold_task_submit_with(task, NULL, 0, &settings, &handle));
    CHECK_OK(pinfold_task_free(task));
    return handle;
}

static void mutexes(void)
{
    const void *objects[1];
    pinfold_mutex *mutex;
    pinfold_handle *handles[3];
    uint64_t *numbers;
    void *data;
    size_t len, at;
    int32_t half;

    CHECK_OK(pinfold_mutex_new(runtime, NULL, 64, &mutex));
    objects[0] = mutex;
    CHECK_OK(pinfold_handle_join(submit("has_a_child", objects, 1, NULL, NULL), NULL, 0, NULL));
    CHECK_OK(pinfold_mutex_free(mutex));
    CHECK_OK(pinfold_mutex_new(runtime, NULL, 64, &mutex));
    objects[0] = mutex;
    for (at = 0; at < 3; at++)
        handles[at] = submit("adds", objects, 1, NULL, NULL);
    for (at = 0; at < 3; at++)
        CHECK_OK(pinfold_handle_join(handles[at], NULL, 0, NULL));
    CHECK_OK(pinfold_mutex_lock(mutex, PINFOLD_FOREVER, &data, &len, &half));
    numbers = data;
    CHECK(numbers[0] == 3000 && len == 64 && !half);
    CHECK_STATUS(pinfold_mutex_lock(mutex, LONG, &data, &len, &half), PINFOLD_STATUS_DEADLOCK);
    CHECK_OK(pinfold_mutex_unlock(mutex));
    CHECK_STATUS(pinfold_mutex_unlock(mutex), PINFOLD_STATUS_NOT_HELD);
    CHECK_STATUS(pinfold_mutex_mend(mutex), PINFOLD_STATUS_NOT_HELD);
    CHECK_STATUS(pinfold_mutex_abandon(mutex), PINFOLD_STATUS_NOT_HELD);

    /* Whoever comes after the dead is told, until it is mended. */
    CHECK_STATUS(pinfold_handle_join(submit("dies", objects, 1, NULL, NULL), NULL, 0, NULL),
                 PINFOLD_STATUS_WORKER_DIED);
    for (at = 0; at < 2; at++) {
        CHECK_OK(pinfold_mutex_lock(mutex, LONG, &data, &len, &half));
        CHECK(half == 1 && numbers[0] == 3001 && numbers[1] == 0);
        if (at == 1) {
            numbers[1] = numbers[0];
            CHECK_OK(pinfold_mutex_mend(mutex));
        }
        CHECK_OK(pinfold_mutex_unlock(mutex));
    }
    CHECK_OK(pinfold_mutex_lock(mutex, 0, &data, &len, &half));
    CHECK(half == 0 && numbers[1] == 3001);
    CHECK_OK(pinfold_mutex_abandon(mutex));
    CHECK_OK(pinfold_mutex_lock(mutex, 0, &data, &len, &half));
    CHECK(half == 1);
    /* Freed with the lock: it is given back. */
    handles[0] = submit("dies", objects, 1, NULL, NULL);
    CHECK_OK(pinfold_mutex_free(mutex));
    CHECK_STATUS(pinfold_handle_join(handles[0], NULL, 0, NULL), PINFOLD_STATUS_WORKER_DIED);
    CHECK_STATUS(pinfold_mutex_lock(mutex, 0, &data, &len, &half), PINFOLD_STATUS_BAD_HANDLE);

    CHECK_STATUS(pinfold_mutex_new(runtime, NULL, (size_t)1 << 60, &mutex), PINFOLD_STATUS_TOO_LARGE);
    CHECK_OK(pinfold_mutex_new(runtime, NULL, 0, &mutex));
    CHECK_OK(pinfold_mutex_lock(mutex, 0, &data, &len, &half));
    CHECK(len == 0);
    CHECK_OK(pinfold_mutex_free(mutex));
}

static void *reads(void *lock)
{
    const void *data;
    size_t len;
    int32_t half;
    CHECK_OK(pinfold_rwlock_read(lock, LONG, &data, &len, &half));
    CHECK_OK(pinfold_rwlock_unlock(lock));
    return NULL;
}

static void *unlocks(void *mutex)
{
    CHECK_STATUS(pinfold_mutex_unlock(mutex), PINFOLD_STATUS_NOT_HELD);
    return NULL;
}

/* What a task holds: who has it is said. */
static void held(void)
{
    const void *objects[3];
    pinfold_mutex *mutex;
    pinfold_rwlock *lock;
    pinfold_semaphore *semaphore;
    pinfold_sender *ready, *go;
    pinfold_receiver *is_ready, *told;
    pinfold_message *message;
    pinfold_handle *handle;
    pthread_t thread;
    void *data;
    const void *to_read;
    size_t len;
    int32_t half;

    CHECK_OK(pinfold_mutex_new(runtime, "12345678", 8, &mutex));
    CHECK_OK(pinfold_rwlock_new(runtime, "abcd", 4, &lock));
    CHECK_STATUS(pinfold_semaphore_new(runtime, 0, &semaphore), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_semaphore_new(runtime, 70000, &semaphore), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("70000");
    CHECK_OK(pinfold_semaphore_new(runtime, 1, &semaphore));
    CHECK_OK(pinfold_channel_new(runtime, 1, NULL, &ready, &is_ready));
    CHECK_OK(pinfold_channel_new(runtime, 1, NULL, &go, &told));
    objects[0] = mutex;
    objects[1] = lock;
    objects[2] = semaphore;
    handle = submit("holds", objects, 3, &ready, &told);
    CHECK_OK(pinfold_receiver_recv(is_ready, LONG, &message));
    CHECK_OK(pinfold_message_free(message));

    CHECK_STATUS(pinfold_mutex_lock(mutex, 0, &data, &len, &half), PINFOLD_STATUS_BUSY);
    CHECK_SAID("worker 0, thread");
    CHECK_STATUS(pinfold_mutex_lock(mutex, SECOND / 100, &data, &len, &half), PINFOLD_STATUS_TIMED_OUT);
    CHECK_SAID("worker 0, thread");
    CHECK_SAID("task");
    CHECK_STATUS(pinfold_rwlock_write(lock, SECOND / 100, &data, &len, &half), PINFOLD_STATUS_TIMED_OUT);
    CHECK_SAID("worker 0");
    CHECK_OK(pinfold_rwlock_read(lock, 0, &to_read, &len, &half));
    CHECK(len == 4 && memcmp(to_read, "abcd", 4) == 0 && !half);
    CHECK_STATUS(pinfold_rwlock_mend(lock), PINFOLD_STATUS_NOT_HELD);
    CHECK_STATUS(pinfold_rwlock_abandon(lock), PINFOLD_STATUS_NOT_HELD);
    CHECK_STATUS(pinfold_rwlock_write(lock, LONG, &data, &len, &half), PINFOLD_STATUS_DEADLOCK);
    CHECK_OK(pinfold_rwlock_unlock(lock));
    CHECK_STATUS(pinfold_rwlock_unlock(lock), PINFOLD_STATUS_NOT_HELD);
    CHECK_STATUS(pinfold_semaphore_acquire(semaphore, 0), PINFOLD_STATUS_BUSY);
    CHECK_STATUS(pinfold_semaphore_acquire(semaphore, 1000), PINFOLD_STATUS_TIMED_OUT);
    CHECK_SAID("worker 0");
    CHECK_STATUS(pinfold_semaphore_release(semaphore), PINFOLD_STATUS_NOT_HELD);

    CHECK_OK(pinfold_sender_send(go, "", 0, NULL, LONG));
    CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
    CHECK_OK(pinfold_mutex_lock(mutex, 0, &data, &len, &half));
    CHECK(pthread_create(&thread, NULL, unlocks, mutex) == 0 && pthread_join(thread, NULL) == 0);
    CHECK_OK(pinfold_mutex_unlock(mutex));
    CHECK_OK(pinfold_rwlock_write(lock, 0, &data, &len, &half));
    CHECK(pthread_create(&thread, NULL, reads, lock) == 0);
    memcpy(data, "efgh", 4);
    CHECK_OK(pinfold_rwlock_abandon(lock));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(pinfold_rwlock_write(lock, 0, &data, &len, &half));
    CHECK(half == 1);
    CHECK_OK(pinfold_rwlock_mend(lock));
    CHECK_OK(pinfold_rwlock_unlock(lock));
    CHECK_OK(pinfold_rwlock_read(lock, 0, &to_read, &len, &half));
    CHECK_OK(pinfold_rwlock_read(lock, 0, &to_read, &len, &half));
    CHECK(half == 0 && memcmp(to_read, "efgh", 4) == 0);
    CHECK_OK(pinfold_rwlock_unlock(lock));
    CHECK_OK(pinfold_rwlock_unlock(lock));
    CHECK_OK(pinfold_semaphore_acquire(semaphore, 0));
    CHECK_OK(pinfold_semaphore_available(semaphore, &len));
    CHECK(len == 0);
    CHECK_OK(pinfold_semaphore_release(semaphore));
    CHECK_OK(pinfold_semaphore_available(semaphore, &len));
    CHECK(len == 1);

    CHECK_OK(pinfold_mutex_free(mutex));
    CHECK_OK(pinfold_rwlock_free(lock));
    CHECK_OK(pinfold_semaphore_free(semaphore));
    CHECK_OK(pinfold_sender_free(ready));
    CHECK_OK(pinfold_sender_free(go));
    CHECK_OK(pinfold_receiver_free(is_ready));
    CHECK_OK(pinfold_receiver_free(told));
}

static void onces(void)
{
    const void *objects[1];
    pinfold_once *once;
    uint64_t seven = 0;
    int32_t called, done;

    CHECK_OK(pinfold_once_new(runtime, &once));
    objects[0] = once;
    CHECK_STATUS(pinfold_once_call(once, 0, fails, NULL, &called), PINFOLD_STATUS_TASK_FAILED);
    CHECK_SAID("returned 9");
    CHECK_STATUS(pinfold_handle_join(submit("begins_once", objects, 1, NULL, NULL), NULL, 0, NULL),
                 PINFOLD_STATUS_WORKER_DIED);
    CHECK_OK(pinfold_once_is_done(once, &done));
    CHECK(!done);
    CHECK_OK(pinfold_once_call(once, LONG, writes_7, &seven, &called));
    CHECK(called == 1 && seven == 70);
    CHECK_OK(pinfold_once_call(once, 0, fails, NULL, &called));
    CHECK_OK(pinfold_once_is_done(once, &done));
    CHECK(called == 0 && done == 1);
    CHECK_STATUS(pinfold_once_call(once, 0, NULL, NULL, &called), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_once_free(once));
}

static void counting(void)
{
    const void *objects[3];
    pinfold_latch *latch;
    pinfold_countdown *countdown;
    pinfold_waitgroup *group;
    pinfold_waitgroup_member *member, *clone;
    pinfold_barrier *members[3];
    pinfold_handle *handles[2];
    size_t at, left, number, count;
    int32_t done;

    CHECK_STATUS(pinfold_latch_new(runtime, 0, &latch, &countdown), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_barrier_new(runtime, 0, members), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_barrier_new(runtime, 3, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_latch_new(runtime, 2, &latch, &countdown));
    CHECK_OK(pinfold_waitgroup_new(runtime, &group, &member));
    CHECK_OK(pinfold_waitgroup_member_clone(member, &clone));
    CHECK_OK(pinfold_waitgroup_member_free(clone));
    CHECK_OK(pinfold_barrier_new(runtime, 3, members));
    CHECK_STATUS(pinfold_latch_wait(latch, 0), PINFOLD_STATUS_TIMED_OUT);
    CHECK_SAID("2 were missing");
    for (at = 0; at < 2; at++) {
        objects[0] = countdown;
        objects[1] = members[at];
        objects[2] = member;
        handles[at] = submit("counts", objects, 3, NULL, NULL);
        CHECK_STATUS(pinfold_barrier_wait(members[at], 0, NULL), PINFOLD_STATUS_MOVED);
    }
    CHECK_OK(pinfold_countdown_free(countdown));
    CHECK_OK(pinfold_latch_wait(latch, LONG));
    CHECK_OK(pinfold_latch_left(latch, &left));
    CHECK(left == 0);
    CHECK_OK(pinfold_barrier_number(members[2], &number, &count));
    CHECK(number == 2 && count == 3);
    CHECK_STATUS(pinfold_waitgroup_wait(group, 0), PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_waitgroup_member_free(member));
    CHECK_OK(pinfold_barrier_wait(members[2], LONG, &number));
    CHECK_OK(pinfold_waitgroup_wait(group, LONG));
    CHECK_OK(pinfold_waitgroup_is_done(group, &done));
    CHECK(done == 1);
    for (at = 0; at < 2; at++)
        CHECK_OK(pinfold_handle_join(handles[at], NULL, 0, NULL));
    /* Those that were moved have left with their tasks. */
    CHECK_STATUS(pinfold_barrier_wait(members[2], LONG, &number), PINFOLD_STATUS_MEMBER_GONE);
    CHECK(number < 2);
    for (at = 0; at < 3; at++)
        CHECK_OK(pinfold_barrier_free(members[at]));
    CHECK_OK(pinfold_latch_free(latch));
    CHECK_OK(pinfold_waitgroup_free(group));

    /* A death is told. */
    CHECK_OK(pinfold_barrier_new(runtime, 2, members));
    CHECK_OK(pinfold_waitgroup_new(runtime, &group, &member));
    CHECK_OK(pinfold_latch_new(runtime, 1, &latch, &countdown));
    objects[0] = members[1];
    objects[1] = member;
    objects[2] = countdown;
    handles[0] = submit("just_dies", objects, 3, NULL, NULL);
    CHECK_OK(pinfold_waitgroup_member_free(member));
    CHECK_OK(pinfold_countdown_free(countdown));
    CHECK_STATUS(pinfold_barrier_wait(members[0], LONG, &number), PINFOLD_STATUS_MEMBER_GONE);
    CHECK(number == 1);
    CHECK_STATUS(pinfold_waitgroup_wait(group, LONG), PINFOLD_STATUS_MEMBER_GONE);
    CHECK_STATUS(pinfold_latch_wait(latch, LONG), PINFOLD_STATUS_MEMBER_GONE);
    CHECK_STATUS(pinfold_handle_join(handles[0], NULL, 0, NULL), PINFOLD_STATUS_WORKER_DIED);
    for (at = 0; at < 2; at++)
        CHECK_OK(pinfold_barrier_free(members[at]));
    CHECK_OK(pinfold_latch_free(latch));
    CHECK_OK(pinfold_waitgroup_free(group));
}

static void ticks(void)
{
    pinfold_ticker *ticker;
    uint64_t some, more;

    CHECK_STATUS(pinfold_ticker_new(runtime, 0, &ticker), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_OK(pinfold_ticker_new(runtime, SECOND / 1000, &ticker));
    CHECK_OK(pinfold_ticker_wait(ticker, &some));
    CHECK(some >= 1);
    CHECK_OK(pinfold_ticker_missed(ticker, &more));
    CHECK_OK(pinfold_ticker_free(ticker));
}

/* What cannot be named for a task: nothing is moved then. */
static void bad_objects(void)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    const void *objects[2];
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *other;
    pinfold_mutex *foreign;
    pinfold_barrier *member;
    pinfold_buffer *buffer;
    pinfold_task *task;
    pinfold_handle *handle;

    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &other));
    CHECK_OK(pinfold_mutex_new(other, NULL, 8, &foreign));
    CHECK_OK(pinfold_barrier_new(runtime, 1, &member));
    CHECK_OK(pinfold_task_new(runtime, "just_dies", NULL, &task));
    settings.objects = objects;
    settings.object_count = 2;
    objects[0] = member;
    objects[1] = foreign;
    CHECK_STATUS(pinfold_task_submit_with(task, NULL, 0, &settings, &handle), PINFOLD_STATUS_FOREIGN_HANDLE);
    objects[1] = NULL;
    CHECK_STATUS(pinfold_task_submit_with(task, NULL, 0, &settings, &handle), PINFOLD_STATUS_NULL_ARGUMENT);
    objects[1] = task;
    CHECK_STATUS(pinfold_task_submit_with(task, NULL, 0, &settings, &handle), PINFOLD_STATUS_BAD_HANDLE);
    objects[1] = member;
    CHECK_STATUS(pinfold_task_submit_with(task, NULL, 0, &settings, &handle), PINFOLD_STATUS_MOVED);
    CHECK_OK(pinfold_buffer_new(runtime, 8, &buffer));
    settings.object_count = 1;
    settings.buffers = &buffer;
    settings.buffer_count = 1;
    CHECK_STATUS(pinfold_task_submit_with(task, NULL, 0, &settings, &handle), PINFOLD_STATUS_NOT_PUBLISHED);
    settings.buffer_count = 0;
    settings.objects = NULL;
    CHECK_STATUS(pinfold_task_submit_with(task, NULL, 0, &settings, &handle), PINFOLD_STATUS_NULL_ARGUMENT);
    /* It is as it was. */
    CHECK_OK(pinfold_barrier_wait(member, LONG, NULL));
    CHECK_OK(pinfold_barrier_free(member));
    CHECK_OK(pinfold_buffer_free(buffer));
    CHECK_OK(pinfold_mutex_free(foreign));
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(other));
}

/* In a forked child, and after the end. */
static void elsewhere(void)
{
    pinfold_mutex *mutex;
    pinfold_ticker *ticker;
    void *data;
    size_t len;
    uint64_t ticks;
    int32_t half;
    int status;
    pid_t child;

    CHECK_OK(pinfold_mutex_new(runtime, NULL, 8, &mutex));
    CHECK_OK(pinfold_ticker_new(runtime, LONG, &ticker));
    CHECK_OK(pinfold_mutex_lock(mutex, 0, &data, &len, &half));
    child = fork();
    if (child == 0) {
        CHECK_OK(pinfold_mutex_unlock(mutex)); /* the child's copy of it: nothing is given back */
        CHECK_STATUS(pinfold_mutex_lock(mutex, LONG, &data, &len, &half), PINFOLD_STATUS_FORKED);
        CHECK_STATUS(pinfold_ticker_wait(ticker, &ticks), PINFOLD_STATUS_FORKED);
        CHECK_STATUS(pinfold_mutex_new(runtime, NULL, 8, &mutex), PINFOLD_STATUS_FORKED);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK_STATUS(pinfold_mutex_lock(mutex, LONG, &data, &len, &half), PINFOLD_STATUS_DEADLOCK);
    CHECK_OK(pinfold_mutex_unlock(mutex));
    CHECK_OK(pinfold_runtime_free(runtime));
    CHECK_STATUS(pinfold_mutex_lock(mutex, LONG, &data, &len, &half), PINFOLD_STATUS_SHUTDOWN);
    CHECK_STATUS(pinfold_ticker_wait(ticker, &ticks), PINFOLD_STATUS_SHUTDOWN);
    CHECK_OK(pinfold_mutex_free(mutex));
    CHECK_OK(pinfold_ticker_free(ticker));
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    pinfold_handle *handle;

    CHECK_OK(pinfold_function_register("adds", adds, NULL));
    CHECK_OK(pinfold_function_register("dies", dies, NULL));
    CHECK_OK(pinfold_function_register("holds", holds, NULL));
    CHECK_OK(pinfold_function_register("begins_once", begins_once, NULL));
    CHECK_OK(pinfold_function_register("counts", counts, NULL));
    CHECK_OK(pinfold_function_register("just_dies", just_dies, NULL));
    CHECK_OK(pinfold_function_register("makes", makes, NULL));
    CHECK_OK(pinfold_function_register("has_a_child", has_a_child, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 1;
    config.threads_per_worker = 3;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    handle = submit("makes", NULL, 0, NULL, NULL);
    CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
    held();
    mutexes();
    onces();
    counting();
    ticks();
    bad_objects();
    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.orphans == 0);
    elsewhere();
    return 0;
}
