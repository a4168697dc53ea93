/* Part of pinfold.hpp: a fold of workers. */
#ifndef PINFOLD_RUNTIME_HPP
#define PINFOLD_RUNTIME_HPP

#include "group.hpp"
#include "task.hpp"

namespace pinfold {

/// A fold of worker processes. Destroyed, it ends them, as `pinfold_runtime_free` does.
///
///     pinfold_config config = PINFOLD_CONFIG_INIT;
///     config.workers = 4;
///     const pinfold::runtime runtime(config);
///     const auto squaring = runtime.task(square);
class runtime {
public:
    /// All defaults.
    runtime() : runtime(PINFOLD_CONFIG_INIT) {}

    explicit runtime(const pinfold_config &config)
    {
        pinfold_runtime *raw = nullptr;
        check(pinfold_runtime_new(&config, &raw));
        own_.reset(raw);
    }

    pinfold_runtime *get() const noexcept { return own_.get(); }

    /// Shared memory of so many bytes, to be written and then published.
    pinfold::buffer buffer(std::size_t size) const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_buffer_new(get(), size, &raw));
        return pinfold::buffer(raw);
    }

    /// A channel that holds so many messages; of capacity 0, who sends waits until it is taken.
    channel_ends channel(std::size_t capacity, pinfold_overflow overflow = PINFOLD_OVERFLOW_BLOCK) const
    {
        return detail::channel(pinfold_channel_new, get(), capacity, overflow);
    }

    /// A lock around a value.
    template <class T> pinfold::mutex<T> mutex(const T &value) const
    {
        return pinfold::mutex<T>(around<pinfold_mutex>(pinfold_mutex_new, value));
    }
    template <class T> pinfold::rwlock<T> rwlock(const T &value) const
    {
        return pinfold::rwlock<T>(around<pinfold_rwlock>(pinfold_rwlock_new, value));
    }

    /// So many permits, 1 to 65536.
    pinfold::semaphore semaphore(std::size_t permits) const
    {
        return pinfold::semaphore(made<pinfold_semaphore>(pinfold_semaphore_new, permits));
    }
    pinfold::once once() const { return pinfold::once(made<pinfold_once>(pinfold_once_new)); }
    pinfold::ticker ticker(std::chrono::nanoseconds period) const
    {
        return pinfold::ticker(made<pinfold_ticker>(pinfold_ticker_new, detail::nanoseconds(period)));
    }

    /// What waits for so many counts, and what counts.
    std::pair<pinfold::latch, pinfold::countdown> latch(std::size_t count) const
    {
        pinfold_latch *waits = nullptr;
        pinfold_countdown *counts = nullptr;
        check(pinfold_latch_new(get(), count, &waits, &counts));
        return {pinfold::latch(waits), pinfold::countdown(counts)};
    }
    /// A group and its first member.
    std::pair<pinfold::waitgroup, pinfold::waitgroup_member> waitgroup() const
    {
        pinfold_waitgroup *group = nullptr;
        pinfold_waitgroup_member *member = nullptr;
        check(pinfold_waitgroup_new(get(), &group, &member));
        return {pinfold::waitgroup(group), pinfold::waitgroup_member(member)};
    }
    /// All members.
    std::vector<pinfold::barrier> barrier(std::size_t members) const
    {
        return all<pinfold::barrier, pinfold_barrier>(pinfold_barrier_new, members);
    }
    /// The members of a group, in the order of ranks. There must be an executor for each that tasks get.
    std::vector<pinfold::member> collective(std::size_t members) const
    {
        return all<pinfold::member, pinfold_member>(pinfold_collective_new, members);
    }

    /// A broadcast channel of so many messages.
    publisher broadcast(std::size_t capacity, pinfold_overflow overflow = PINFOLD_OVERFLOW_BLOCK,
                        std::size_t subscribers = 0) const
    {
        pinfold_broadcast_settings settings = PINFOLD_BROADCAST_SETTINGS_INIT;
        settings.overflow = overflow;
        settings.subscribers = subscribers;
        return publisher(made<pinfold_publisher>(pinfold_broadcast_new, capacity, &settings));
    }
    /// A router and its receivers, each with a queue of so many messages.
    std::pair<pinfold::router, std::vector<receiver>> router(std::size_t receivers, std::size_t capacity) const
    {
        pinfold_router *raw = nullptr;
        std::vector<pinfold_receiver *> ends(receivers);
        check(pinfold_router_new(get(), receivers, capacity, &raw, ends.data()));
        std::vector<receiver> all;
        all.reserve(receivers);
        for (pinfold_receiver *end : ends)
            all.emplace_back(end);
        return {pinfold::router(raw), std::move(all)};
    }

    /// A task of a function that was registered.
    template <class R, class A>
    pinfold::task<R, A> task(const function<R, A> &of,
                             const pinfold_task_settings &settings = PINFOLD_TASK_SETTINGS_INIT) const
    {
        pinfold_task *raw = nullptr;
        check(pinfold_task_new(get(), of.name().c_str(), &settings, &raw));
        return pinfold::task<R, A>(raw);
    }

    /// The same.
    template <class R, class A>
    pinfold::task<R, A> task(const function<R, A> &of, const pinfold::settings &settings) const
    {
        return settings.with([&](const pinfold_task_settings &all) { return task(of, all); });
    }

    /// Takes no more tasks, and ends those in flight as `how` says; waits for it. Whether that was in order: no task was
    /// ended that this call would have let run.
    bool shutdown(pinfold_shutdown how = PINFOLD_SHUTDOWN_DRAIN, std::chrono::nanoseconds time = forever,
                  std::chrono::nanoseconds grace = forever) const
    {
        const pinfold_status status
            = pinfold_runtime_shutdown(get(), how, detail::nanoseconds(time), detail::nanoseconds(grace));
        return detail::happened(status, PINFOLD_STATUS_NOT_ORDERLY);
    }

    /// The same without waiting.
    void begin_shutdown(pinfold_shutdown how = PINFOLD_SHUTDOWN_DRAIN, std::chrono::nanoseconds time = forever,
                        std::chrono::nanoseconds grace = forever) const
    {
        check(pinfold_runtime_begin_shutdown(get(), how, detail::nanoseconds(time), detail::nanoseconds(grace)));
    }

    /// Cancels all tasks that nobody runs: how many.
    std::size_t cancel_pending() const
    {
        std::size_t count = 0;
        check(pinfold_runtime_cancel_pending(get(), &count));
        return count;
    }

    pinfold_stats stats() const
    {
        pinfold_stats stats = PINFOLD_STATS_INIT;
        check(pinfold_runtime_stats(get(), &stats));
        return stats;
    }

    pinfold_audit audit() const
    {
        pinfold_audit audit = PINFOLD_AUDIT_INIT;
        check(pinfold_runtime_audit(get(), &audit));
        return audit;
    }

    /// As JSON objects.
    std::string stats_json() const { return text(pinfold_runtime_stats_json); }
    std::string audit_json() const { return text(pinfold_runtime_audit_json); }
    std::string profile_json() const { return text(pinfold_runtime_profile_json); }

private:
    template <class T, class Make, class... Argument> T *made(Make make, Argument... argument) const
    {
        T *raw = nullptr;
        check(make(get(), argument..., &raw));
        return raw;
    }
    template <class Lock, class T>
    Lock *around(pinfold_status (*make)(pinfold_runtime *, const void *, std::size_t, Lock **), const T &value) const
    {
        Lock *raw = nullptr;
        check(make(get(), &value, sizeof value, &raw));
        return raw;
    }
    template <class Member, class T>
    std::vector<Member> all(pinfold_status (*make)(pinfold_runtime *, std::size_t, T **), std::size_t count) const
    {
        std::vector<T *> raw(count);
        T *none = nullptr;
        check(make(get(), count, raw.empty() ? &none : raw.data()));
        std::vector<Member> members;
        members.reserve(count);
        for (T *one : raw)
            members.emplace_back(one);
        return members;
    }
    std::string text(pinfold_status (*ask)(pinfold_runtime *, pinfold_text **)) const
    {
        pinfold_text *raw = nullptr;
        check(ask(get(), &raw));
        const detail::owner<pinfold_text, pinfold_text_free> own(raw);
        const char *data = nullptr;
        std::size_t size = 0;
        check(pinfold_text_data(raw, &data, &size));
        return std::string(data, size);
    }

    detail::owner<pinfold_runtime, pinfold_runtime_free> own_;
};

} // namespace pinfold

#endif // PINFOLD_RUNTIME_HPP
