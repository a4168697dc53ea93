/* Part of pinfold.hpp: members of groups, routers, and waiting for the first of several things. */
#ifndef PINFOLD_GROUP_HPP
#define PINFOLD_GROUP_HPP

#include "shared.hpp"

namespace pinfold {

/// A call of a member that has come to nothing because of another one, whose rank it has.
class member_error : public error {
public:
    member_error(pinfold_status status, std::size_t rank) : error(status), rank_(rank) {}
    /// `SIZE_MAX` if it is about none.
    std::size_t rank() const noexcept { return rank_; }

private:
    std::size_t rank_;
};

namespace detail {

template <class T> constexpr std::int32_t number_of()
{
    static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8, "numbers are combined");
    if constexpr (std::is_floating_point_v<T>)
        return sizeof(T) == 4 ? PINFOLD_NUMBER_F32 : PINFOLD_NUMBER_F64;
    else {
        const std::int32_t wide = sizeof(T) == 1   ? PINFOLD_NUMBER_I8
                                  : sizeof(T) == 2 ? PINFOLD_NUMBER_I16
                                  : sizeof(T) == 4 ? PINFOLD_NUMBER_I32
                                                   : PINFOLD_NUMBER_I64;
        return wide + (std::is_unsigned_v<T> ? 1 : 0);
    }
}

} // namespace detail

/// A member of a group. It is moved to the task that gets it. Its calls throw `member_error`.
///
///     // in a task, of which there is one for each member:
///     const auto member = call.object<pinfold::member>(0);
///     use(member.all_reduce(n, PINFOLD_OPERATION_MAX));
class member : public detail::object<pinfold_member, pinfold_member_free> {
public:
    using object::object;

    std::size_t rank() const { return ranks().first; }
    std::size_t size() const { return ranks().second; }

    /// How long each call waits for the others. After a time-out call the same again.
    member &timeout(std::chrono::nanoseconds time)
    {
        time_ = detail::nanoseconds(time);
        return *this;
    }

    void barrier() const
    {
        go([&](std::size_t *rank) { return pinfold_member_barrier(get(), time_, rank); });
    }
    /// What member `root` has brought.
    message broadcast(std::size_t root, bytes data = {}) const
    {
        pinfold_message *raw = nullptr;
        go([&](std::size_t *rank) {
            return pinfold_member_broadcast(get(), root, data.data(), data.size(), nullptr, time_, &raw, rank);
        });
        return message(raw);
    }
    /// A part of what member `root` has brought, in whole elements of so many bytes.
    buffer scatter(std::size_t root, const buffer *all, std::size_t element = 1) const
    {
        pinfold_buffer *raw = nullptr;
        go([&](std::size_t *rank) {
            return pinfold_member_scatter(get(), root, all == nullptr ? nullptr : all->get(), element, time_, &raw, rank);
        });
        return buffer(raw);
    }
    /// What all have brought, at member `root`; nothing at others.
    std::vector<message> gather(std::size_t root, bytes data) const
    {
        std::vector<pinfold_message *> raw(rank() == root ? size() : 0);
        go([&](std::size_t *rank) {
            return pinfold_member_gather(get(), root, data.data(), data.size(), nullptr, time_,
                                         raw.empty() ? nullptr : raw.data(), rank);
        });
        return messages(raw);
    }
    std::vector<message> all_gather(bytes data) const
    {
        std::vector<pinfold_message *> raw(size());
        go([&](std::size_t *rank) {
            return pinfold_member_all_gather(get(), data.data(), data.size(), nullptr, time_, raw.data(), rank);
        });
        return messages(raw);
    }
    /// Combines the numbers of all, in place.
    template <class T> void all_reduce(span<T> values, pinfold_operation operation) const
    {
        go([&](std::size_t *rank) {
            return pinfold_member_all_reduce(get(), values.data(), values.size(), detail::number_of<T>(), operation,
                                             time_, rank);
        });
    }
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
    T all_reduce(T value, pinfold_operation operation) const
    {
        all_reduce(span<T>(&value, 1), operation);
        return value;
    }
    /// The same at member `root`; the others' stay.
    template <class T> void reduce(std::size_t root, span<T> values, pinfold_operation operation) const
    {
        go([&](std::size_t *rank) {
            return pinfold_member_reduce(get(), root, values.data(), values.size(), detail::number_of<T>(), operation,
                                         time_, rank);
        });
    }
    /// Goes on without those that are gone.
    void shrink() const
    {
        go([&](std::size_t *rank) { return pinfold_member_shrink(get(), time_, rank); });
    }

private:
    template <class Call> static void go(Call call)
    {
        std::size_t rank = SIZE_MAX;
        const pinfold_status status = call(&rank);
        if (status != PINFOLD_STATUS_OK)
            throw member_error(status, rank);
    }
    static std::vector<message> messages(const std::vector<pinfold_message *> &raw)
    {
        std::vector<message> all;
        all.reserve(raw.size());
        for (pinfold_message *one : raw)
            all.emplace_back(one);
        return all;
    }
    std::pair<std::size_t, std::size_t> ranks() const
    {
        std::size_t rank = 0, size = 0;
        check(pinfold_member_rank(get(), &rank, &size));
        return {rank, size};
    }

    std::uint64_t time_ = PINFOLD_FOREVER;
};

/// Sends each message to one of several receivers.
class router : public detail::object<pinfold_router, pinfold_router_free> {
public:
    using object::object;

    /// To the receiver of this number; to the one that has a key; to the one with the shortest queue.
    void send(std::size_t number, bytes data, const cargo &with = {}) const
    {
        const pinfold_submit_settings settings = with.settings();
        check(pinfold_router_send(get(), number, data.data(), data.size(), &settings, PINFOLD_FOREVER));
    }
    void send_by_key(const std::string &key, bytes data, const cargo &with = {}) const
    {
        const pinfold_submit_settings settings = with.settings();
        check(pinfold_router_send_by_key(get(), key.data(), key.size(), data.data(), data.size(), &settings,
                                         PINFOLD_FOREVER));
    }
    void balance(bytes data, const cargo &with = {}) const
    {
        const pinfold_submit_settings settings = with.settings();
        check(pinfold_router_balance(get(), data.data(), data.size(), &settings, PINFOLD_FOREVER));
    }
    std::size_t receiver_of(const std::string &key) const
    {
        std::size_t number = 0;
        check(pinfold_router_receiver_of(get(), key.data(), key.size(), &number));
        return number;
    }
    /// One more receiver.
    receiver join() const
    {
        pinfold_receiver *raw = nullptr;
        check(pinfold_router_join(get(), &raw));
        return receiver(raw);
    }
};

/// Waits for the first of several things, of which each has the number of its place.
///
///     pinfold::select first;
///     first.recv(requests).recv(results).at(std::chrono::steady_clock::now() + std::chrono::seconds(5));
///     switch (auto chosen = first.wait(); chosen.index) {
///     case 2: break;                 // it takes too long
///     default:
///         if (!chosen.message)       // nobody sends any more
///             first.remove(chosen.index);
///     }
class select {
public:
    struct chosen {
        std::size_t index;
        /// Of a receiver; nothing if nobody sends any more.
        std::optional<pinfold::message> message;
        /// Whether nobody is left at its other end.
        bool is_over;
    };

    /// All that is added is to be there as long as this waits for it.
    select &recv(const receiver &of) { return add([&](pinfold_case &one) { one.receiver = of.get(); }); }
    /// Sends these bytes when there is room.
    select &send(const sender &to, bytes data)
    {
        return add([&](pinfold_case &one) {
            one.sender = to.get();
            one.data = data.data();
            one.len = data.size();
        });
    }
    /// The end of a task.
    select &end(pinfold_handle *of) { return add([&](pinfold_case &one) { one.handle = of; }); }
    /// A message of a subscriber, a tick of a ticker, the end of a child, which is then to be asked: `try_recv`, `missed`,
    /// `join`.
    template <class Object> select &also(const Object &of)
    {
        return add([&](pinfold_case &one) { one.object = of.get(); });
    }
    select &at(std::chrono::steady_clock::time_point time)
    {
        const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
        return add([&](pinfold_case &one) { one.at = since > 0 ? static_cast<std::uint64_t>(since) : 1; });
    }
    /// Waits for that one no more; the others keep their numbers.
    void remove(std::size_t index) { cases_.at(index) = pinfold_case(); }

    chosen wait() { return *choose(PINFOLD_FOREVER); }
    /// Nothing if none is ready in time.
    std::optional<chosen> wait_for(std::chrono::nanoseconds time) { return choose(detail::nanoseconds(time)); }

private:
    template <class Set> select &add(Set set)
    {
        pinfold_case one = pinfold_case();
        set(one);
        cases_.push_back(one);
        return *this;
    }
    std::optional<chosen> choose(std::uint64_t time)
    {
        std::size_t index = SIZE_MAX;
        pinfold_message *raw = nullptr;
        const pinfold_status status = pinfold_select(cases_.data(), cases_.size(), time, &index, &raw);
        if (status == PINFOLD_STATUS_DISCONNECTED && index != SIZE_MAX)
            return chosen{index, std::nullopt, true};
        if (status == PINFOLD_STATUS_NOTHING_YET || !detail::happened(status, PINFOLD_STATUS_TIMED_OUT))
            return std::nullopt;
        chosen what{index, std::nullopt, false};
        if (raw != nullptr)
            what.message.emplace(raw);
        return what;
    }

    std::vector<pinfold_case> cases_;
};

} // namespace pinfold

#endif // PINFOLD_GROUP_HPP
