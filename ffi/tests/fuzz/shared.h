/* Part of driver.c: calls of shared objects (locks, broadcast channels, groups, routers) and of select. It is
 * included where the kinds and `seen` are declared. */

static void free_shared(enum kind kind, void *old)
{
    switch (kind) {
    case MUTEX: SEEN(pinfold_mutex_free(old)); break;
    case RWLOCK: SEEN(pinfold_rwlock_free(old)); break;
    case SEMAPHORE: SEEN(pinfold_semaphore_free(old)); break;
    case ONCE: SEEN(pinfold_once_free(old)); break;
    case ONCELOCK: SEEN(pinfold_oncelock_free(old)); break;
    case LATCH: SEEN(pinfold_latch_free(old)); break;
    case COUNTDOWN: SEEN(pinfold_countdown_free(old)); break;
    case WAITGROUP: SEEN(pinfold_waitgroup_free(old)); break;
    case WAITMEMBER: SEEN(pinfold_waitgroup_member_free(old)); break;
    case BARRIER: SEEN(pinfold_barrier_free(old)); break;
    case TICKER: SEEN(pinfold_ticker_free(old)); break;
    case PUBLISHER: SEEN(pinfold_publisher_free(old)); break;
    case SUBSCRIBER: SEEN(pinfold_subscriber_free(old)); break;
    case MEMBER: SEEN(pinfold_member_free(old)); break;
    case ROUTER: SEEN(pinfold_router_free(old)); break;
    default: break;
    }
}

/* It is of one kind: of others it is no handle. */
static void free_as_any(void *object)
{
    pinfold_mutex_free(object);
    pinfold_rwlock_free(object);
    pinfold_semaphore_free(object);
    pinfold_once_free(object);
    pinfold_oncelock_free(object);
    pinfold_latch_free(object);
    pinfold_countdown_free(object);
    pinfold_waitgroup_free(object);
    pinfold_waitgroup_member_free(object);
    pinfold_barrier_free(object);
    pinfold_ticker_free(object);
    pinfold_publisher_free(object);
    pinfold_subscriber_free(object);
    pinfold_member_free(object);
    pinfold_router_free(object);
}

/* All bytes are of one number. */
static int32_t fills(void *data, size_t len, void *user)
{
    memset(data, 1 + (int)(uintptr_t)user, len);
    if ((uintptr_t)user == 3)
        raise(SIGKILL);
    return (int32_t)(uintptr_t)user % 2;
}

/* Each object of a task is tried as each kind, and freed. What is in a lock tells whether it is whole: two equal
 * numbers, unless whoever had it has died. */
static int objects_are_well(pinfold_call *call, uint64_t seed)
{
    uint64_t time = seed % 1000000, number = 1;
    void *object, *data;
    const void *to_read;
    size_t count, at, len;
    int32_t half;

    if (pinfold_call_object_count(call, &count) != PINFOLD_STATUS_OK)
        return 0;
    for (at = 0; at < count; at++) {
        pinfold_message *message;
        if (pinfold_call_object(call, at, &object) != PINFOLD_STATUS_OK)
            continue; /* it was named twice, and has one owner; or memory is short */
        if (pinfold_mutex_lock(object, time, &data, &len, &half) == PINFOLD_STATUS_OK) {
            uint64_t *pair = data;
            if (len != 16 || (!half && pair[0] != pair[1]))
                return 0;
            pair[0] = seed;
            if (seed % 64 == 0)
                raise(SIGKILL);
            pair[1] = seed;
            if ((half && pinfold_mutex_mend(object) != PINFOLD_STATUS_OK)
                || pinfold_mutex_unlock(object) != PINFOLD_STATUS_OK)
                return 0;
        }
        if (pinfold_rwlock_read(object, time, &to_read, &len, &half) == PINFOLD_STATUS_OK) {
            const uint64_t *pair = to_read;
            if (len != 16 || (!half && pair[0] != pair[1]) || pinfold_rwlock_unlock(object) != PINFOLD_STATUS_OK)
                return 0;
        }
        if (pinfold_rwlock_write(object, time, &data, &len, &half) == PINFOLD_STATUS_OK) {
            uint64_t *pair = data;
            pair[0] = seed;
            if (seed % 64 == 1)
                raise(SIGKILL);
            pair[1] = seed;
            if (pinfold_rwlock_mend(object) != PINFOLD_STATUS_OK || pinfold_rwlock_unlock(object) != PINFOLD_STATUS_OK)
                return 0;
        }
        if (pinfold_semaphore_acquire(object, time) == PINFOLD_STATUS_OK && seed % 2)
            pinfold_semaphore_release(object);
        if (pinfold_oncelock_get_or_init(object, time, fills, (void *)(uintptr_t)(seed % 4), &to_read, &len)
            == PINFOLD_STATUS_OK) {
            const unsigned char *bytes = to_read;
            if (len != 99 || bytes[0] == 0 || bytes[0] != bytes[98])
                return 0;
        }
        pinfold_countdown_count(object, &half);
        pinfold_barrier_wait(object, time, NULL);
        if (pinfold_subscriber_recv(object, time, &message, NULL) == PINFOLD_STATUS_OK && !is_whole_message(message))
            return 0;
        pinfold_publisher_send(object, NULL, 0, NULL, time);
        pinfold_member_all_reduce(object, &number, 1, PINFOLD_NUMBER_U64, PINFOLD_OPERATION_SUM, time, NULL);
        pinfold_router_balance(object, NULL, 0, NULL, time);
        free_as_any(object);
    }
    return 1;
}

static int32_t does(int32_t was_begun, void *user)
{
    (void)was_begun;
    return (int32_t)(uintptr_t)user;
}

static void combines(void *into, const void *from, size_t count, void *user)
{
    (void)user;
    memcpy(into, from, count * 4);
}

static void new_shared(struct random *random)
{
    pinfold_broadcast_settings settings = PINFOLD_BROADCAST_SETTINGS_INIT;
    pinfold_runtime *runtime = any(random, RUNTIME);
    pinfold_receiver *receivers[4];
    void *one = NULL, *two = NULL, *several[4];
    size_t count = below(random, 4), at;

    switch (below(random, 12)) {
    case 0:
        if (SEEN(pinfold_mutex_new(runtime, NULL, 16, (pinfold_mutex **)&one)) == PINFOLD_STATUS_OK)
            keep(random, MUTEX, one);
        break;
    case 1:
        if (SEEN(pinfold_rwlock_new(runtime, NULL, 16, (pinfold_rwlock **)&one)) == PINFOLD_STATUS_OK)
            keep(random, RWLOCK, one);
        break;
    case 2:
        if (SEEN(pinfold_semaphore_new(runtime, below(random, 5), (pinfold_semaphore **)&one)) == PINFOLD_STATUS_OK)
            keep(random, SEMAPHORE, one);
        break;
    case 3:
        if (SEEN(pinfold_once_new(runtime, (pinfold_once **)&one)) == PINFOLD_STATUS_OK)
            keep(random, ONCE, one);
        break;
    case 10:
        if (SEEN(pinfold_oncelock_new(runtime, 99, (pinfold_oncelock **)&one)) == PINFOLD_STATUS_OK)
            keep(random, ONCELOCK, one);
        break;
    case 4:
        if (SEEN(pinfold_latch_new(runtime, below(random, 9), (pinfold_latch **)&one, (pinfold_countdown **)&two))
            == PINFOLD_STATUS_OK) {
            keep(random, LATCH, one);
            keep(random, COUNTDOWN, two);
        }
        break;
    case 5:
        if (SEEN(pinfold_waitgroup_new(runtime, (pinfold_waitgroup **)&one, (pinfold_waitgroup_member **)&two))
            == PINFOLD_STATUS_OK) {
            keep(random, WAITGROUP, one);
            keep(random, WAITMEMBER, two);
        }
        break;
    case 6:
        if (SEEN(pinfold_barrier_new(runtime, count, (pinfold_barrier **)several)) == PINFOLD_STATUS_OK)
            for (at = 0; at < count; at++)
                keep(random, BARRIER, several[at]);
        break;
    case 7:
        if (SEEN(pinfold_ticker_new(runtime, below(random, 1000000), (pinfold_ticker **)&one)) == PINFOLD_STATUS_OK)
            keep(random, TICKER, one);
        break;
    case 8:
        settings.overflow = (int32_t)below(random, 5);
        settings.subscribers = below(random, 4);
        if (SEEN(pinfold_broadcast_new(runtime, below(random, 9), &settings, (pinfold_publisher **)&one))
            == PINFOLD_STATUS_OK)
            keep(random, PUBLISHER, one);
        break;
    case 9:
        if (SEEN(pinfold_collective_new(runtime, count, (pinfold_member **)several)) == PINFOLD_STATUS_OK)
            for (at = 0; at < count; at++)
                keep(random, MEMBER, several[at]);
        break;
    default:
        if (SEEN(pinfold_router_new(runtime, count, below(random, 5), (pinfold_router **)&one, receivers))
            == PINFOLD_STATUS_OK) {
            keep(random, ROUTER, one);
            for (at = 0; at < count; at++)
                keep(random, RECEIVER, receivers[at]);
        }
        break;
    }
}

static void use_members(struct random *random)
{
    pinfold_member *member = any(random, MEMBER);
    pinfold_message *messages[4];
    pinfold_buffer *part;
    uint64_t number = 7, time = below(random, 300000);
    size_t rank = 0, size = 0, root = below(random, 3), at;

    switch (below(random, 9)) {
    case 0: SEEN(pinfold_member_barrier(member, time, &rank)); break;
    case 1: SEEN(pinfold_member_shrink(member, time, &rank)); break;
    case 2: SEEN(pinfold_member_rank(member, &rank, &size)); break;
    case 3:
        if (SEEN(pinfold_member_broadcast(member, root, &number, 8, NULL, time, messages, &rank)) == PINFOLD_STATUS_OK)
            SEEN(pinfold_message_free(messages[0]));
        break;
    case 4:
        if (SEEN(pinfold_member_scatter(member, root, any(random, BUFFER), below(random, 9), time, &part, &rank))
            == PINFOLD_STATUS_OK)
            keep(random, BUFFER, part);
        break;
    case 5:
        memset(messages, 0, sizeof messages);
        if (SEEN(pinfold_member_all_gather(member, &number, 8, NULL, time, messages, &rank)) == PINFOLD_STATUS_OK)
            for (at = 0; at < 4; at++)
                SEEN(pinfold_message_free(messages[at]));
        break;
    case 6:
        SEEN(pinfold_member_all_reduce(member, &number, 1, (int32_t)below(random, 12), (int32_t)below(random, 9), time,
                                       &rank));
        break;
    case 7:
        SEEN(pinfold_member_reduce(member, root, &number, 1, PINFOLD_NUMBER_U64, PINFOLD_OPERATION_MAX, time, &rank));
        break;
    default:
        SEEN(pinfold_member_all_reduce_with(member, &number, 2, 4, combines, NULL, time, &rank));
        break;
    }
}

static void one_select(struct random *random)
{
    pinfold_case cases[4];
    pinfold_message *message = NULL;
    size_t index, at;

    memset(cases, 0, sizeof cases);
    for (at = 0; at < 4; at++)
        switch (below(random, 7)) {
        case 5: cases[at].object = any(random, SUBSCRIBER); break;
        case 6: cases[at].object = any(random, TICKER); break;
        case 0: cases[at].receiver = any(random, RECEIVER); break;
        case 1: cases[at].sender = any(random, SENDER); break;
        case 2: cases[at].handle = any(random, HANDLE); break;
        case 3: cases[at].at = now() + below(random, 1000000); break;
        default: break;
        }
    if (SEEN(pinfold_select(cases, below(random, 5), below(random, 1000000), &index, &message)) == PINFOLD_STATUS_OK
        && message != NULL)
        CHECK(is_whole_message(message));
}

/* Of what is locked by a handle that another thread may free just now nothing is touched. */
static void use_shared(struct random *random)
{
    pinfold_subscriber *subscriber;
    pinfold_receiver *receiver;
    pinfold_message *message;
    void *data, *object;
    const void *to_read;
    size_t len;
    uint64_t number, time = below(random, 500000);
    int32_t flag;

    switch (below(random, 21)) {
    case 20:
        /* It may be freed just now: what it has is not looked at. */
        SEEN(pinfold_oncelock_get_or_init(any(random, ONCELOCK), time, fills, (void *)(uintptr_t)below(random, 3), &to_read,
                                          &len));
        break;
    case 0:
        object = any(random, MUTEX);
        if (SEEN(pinfold_mutex_lock(object, time, &data, &len, &flag)) == PINFOLD_STATUS_OK)
            SEEN(below(random, 4) ? pinfold_mutex_unlock(object) : pinfold_mutex_mend(object));
        break;
    case 1: SEEN(pinfold_mutex_unlock(any(random, MUTEX))); break;
    case 2: SEEN(pinfold_mutex_abandon(any(random, MUTEX))); break;
    case 3:
        object = any(random, RWLOCK);
        if (SEEN(pinfold_rwlock_read(object, time, &to_read, &len, &flag)) == PINFOLD_STATUS_OK && below(random, 4))
            SEEN(pinfold_rwlock_unlock(object));
        break;
    case 4:
        object = any(random, RWLOCK);
        if (SEEN(pinfold_rwlock_write(object, time, &data, &len, &flag)) == PINFOLD_STATUS_OK)
            SEEN(below(random, 4) ? pinfold_rwlock_unlock(object) : pinfold_rwlock_abandon(object));
        break;
    case 5: SEEN(pinfold_rwlock_unlock(any(random, RWLOCK))); break;
    case 6: SEEN(pinfold_semaphore_acquire(any(random, SEMAPHORE), time)); break;
    case 7: SEEN(pinfold_semaphore_release(any(random, SEMAPHORE))); break;
    case 8: SEEN(pinfold_once_call(any(random, ONCE), time, does, (void *)(uintptr_t)below(random, 2), &flag)); break;
    case 9: SEEN(pinfold_latch_wait(any(random, LATCH), time)); break;
    case 10: SEEN(pinfold_countdown_count(any(random, COUNTDOWN), &flag)); break;
    case 11: SEEN(pinfold_waitgroup_wait(any(random, WAITGROUP), time)); break;
    case 12:
        if (SEEN(pinfold_waitgroup_member_clone(any(random, WAITMEMBER), (pinfold_waitgroup_member **)&object))
            == PINFOLD_STATUS_OK)
            keep(random, WAITMEMBER, object);
        break;
    case 13: SEEN(pinfold_barrier_wait(any(random, BARRIER), time, &len)); break;
    case 14:
        SEEN(below(random, 2) ? pinfold_ticker_wait(any(random, TICKER), &number)
                              : pinfold_ticker_missed(any(random, TICKER), &number));
        break;
    case 15: SEEN(pinfold_publisher_send(any(random, PUBLISHER), NULL, 0, NULL, time)); break;
    case 16:
        if (SEEN(pinfold_publisher_subscribe(any(random, PUBLISHER), &subscriber)) == PINFOLD_STATUS_OK)
            keep(random, SUBSCRIBER, subscriber);
        break;
    case 17:
        if (SEEN(pinfold_subscriber_recv(any(random, SUBSCRIBER), time, &message, &number)) == PINFOLD_STATUS_OK)
            CHECK(is_whole_message(message));
        break;
    case 18:
        object = any(random, ROUTER);
        if (below(random, 10) == 0) {
            if (SEEN(pinfold_router_join(object, &receiver)) == PINFOLD_STATUS_OK)
                keep(random, RECEIVER, receiver);
        } else if (below(random, 2))
            SEEN(pinfold_router_send_by_key(object, &time, 2, NULL, 0, NULL, time));
        else
            SEEN(pinfold_router_balance(object, NULL, 0, NULL, time));
        break;
    default:
        SEEN(below(random, 2) ? pinfold_router_hand_on(any(random, ROUTER), time, &len)
                              : pinfold_router_leave(any(random, ROUTER), below(random, 3)));
        break;
    }
}

static void shared_objects(struct random *random)
{
    uint64_t which = below(random, 10);
    enum kind kind = (enum kind)(MUTEX + below(random, ROUTER - MUTEX + 1));
    if (which < 1)
        new_shared(random);
    else if (which < 2)
        use_members(random);
    else if (which < 3)
        one_select(random);
    else if (which < 4 && below(random, 4) == 0)
        free_shared(kind, any(random, kind));
    else
        use_shared(random);
}
