/* Part of pinfold.hpp: where locks, broadcast channels, groups and routers are made, the same in the host and in a task. */
#ifndef PINFOLD_MAKE_HPP
#define PINFOLD_MAKE_HPP

#include "group.hpp"

namespace pinfold {
namespace detail {

/// What a `runtime` and a `call` make, each of whatever is behind its `Raw`. What a task makes is its worker's, also when the
/// function has returned.
template <class Self, class Raw> class makes {
public:
    /// A lock around a value.
    template <class T> pinfold::mutex<T> mutex(const T &value) const
    {
        return pinfold::mutex<T>(around<pinfold_mutex>(pick(pinfold_mutex_new, pinfold_call_mutex_new), value));
    }
    template <class T> pinfold::rwlock<T> rwlock(const T &value) const
    {
        return pinfold::rwlock<T>(around<pinfold_rwlock>(pick(pinfold_rwlock_new, pinfold_call_rwlock_new), value));
    }

    /// So many permits, 1 to 65536.
    pinfold::semaphore semaphore(std::size_t permits) const
    {
        return pinfold::semaphore(made<pinfold_semaphore>(pick(pinfold_semaphore_new, pinfold_call_semaphore_new), permits));
    }
    pinfold::once once() const { return pinfold::once(made<pinfold_once>(pick(pinfold_once_new, pinfold_call_once_new))); }
    /// A value that is made once, and is then read by all.
    template <class T> pinfold::oncelock<T> oncelock() const
    {
        const std::size_t size = sizeof(T);
        return pinfold::oncelock<T>(
            made<pinfold_oncelock>(pick(pinfold_oncelock_new, pinfold_call_oncelock_new), size));
    }
    pinfold::ticker ticker(std::chrono::nanoseconds period) const
    {
        return pinfold::ticker(made<pinfold_ticker>(pick(pinfold_ticker_new, pinfold_call_ticker_new), detail::nanoseconds(period)));
    }

    /// What waits for so many counts, and what counts.
    std::pair<pinfold::latch, pinfold::countdown> latch(std::size_t count) const
    {
        pinfold_latch *waits = nullptr;
        pinfold_countdown *counts = nullptr;
        check(pick(pinfold_latch_new, pinfold_call_latch_new)(at(), count, &waits, &counts));
        return {pinfold::latch(waits), pinfold::countdown(counts)};
    }
    /// A group and its first member.
    std::pair<pinfold::waitgroup, pinfold::waitgroup_member> waitgroup() const
    {
        pinfold_waitgroup *group = nullptr;
        pinfold_waitgroup_member *member = nullptr;
        check(pick(pinfold_waitgroup_new, pinfold_call_waitgroup_new)(at(), &group, &member));
        return {pinfold::waitgroup(group), pinfold::waitgroup_member(member)};
    }
    /// All members.
    std::vector<pinfold::barrier> barrier(std::size_t members) const
    {
        return all<pinfold::barrier, pinfold_barrier>(pick(pinfold_barrier_new, pinfold_call_barrier_new), members);
    }
    /// The members of a group, in the order of ranks. There must be an executor for each that tasks get.
    std::vector<pinfold::member> collective(std::size_t members) const
    {
        return all<pinfold::member, pinfold_member>(pick(pinfold_collective_new, pinfold_call_collective_new), members);
    }

    /// A broadcast channel of so many messages.
    publisher broadcast(std::size_t capacity, pinfold_overflow overflow = PINFOLD_OVERFLOW_BLOCK,
                        std::size_t subscribers = 0) const
    {
        pinfold_broadcast_settings settings = PINFOLD_BROADCAST_SETTINGS_INIT;
        settings.overflow = overflow;
        settings.subscribers = subscribers;
        return publisher(made<pinfold_publisher>(pick(pinfold_broadcast_new, pinfold_call_broadcast_new), capacity, &settings));
    }
    /// A router and its receivers, each with a queue of so many messages.
    std::pair<pinfold::router, std::vector<receiver>> router(std::size_t receivers, std::size_t capacity) const
    {
        pinfold_router *raw = nullptr;
        std::vector<pinfold_receiver *> ends(receivers);
        check(pick(pinfold_router_new, pinfold_call_router_new)(at(), receivers, capacity, &raw, ends.data()));
        std::vector<receiver> all;
        all.reserve(receivers);
        for (pinfold_receiver *end : ends)
            all.emplace_back(end);
        return {pinfold::router(raw), std::move(all)};
    }

private:
    /// The function of pinfold.h that is for this.
    template <class OfRuntime, class OfCall> static constexpr auto pick(OfRuntime of_runtime, OfCall of_call)
    {
        if constexpr (std::is_same_v<Raw, pinfold_call>) {
            static_cast<void>(of_runtime);
            return of_call;
        } else {
            static_cast<void>(of_call);
            return of_runtime;
        }
    }
    Raw *at() const noexcept { return static_cast<const Self *>(this)->get(); }

    template <class T, class Make, class... Argument> T *made(Make make, Argument... argument) const
    {
        T *raw = nullptr;
        check(make(at(), argument..., &raw));
        return raw;
    }
    template <class Lock, class T>
    Lock *around(pinfold_status (*make)(Raw *, const void *, std::size_t, Lock **), const T &value) const
    {
        Lock *raw = nullptr;
        check(make(at(), &value, sizeof value, &raw));
        return raw;
    }
    template <class Member, class T>
    std::vector<Member> all(pinfold_status (*make)(Raw *, std::size_t, T **), std::size_t count) const
    {
        std::vector<T *> raw(count);
        T *none = nullptr;
        check(make(at(), count, raw.empty() ? &none : raw.data()));
        std::vector<Member> members;
        members.reserve(count);
        for (T *one : raw)
            members.emplace_back(one);
        return members;
    }
};

} // namespace detail
} // namespace pinfold

#endif // PINFOLD_MAKE_HPP
