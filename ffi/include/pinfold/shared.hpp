/* Part of pinfold.hpp: what processes share besides channels: locks and their like, broadcast channels, members of
 * groups, routers; and select. */
#ifndef PINFOLD_SHARED_HPP
#define PINFOLD_SHARED_HPP

#include "channel.hpp"

#include <exception>

namespace pinfold {

namespace detail {

/// Whether a wait has come to what it is for; not if it was in vain.
inline bool had(pinfold_status status)
{
    return status != PINFOLD_STATUS_BUSY && happened(status, PINFOLD_STATUS_TIMED_OUT);
}

/// A handle of a kind that `cargo::add` takes, and a task returns by `call::object`.
template <class T, pinfold_status (*Free)(T *)> class object {
public:
    using raw_type = T;

    explicit object(T *raw) noexcept : own_(raw) {}

    T *get() const noexcept { return own_.get(); }

private:
    owner<T, Free> own_;
};

/// What who has a lock has. Destroyed, it gives the lock back; if that is by an exception, the next one is told that the
/// value may be half changed.
template <class Lock, class T> class locked {
public:
    locked(Lock *lock, void *value, bool is_half) noexcept
        : lock_(lock), value_(static_cast<T *>(value)), is_half_(is_half), thrown_(std::uncaught_exceptions())
    {
    }
    locked(locked &&other) noexcept
        : lock_(std::exchange(other.lock_, nullptr)), value_(other.value_), is_half_(other.is_half_),
          thrown_(other.thrown_)
    {
    }
    locked &operator=(locked &&) = delete;
    ~locked()
    {
        if (lock_ != nullptr)
            give_back(lock_);
    }

    T &operator*() const noexcept { return *value_; }
    T *operator->() const noexcept { return value_; }

    /// Whoever had the lock before has died in the middle, or was thrown out: the value may be half changed.
    bool is_half() const noexcept { return is_half_; }

    /// The value is whole again.
    void mend()
    {
        check(mend_of(lock_));
        is_half_ = false;
    }

private:
    bool is_thrown() const noexcept { return std::uncaught_exceptions() > thrown_; }
    void give_back(pinfold_mutex *lock) const noexcept
    {
        is_thrown() ? pinfold_mutex_abandon(lock) : pinfold_mutex_unlock(lock);
    }
    void give_back(pinfold_rwlock *lock) const noexcept
    {
        is_thrown() && !std::is_const_v<T> ? pinfold_rwlock_abandon(lock) : pinfold_rwlock_unlock(lock);
    }
    static pinfold_status mend_of(pinfold_mutex *lock) { return pinfold_mutex_mend(lock); }
    static pinfold_status mend_of(pinfold_rwlock *lock) { return pinfold_rwlock_mend(lock); }

    Lock *lock_;
    T *value_;
    bool is_half_;
    int thrown_;
};

} // namespace detail

/// A lock around a value in shared memory, whose bytes are all there is to it.
///
///     const auto total = runtime.mutex(0L);
///     auto guard = total.lock(); // until the end of the block
///     if (guard.is_half()) {     // whoever had it has died
///         *guard = 0;
///         guard.mend();
///     }
///     *guard += n;
template <class T> class mutex : public detail::object<pinfold_mutex, pinfold_mutex_free> {
    static_assert(detail::travels<T>, "its bytes are all there is to it");

public:
    using object::object;
    using guard = detail::locked<pinfold_mutex, T>;

    guard lock() const { return *take(PINFOLD_FOREVER); }

    /// Nothing if somebody has it all the time.
    std::optional<guard> lock_for(std::chrono::nanoseconds time) const { return take(detail::nanoseconds(time)); }
    std::optional<guard> try_lock() const { return take(0); }

private:
    std::optional<guard> take(std::uint64_t time) const
    {
        void *value = nullptr;
        std::size_t size = 0;
        std::int32_t is_half = 0;
        const pinfold_status status = pinfold_mutex_lock(get(), time, &value, &size, &is_half);
        if (time == PINFOLD_FOREVER)
            check(status);
        if (!detail::had(status))
            return std::nullopt;
        guard taken(get(), value, is_half != 0);
        if (size < sizeof(T))
            throw error(PINFOLD_STATUS_INVALID_ARGUMENT, "the mutex has fewer bytes than the type");
        return taken;
    }
};

/// The same, which many may have to read, or one to write.
///
///     const auto table = runtime.rwlock(n);
///     use(*table.read());
///     *table.write() = 7;
template <class T> class rwlock : public detail::object<pinfold_rwlock, pinfold_rwlock_free> {
    static_assert(detail::travels<T>, "its bytes are all there is to it");

public:
    using object::object;
    using read_guard = detail::locked<pinfold_rwlock, const T>;
    using write_guard = detail::locked<pinfold_rwlock, T>;

    read_guard read() const { return *take_to_read(PINFOLD_FOREVER); }
    std::optional<read_guard> read_for(std::chrono::nanoseconds time) const
    {
        return take_to_read(detail::nanoseconds(time));
    }
    std::optional<read_guard> try_read() const { return take_to_read(0); }

    write_guard write() const { return *take_to_write(PINFOLD_FOREVER); }
    std::optional<write_guard> write_for(std::chrono::nanoseconds time) const
    {
        return take_to_write(detail::nanoseconds(time));
    }
    std::optional<write_guard> try_write() const { return take_to_write(0); }

private:
    template <class Guard, class Take> std::optional<Guard> take(Take call, std::uint64_t time) const
    {
        std::size_t size = 0;
        std::int32_t is_half = 0;
        void *value = nullptr;
        const pinfold_status status = call(&value, &size, &is_half);
        if (time == PINFOLD_FOREVER)
            check(status);
        if (!detail::had(status))
            return std::nullopt;
        Guard taken(get(), value, is_half != 0);
        if (size < sizeof(T))
            throw error(PINFOLD_STATUS_INVALID_ARGUMENT, "the lock has fewer bytes than the type");
        return taken;
    }
    std::optional<write_guard> take_to_write(std::uint64_t time) const
    {
        return take<write_guard>(
            [&](void **value, std::size_t *size, std::int32_t *is_half) {
                return pinfold_rwlock_write(get(), time, value, size, is_half);
            },
            time);
    }
    std::optional<read_guard> take_to_read(std::uint64_t time) const;
};

template <class T>
std::optional<typename rwlock<T>::read_guard> rwlock<T>::take_to_read(std::uint64_t time) const
{
    return take<read_guard>(
        [&](void **value, std::size_t *size, std::int32_t *is_half) {
            const void *read = nullptr;
            const pinfold_status status = pinfold_rwlock_read(get(), time, &read, size, is_half);
            *value = const_cast<void *>(read);
            return status;
        },
        time);
}

/// So many permits, each of which one may have at a time.
///
///     const auto four = runtime.semaphore(4);
///     const auto permit = four.acquire(); // until the end of the block
class semaphore : public detail::object<pinfold_semaphore, pinfold_semaphore_free> {
public:
    using object::object;
    /// Gives its permit back. It is to be gone before the semaphore is.
    using permit = detail::owner<pinfold_semaphore, pinfold_semaphore_release>;

    permit acquire() const
    {
        check(pinfold_semaphore_acquire(get(), PINFOLD_FOREVER));
        return permit(get());
    }
    /// Null if none is free all the time.
    permit acquire_for(std::chrono::nanoseconds time) const
    {
        return permit(detail::had(pinfold_semaphore_acquire(get(), detail::nanoseconds(time))) ? get() : nullptr);
    }
    std::size_t available() const
    {
        std::size_t count = 0;
        check(pinfold_semaphore_available(get(), &count));
        return count;
    }
};

/// Something that is done once in all processes.
class once : public detail::object<pinfold_once, pinfold_once_free> {
public:
    using object::object;

    /// Calls `f(was_begun)`, unless it was done, or waits for who does it: whether it was called. If it throws, it is not
    /// done, and the exception comes through.
    template <class F> bool call(F &&f, std::chrono::nanoseconds time = forever) const
    {
        struct state {
            F &f;
            std::exception_ptr thrown;
        } all{f, nullptr};
        const auto run = [](std::int32_t was_begun, void *user) -> std::int32_t {
            auto &own = *static_cast<state *>(user);
            try {
                own.f(was_begun != 0);
                return 0;
            } catch (...) {
                own.thrown = std::current_exception();
                return 1;
            }
        };
        std::int32_t was_called = 0;
        const pinfold_status status = pinfold_once_call(get(), detail::nanoseconds(time), run, &all, &was_called);
        if (all.thrown)
            std::rethrow_exception(all.thrown);
        check(status);
        return was_called != 0;
    }
    bool is_done() const
    {
        std::int32_t done = 0;
        check(pinfold_once_is_done(get(), &done));
        return done != 0;
    }
};

/// A value in shared memory that is made once, by whoever asks first in any process, and then read by all.
///
///     const auto table = runtime.oncelock<std::array<double, 1000>>();
///     use(table.get_or_init([](auto &values) { values.fill(1.5); })[7]);
template <class T> class oncelock : public detail::object<pinfold_oncelock, pinfold_oncelock_free> {
    static_assert(detail::travels<T>, "its bytes are all there is to it");

public:
    using object::object;

    /// The value, as long as this lives; has `f` write it, whose bytes are all 0, if nobody has, or waits for who does. If it
    /// throws, it is not made, and the exception comes through.
    template <class F> const T &get_or_init(F &&f, std::chrono::nanoseconds time = forever) const
    {
        struct state {
            F &f;
            std::exception_ptr thrown;
        } all{f, nullptr};
        const auto run = [](void *data, std::size_t size, void *user) -> std::int32_t {
            auto &own = *static_cast<state *>(user);
            try {
                own.f(*as(data, size));
                return 0;
            } catch (...) {
                own.thrown = std::current_exception();
                return 1;
            }
        };
        const void *data = nullptr;
        std::size_t size = 0;
        const pinfold_status status
            = pinfold_oncelock_get_or_init(get(), detail::nanoseconds(time), run, &all, &data, &size);
        if (all.thrown)
            std::rethrow_exception(all.thrown);
        check(status);
        return *as(data, size);
    }
    /// Null if nobody has made it yet.
    const T *try_get() const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        if (!detail::happened(pinfold_oncelock_get(get(), &data, &size), PINFOLD_STATUS_NOTHING_YET))
            return nullptr;
        return as(data, size);
    }

private:
    template <class Bytes> static auto as(Bytes *data, std::size_t size)
    {
        if (size < sizeof(T))
            throw error(PINFOLD_STATUS_INVALID_ARGUMENT, "it has fewer bytes than the type");
        return static_cast<std::conditional_t<std::is_const_v<Bytes>, const T, T> *>(data);
    }
};

/// Counts for a latch.
class countdown : public detail::object<pinfold_countdown, pinfold_countdown_free> {
public:
    using object::object;
    /// False if all was counted before.
    bool count() const
    {
        std::int32_t counted = 0;
        check(pinfold_countdown_count(get(), &counted));
        return counted != 0;
    }
};

/// Waits until so much was counted.
class latch : public detail::object<pinfold_latch, pinfold_latch_free> {
public:
    using object::object;
    void wait() const { check(pinfold_latch_wait(get(), PINFOLD_FOREVER)); }
    bool wait_for(std::chrono::nanoseconds time) const
    {
        return detail::had(pinfold_latch_wait(get(), detail::nanoseconds(time)));
    }
    std::size_t left() const
    {
        std::size_t left = 0;
        check(pinfold_latch_left(get(), &left));
        return left;
    }
};

/// A member of a wait group: done when it is destroyed.
class waitgroup_member : public detail::object<pinfold_waitgroup_member, pinfold_waitgroup_member_free> {
public:
    using object::object;
    waitgroup_member clone() const
    {
        pinfold_waitgroup_member *raw = nullptr;
        check(pinfold_waitgroup_member_clone(get(), &raw));
        return waitgroup_member(raw);
    }
};

/// Waits until all of its members are done.
class waitgroup : public detail::object<pinfold_waitgroup, pinfold_waitgroup_free> {
public:
    using object::object;
    void wait() const { check(pinfold_waitgroup_wait(get(), PINFOLD_FOREVER)); }
    bool wait_for(std::chrono::nanoseconds time) const
    {
        return detail::had(pinfold_waitgroup_wait(get(), detail::nanoseconds(time)));
    }
};

/// A member of a barrier. It is moved to the task that gets it.
class barrier : public detail::object<pinfold_barrier, pinfold_barrier_free> {
public:
    using object::object;
    void wait() const { check(pinfold_barrier_wait(get(), PINFOLD_FOREVER, nullptr)); }
    bool wait_for(std::chrono::nanoseconds time) const
    {
        return detail::had(pinfold_barrier_wait(get(), detail::nanoseconds(time), nullptr));
    }
    std::size_t number() const
    {
        std::size_t number = 0, count = 0;
        check(pinfold_barrier_number(get(), &number, &count));
        return number;
    }
};

/// Ticks at the same moments in all processes.
class ticker : public detail::object<pinfold_ticker, pinfold_ticker_free> {
public:
    using object::object;
    /// How many ticks there were; waits for one.
    std::uint64_t wait() const
    {
        std::uint64_t ticks = 0;
        check(pinfold_ticker_wait(get(), &ticks));
        return ticks;
    }
    /// How many ticks there were that nobody was told; does not wait.
    std::uint64_t missed() const
    {
        std::uint64_t ticks = 0;
        check(pinfold_ticker_missed(get(), &ticks));
        return ticks;
    }
};

/// How many messages a subscriber has lost, which were overwritten before it has read them.
class lagged : public error {
public:
    explicit lagged(std::uint64_t count) : error(PINFOLD_STATUS_LAGGED), count_(count) {}
    std::uint64_t count() const noexcept { return count_; }

private:
    std::uint64_t count_;
};

/// A subscription to a broadcast channel. It is moved to the task that gets it.
class subscriber : public detail::object<pinfold_subscriber, pinfold_subscriber_free> {
public:
    using object::object;
    /// The next message; waits for it. Nothing when all are read and nobody sends any more. Throws `lagged`.
    std::optional<message> recv() const { return take(PINFOLD_FOREVER); }
    /// The same; waits at most so long, and throws `PINFOLD_STATUS_TIMED_OUT` then.
    std::optional<message> recv_for(std::chrono::nanoseconds time) const { return take(detail::nanoseconds(time)); }
    /// The same without waiting; throws `PINFOLD_STATUS_EMPTY` if there is none now.
    std::optional<message> try_recv() const { return take(0); }

private:
    std::optional<message> take(std::uint64_t time) const
    {
        pinfold_message *raw = nullptr;
        std::uint64_t count = 0;
        const pinfold_status status = pinfold_subscriber_recv(get(), time, &raw, &count);
        if (status == PINFOLD_STATUS_LAGGED)
            throw lagged(count);
        if (!detail::happened(status, PINFOLD_STATUS_DISCONNECTED))
            return std::nullopt;
        return message(raw);
    }
};

/// The sending end of a broadcast channel: every subscriber gets every message.
///
///     const auto prices = runtime.broadcast(16);
///     const auto mine = prices.subscribe();
///     prices.send_value(7);
///     use(mine.recv()->as<int>());
class publisher : public detail::object<pinfold_publisher, pinfold_publisher_free> {
public:
    using object::object;
    subscriber subscribe() const
    {
        pinfold_subscriber *raw = nullptr;
        check(pinfold_publisher_subscribe(get(), &raw));
        return subscriber(raw);
    }
    void send(bytes data, const cargo &with = {}) const
    {
        const pinfold_submit_settings settings = with.settings();
        check(pinfold_publisher_send(get(), data.data(), data.size(), &settings, PINFOLD_FOREVER));
    }
    template <class T> void send_value(const T &value, const cargo &with = {}) const
    {
        send(detail::coded<T>::put(value), with);
    }
    void close() const { check(pinfold_publisher_close(get())); }
};

} // namespace pinfold

#include "group.hpp"

#endif // PINFOLD_SHARED_HPP
