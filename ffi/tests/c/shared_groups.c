/* Groups: what members do together, in the host and in tasks; a death names the dead. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND 1000000000u
#define LONG (60ull * SECOND)

enum { MEMBERS = 3, MANY = 20000 };

static pinfold_runtime *runtime;

/* The larger of two pairs' firsts, with its second. */
struct pair { double value; uint64_t where; };

static void larger(void *into, const void *from, size_t count, void *user)
{
    struct pair *ours = into;
    const struct pair *theirs = from;
    size_t at;
    for (at = 0; at < count; at++)
        if (theirs[at].value > ours[at].value)
            ours[at] = theirs[at];
    ++*(int *)user;
}

#define MUST(condition) do { if (!(condition)) return __LINE__; } while (0)
#define MUST_OK(call) MUST((call) == PINFOLD_STATUS_OK)

/* All that a member does, the same in each. */
static int works(pinfold_member *member, pinfold_buffer *array)
{
    static double many[MANY];
    pinfold_message *messages[MEMBERS], *message;
    pinfold_buffer *part;
    struct pair pairs[2];
    const void *data;
    uint64_t numbers[2];
    int64_t whole;
    size_t rank, size, len, at;
    char text[32];
    int calls = 0;

    MUST_OK(pinfold_member_rank(member, &rank, &size));
    MUST(size == MEMBERS && rank < size);
    MUST_OK(pinfold_member_barrier(member, LONG, NULL));

    MUST_OK(pinfold_member_broadcast(member, 1, rank == 1 ? "from 1" : NULL, rank == 1 ? 6 : 0, NULL, LONG,
                                     &message, NULL));
    MUST_OK(pinfold_message_data(message, &data, &len));
    MUST(len == 6 && memcmp(data, "from 1", 6) == 0);
    MUST_OK(pinfold_message_free(message));

    /* 10 elements of 8 bytes for 3, and 4 bytes that are left over. */
    MUST_OK(pinfold_member_scatter(member, 0, rank == 0 ? array : NULL, 8, LONG, &part, NULL));
    MUST_OK(pinfold_buffer_const_data(part, &data, &len));
    MUST(len == (rank == 2 ? 28u : rank == 0 ? 24u : 32u) || len % 8 == 0);
    numbers[0] = ((const uint64_t *)data)[0];
    numbers[1] = len;
    MUST_OK(pinfold_buffer_free(part));
    MUST_OK(pinfold_member_all_reduce(member, &numbers[1], 1, PINFOLD_NUMBER_U64, PINFOLD_OPERATION_SUM, LONG, NULL));
    MUST(numbers[1] == 84);

    len = (size_t)snprintf(text, sizeof text, "%d", (int)rank);
    MUST_OK(pinfold_member_gather(member, 2, text, len, NULL, LONG, rank == 2 ? messages : NULL, NULL));
    for (at = 0; rank == 2 && at < MEMBERS; at++) {
        MUST_OK(pinfold_message_data(messages[at], &data, &len));
        MUST(len == 1 && *(const char *)data == '0' + (int)at);
        MUST_OK(pinfold_message_free(messages[at]));
    }
    MUST_OK(pinfold_member_all_gather(member, text, 1, NULL, LONG, messages, NULL));
    for (at = 0; at < MEMBERS; at++) {
        MUST_OK(pinfold_message_data(messages[at], &data, &len));
        MUST(len == 1 && *(const char *)data == '0' + (int)at);
        MUST_OK(pinfold_message_free(messages[at]));
    }

    whole = 1 << rank;
    MUST_OK(pinfold_member_reduce(member, 0, &whole, 1, PINFOLD_NUMBER_I64, PINFOLD_OPERATION_OR, LONG, NULL));
    MUST(whole == (rank == 0 ? 7 : 1 << rank));
    for (at = 0; at < MANY; at++)
        many[at] = (double)(at * (rank + 1));
    MUST_OK(pinfold_member_all_reduce(member, many, MANY, PINFOLD_NUMBER_F64, PINFOLD_OPERATION_MAX, LONG, NULL));
    for (at = 0; at < MANY; at++)
        MUST(many[at] == (double)(at * MEMBERS));

    for (at = 0; at < 2; at++) {
        pairs[at].value = at == 0 ? (double)rank : -(double)rank;
        pairs[at].where = rank;
    }
    MUST_OK(pinfold_member_all_reduce_with(member, pairs, 2, sizeof *pairs, larger, &calls, LONG, NULL));
    MUST(pairs[0].where == 2 && pairs[1].where == 0 && calls == MEMBERS - 1);
    pairs[0].where = rank;
    MUST_OK(pinfold_member_reduce_with(member, 1, pairs, 1, sizeof *pairs, larger, &calls, LONG, NULL));

    /* Not the same: all are told, and go on. */
    at = MEMBERS;
    if (rank == 1)
        MUST(pinfold_member_barrier(member, LONG, &at) == PINFOLD_STATUS_MISMATCH && at == 0);
    else
        MUST(pinfold_member_all_gather(member, "", 0, NULL, LONG, messages, &at) == PINFOLD_STATUS_MISMATCH && at == 1);
    MUST((int)pinfold_member_scatter(member, 0, NULL, 8, LONG, &part, &at)
         == (rank == 0 ? PINFOLD_STATUS_NULL_ARGUMENT : PINFOLD_STATUS_MISMATCH));
    MUST(at == 0);
    whole = 0;
    MUST(pinfold_member_all_reduce(member, rank == 1 ? (void *)numbers : (void *)&whole, rank == 1 ? 2 : 1,
                                   PINFOLD_NUMBER_U64, PINFOLD_OPERATION_SUM, LONG, &at)
         == PINFOLD_STATUS_MISMATCH);
    MUST(pinfold_member_all_reduce_with(member, pairs, rank == 2 ? 2 : 1, sizeof *pairs, larger, &calls, LONG, &at)
         == PINFOLD_STATUS_MISMATCH);
    /* Known to be wrong here: nobody else hears of it. */
    MUST(pinfold_member_broadcast(member, MEMBERS, NULL, 0, NULL, LONG, &message, NULL)
         == PINFOLD_STATUS_INVALID_ARGUMENT);
    MUST(pinfold_member_all_reduce(member, &whole, 1, 11, PINFOLD_OPERATION_SUM, LONG, NULL)
         == PINFOLD_STATUS_INVALID_ARGUMENT);
    MUST(pinfold_member_all_reduce(member, many, 1, PINFOLD_NUMBER_F32, PINFOLD_OPERATION_XOR, LONG, NULL)
         == PINFOLD_STATUS_INVALID_ARGUMENT);
    MUST(pinfold_member_all_reduce(member, (char *)many + 1, 1, PINFOLD_NUMBER_F64, PINFOLD_OPERATION_SUM, LONG, NULL)
         == PINFOLD_STATUS_INVALID_ARGUMENT);
    MUST(pinfold_member_all_reduce_with(member, pairs, 1, 0, larger, &calls, LONG, NULL)
         == PINFOLD_STATUS_INVALID_ARGUMENT);
    MUST(pinfold_member_all_reduce_with(member, pairs, SIZE_MAX, 16, larger, &calls, LONG, NULL)
         == PINFOLD_STATUS_INVALID_ARGUMENT);
    MUST(pinfold_member_all_reduce_with(member, pairs, 1, 16, NULL, NULL, LONG, NULL) == PINFOLD_STATUS_NULL_ARGUMENT);
    MUST_OK(pinfold_member_barrier(member, LONG, NULL));
    return 0;
}

static int32_t member(pinfold_call *call, void *user)
{
    pinfold_buffer *array = NULL;
    void *object;
    int line;

    (void)user;
    if (pinfold_call_object(call, 0, &object) != PINFOLD_STATUS_OK)
        return 1;
    pinfold_call_buffer_take(call, 0, &array);
    line = works(object, array);
    if (line != 0)
        pinfold_call_explain(call, pinfold_last_message());
    pinfold_member_free(object);
    pinfold_buffer_free(array);
    return line;
}

/* The one in the middle dies; the others are told who it was, and go on without it. */
static int survives(pinfold_member *member)
{
    size_t rank, size, dead = MEMBERS;
    uint64_t one = 1;
    int status;

    MUST_OK(pinfold_member_rank(member, &rank, &size));
    MUST_OK(pinfold_member_barrier(member, LONG, NULL));
    if (rank == 1)
        raise(SIGKILL);
    while ((status = pinfold_member_all_reduce(member, &one, 1, PINFOLD_NUMBER_U64, PINFOLD_OPERATION_SUM, LONG, &dead))
           != PINFOLD_STATUS_OK) {
        if (status == PINFOLD_STATUS_MEMBER_GONE)
            MUST(dead == 1 && strstr(pinfold_last_message(), "member 1 died") != NULL);
        else
            MUST(status == PINFOLD_STATUS_SHRINKING);
        MUST_OK(pinfold_member_shrink(member, LONG, NULL));
    }
    MUST(one == 2);
    MUST_OK(pinfold_member_rank(member, &rank, &size));
    MUST(size == 2 && rank < 2);
    return 0;
}

static int32_t survivor(pinfold_call *call, void *user)
{
    void *object;
    int line;

    (void)user;
    if (pinfold_call_object(call, 0, &object) != PINFOLD_STATUS_OK)
        return 1;
    line = survives(object);
    pinfold_member_free(object);
    return line;
}

/* A group of a task's own. */
static int32_t alone(pinfold_call *call, void *user)
{
    pinfold_member *member;
    size_t rank, size;

    (void)user;
    if (pinfold_call_collective_new(call, 1, &member) != PINFOLD_STATUS_OK
        || pinfold_member_barrier(member, LONG, NULL) != PINFOLD_STATUS_OK
        || pinfold_member_rank(member, &rank, &size) != PINFOLD_STATUS_OK || rank != 0 || size != 1)
        return 1;
    return pinfold_member_free(member) == PINFOLD_STATUS_OK ? 0 : 2;
}

/* ---- the host ---- */

static pinfold_handle *submit(const char *name, const void *object, pinfold_buffer *buffer)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_task *task;
    pinfold_handle *handle;

    CHECK_OK(pinfold_task_new(runtime, name, NULL, &task));
    settings.objects = &object;
    settings.object_count = object != NULL;
    settings.buffers = &buffer;
    settings.buffer_count = buffer != NULL;
    CHECK_OK(pinfold_task_submit_with(task, NULL, 0, &settings, &handle));
    CHECK_OK(pinfold_task_free(task));
    return handle;
}

static void join(pinfold_handle *handle)
{
    int32_t code;
    CHECK_OK(pinfold_handle_wait(handle, LONG));
    CHECK_OK(pinfold_handle_code(handle, &code));
    if (code != 0)
        fprintf(stderr, "a task: line %d\n", (int)code);
    CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
}

static pinfold_buffer *an_array(void)
{
    pinfold_buffer *buffer;
    void *data;
    size_t at;

    CHECK_OK(pinfold_buffer_new(runtime, 84, &buffer));
    CHECK_OK(pinfold_buffer_data(buffer, &data));
    memset(data, 0, 84);
    for (at = 0; at < 10; at++)
        ((uint64_t *)data)[at] = at;
    CHECK_OK(pinfold_buffer_publish(buffer));
    return buffer;
}

static void *barrier_of(void *member)
{
    CHECK_OK(pinfold_member_barrier(member, LONG, NULL));
    return NULL;
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    pinfold_member *members[MEMBERS];
    pinfold_handle *handles[MEMBERS];
    pinfold_buffer *array;
    pthread_t thread;
    size_t at, rank, size;
    int line, status;
    pid_t child;

    CHECK_OK(pinfold_function_register("member", member, NULL));
    CHECK_OK(pinfold_function_register("survivor", survivor, NULL));
    CHECK_OK(pinfold_function_register("alone", alone, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 3;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_STATUS(pinfold_collective_new(runtime, 0, members), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_collective_new(runtime, SIZE_MAX, members), PINFOLD_STATUS_INVALID_ARGUMENT);
    join(submit("alone", NULL, NULL));

    /* In tasks; and with the host as one of them. */
    array = an_array();
    CHECK_OK(pinfold_collective_new(runtime, MEMBERS, members));
    for (at = 0; at < MEMBERS; at++) {
        handles[at] = submit("member", members[at], at == 0 ? array : NULL);
        CHECK_STATUS(pinfold_member_barrier(members[at], 0, NULL), PINFOLD_STATUS_MOVED);
        CHECK_OK(pinfold_member_free(members[at]));
    }
    for (at = 0; at < MEMBERS; at++)
        join(handles[at]);
    CHECK_OK(pinfold_collective_new(runtime, MEMBERS, members));
    for (at = 1; at < MEMBERS; at++)
        handles[at] = submit("member", members[at], NULL);
    line = works(members[0], array);
    if (line != 0)
        fprintf(stderr, "line %d: %s\n", line, pinfold_last_message());
    CHECK(line == 0);
    for (at = 0; at < MEMBERS; at++) {
        if (at > 0)
            join(handles[at]);
        CHECK_OK(pinfold_member_free(members[at]));
    }
    CHECK_OK(pinfold_buffer_free(array));

    /* Deaths. */
    CHECK_OK(pinfold_collective_new(runtime, MEMBERS, members));
    for (at = 0; at < MEMBERS; at++) {
        handles[at] = submit("survivor", members[at], NULL);
        CHECK_OK(pinfold_member_free(members[at]));
    }
    join(handles[0]);
    join(handles[2]);
    CHECK_STATUS(pinfold_handle_join(handles[1], NULL, 0, NULL), PINFOLD_STATUS_WORKER_DIED);

    /* Time-outs: it goes on where it was; who leaves is named. */
    CHECK_OK(pinfold_collective_new(runtime, 2, members));
    CHECK_STATUS(pinfold_member_barrier(members[0], 1000000, &rank), PINFOLD_STATUS_TIMED_OUT);
    CHECK(rank == 1);
    CHECK_STATUS(pinfold_member_all_gather(members[0], "", 0, NULL, 0, (pinfold_message **)(void *)handles, NULL),
                 PINFOLD_STATUS_UNFINISHED);
    CHECK(pthread_create(&thread, NULL, barrier_of, members[1]) == 0);
    CHECK_OK(pinfold_member_barrier(members[0], LONG, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(pinfold_member_free(members[1]));
    CHECK_STATUS(pinfold_member_barrier(members[0], LONG, &rank), PINFOLD_STATUS_MEMBER_GONE);
    CHECK(rank == 1);
    CHECK_SAID("member 1 has left");
    CHECK_OK(pinfold_member_shrink(members[0], LONG, NULL));
    CHECK_OK(pinfold_member_rank(members[0], &rank, &size));
    CHECK(rank == 0 && size == 1);
    child = fork();
    if (child == 0) {
        CHECK_STATUS(pinfold_member_barrier(members[0], LONG, NULL), PINFOLD_STATUS_FORKED);
        CHECK_OK(pinfold_member_free(members[0]));
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK_OK(pinfold_member_barrier(members[0], LONG, NULL));
    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.orphans == 0);
    CHECK_OK(pinfold_runtime_free(runtime));
    CHECK_STATUS(pinfold_member_barrier(members[0], LONG, NULL), PINFOLD_STATUS_SHUTDOWN);
    CHECK_OK(pinfold_member_free(members[0]));
    return 0;
}
