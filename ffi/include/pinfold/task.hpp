/* Part of pinfold.hpp: settings of tasks, and submitting them. */
#ifndef PINFOLD_TASK_HPP
#define PINFOLD_TASK_HPP

#include "call.hpp"
#include "handle.hpp"

namespace pinfold {

/// So many tasks may be in flight at a time, or so many units of something that tasks take together. Tasks that are
/// under it stay so when it is destroyed.
///
///     const pinfold::limit four(4);
///     const auto task = runtime.task(resize, pinfold::settings().limited(four));
class limit {
public:
    explicit limit(std::uint64_t units)
    {
        pinfold_limit *raw = nullptr;
        check(pinfold_limit_new(units, &raw));
        own_.reset(raw);
    }

    pinfold_limit *get() const noexcept { return own_.get(); }

    /// How many units nobody has now.
    std::uint64_t available() const
    {
        std::uint64_t units = 0;
        check(pinfold_limit_available(get(), &units));
        return units;
    }

private:
    detail::owner<pinfold_limit, pinfold_limit_free> own_;
};

/// Remembers up to so many outputs by their arguments. Tasks that have it keep it when it is destroyed.
///
///     const pinfold::memo memo(1000);
///     const auto task = runtime.task(parse, pinfold::settings().memoized(memo));
class memo {
public:
    explicit memo(std::size_t entries)
    {
        pinfold_memo *raw = nullptr;
        check(pinfold_memo_new(entries, &raw));
        own_.reset(raw);
    }

    pinfold_memo *get() const noexcept { return own_.get(); }

    /// How many tasks were not run, because their output was known.
    std::uint64_t hits() const { return counts().first; }
    /// How many were run.
    std::uint64_t misses() const { return counts().second; }

private:
    std::pair<std::uint64_t, std::uint64_t> counts() const
    {
        std::uint64_t hits = 0, misses = 0;
        check(pinfold_memo_counts(get(), &hits, &misses));
        return {hits, misses};
    }

    detail::owner<pinfold_memo, pinfold_memo_free> own_;
};

/// Settings of a task, as `pinfold_task_settings` has them. Limits and memos must be there when a task is made of it.
///
///     using namespace std::chrono_literals;
///     const auto task = runtime.task(fetch, pinfold::settings()
///         .name("fetch").run_limit(5s).retry_exponential(4, 10ms, 1s).priority(PINFOLD_PRIORITY_URGENT));
class settings {
public:
    settings &name(std::string name)
    {
        name_ = std::move(name);
        return *this;
    }
    /// As in the HTTP header of that name.
    settings &traceparent(std::string header)
    {
        traceparent_ = std::move(header);
        return *this;
    }
    settings &tag(std::string key, std::string value)
    {
        tags_.emplace_back(std::move(key), std::move(value));
        return *this;
    }
    /// Takes so much of a limit while it is in flight.
    settings &limited(const limit &of, std::uint64_t units = 1)
    {
        shares_.push_back(pinfold_share{of.get(), units});
        return *this;
    }
    /// How long each attempt may run; then its worker is killed.
    settings &run_limit(std::chrono::nanoseconds time) { return set(raw_.run_limit, time); }
    /// From the submission on: ended, or its worker is killed; begun, or never; ended, as it sees itself.
    settings &hard_deadline(std::chrono::nanoseconds time) { return set(raw_.hard_deadline, time); }
    settings &start_deadline(std::chrono::nanoseconds time) { return set(raw_.start_deadline, time); }
    settings &soft_deadline(std::chrono::nanoseconds time) { return set(raw_.soft_deadline, time); }
    settings &priority(pinfold_priority priority)
    {
        raw_.priority = priority;
        return *this;
    }
    /// Running it twice does no harm: when its worker dies it is run again, so often in all.
    settings &safe_to_repeat(std::uint32_t attempts)
    {
        raw_.attempts = attempts;
        return *this;
    }
    /// The waits before its third attempt of these: the first, and the longest.
    settings &backoff(std::chrono::nanoseconds first, std::chrono::nanoseconds longest)
    {
        return set(raw_.backoff_first, first).set(raw_.backoff_longest, longest);
    }
    /// If it throws (or returns another number than 0): so many attempts in all, and the same wait after each.
    settings &retry_fixed(std::uint32_t attempts, std::chrono::nanoseconds delay)
    {
        return retry(PINFOLD_RETRY_FIXED, attempts, delay);
    }
    /// The same, longer by `delay` each time.
    settings &retry_linear(std::uint32_t attempts, std::chrono::nanoseconds delay)
    {
        return retry(PINFOLD_RETRY_LINEAR, attempts, delay);
    }
    /// The same, twice as long each time.
    settings &retry_exponential(std::uint32_t attempts, std::chrono::nanoseconds delay,
                                std::chrono::nanoseconds longest)
    {
        return retry(PINFOLD_RETRY_EXPONENTIAL, attempts, delay).set(raw_.retry_longest, longest);
    }
    /// Each wait is stretched at random.
    settings &retry_jitter()
    {
        raw_.retry_jitter = PINFOLD_CHOICE_YES;
        return *this;
    }
    /// What counts as a failure; `user` must be there as long as the task, or a handle of it.
    settings &retry_if(pinfold_retry_if judge, void *user = nullptr)
    {
        raw_.retry_if = judge;
        raw_.retry_user = user;
        return *this;
    }
    /// Is not run for an argument whose output is remembered.
    settings &memoized(const memo &by)
    {
        raw_.memo = by.get();
        return *this;
    }

    /// Calls `then` with the C struct, which is there so long.
    template <class Then> auto with(Then then) const
    {
        std::vector<pinfold_tag> tags;
        for (const auto &[key, value] : tags_)
            tags.push_back(pinfold_tag{key.c_str(), value.c_str()});
        pinfold_task_settings all = raw_;
        all.name = name_.empty() ? nullptr : name_.c_str();
        all.traceparent = traceparent_.empty() ? nullptr : traceparent_.c_str();
        all.tags = tags.data();
        all.tag_count = tags.size();
        all.limits = shares_.data();
        all.limit_count = shares_.size();
        return then(static_cast<const pinfold_task_settings &>(all));
    }

private:
    settings &set(std::uint64_t &field, std::chrono::nanoseconds time)
    {
        // 0 is the default there, and not a time.
        const std::uint64_t count = detail::nanoseconds(time);
        field = count == 0 ? 1 : count;
        return *this;
    }
    settings &retry(pinfold_retry how, std::uint32_t attempts, std::chrono::nanoseconds delay)
    {
        raw_.retry = how;
        raw_.retry_attempts = attempts;
        raw_.retry_delay = detail::nanoseconds(delay);
        return *this;
    }

    pinfold_task_settings raw_ = PINFOLD_TASK_SETTINGS_INIT;
    std::string name_, traceparent_;
    std::vector<std::pair<std::string, std::string>> tags_;
    std::vector<pinfold_share> shares_;
};

/// A function for the workers of a runtime, with its settings; to be submitted any number of times.
///
///     const auto squaring = runtime.task(square);
///     auto one = squaring.submit(7);
///     auto sum = runtime.task(add).submit_after({one, squaring.submit(8)});
///     std::vector<int> squares = squaring.map(std::vector{1, 2, 3});
template <class R, class A> class task {
public:
    explicit task(pinfold_task *raw) noexcept : own_(raw) {}

    pinfold_task *get() const noexcept { return own_.get(); }

    /// Submits it: with its argument, unless it takes none. Waits for room, for memory and for limits.
    template <class... Argument> handle<R> submit(const Argument &...argument) const
    {
        const auto send = [this](bytes all) {
            pinfold_handle *raw = nullptr;
            check(pinfold_task_submit(get(), all.data(), all.size(), &raw));
            return handle<R>(raw);
        };
        return detail::with_bytes<A>(send, argument...);
    }

    /// The same without waiting: nothing if there is no room now.
    template <class... Argument> std::optional<handle<R>> try_submit(const Argument &...argument) const
    {
        const auto send = [this](bytes all) -> std::optional<handle<R>> {
            pinfold_handle *raw = nullptr;
            const pinfold_status status = pinfold_task_try_submit(get(), all.data(), all.size(), &raw);
            if (!detail::happened(status, PINFOLD_STATUS_FULL))
                return std::nullopt;
            return handle<R>(raw);
        };
        return detail::with_bytes<A>(send, argument...);
    }

    /// The same, waiting at most so long.
    template <class... Argument>
    std::optional<handle<R>> try_submit_for(std::chrono::nanoseconds time, const Argument &...argument) const
    {
        const auto send = [this, time](bytes all) -> std::optional<handle<R>> {
            pinfold_handle *raw = nullptr;
            const pinfold_status status
                = pinfold_task_submit_timeout(get(), all.data(), all.size(), detail::nanoseconds(time), &raw);
            if (!detail::happened(status, PINFOLD_STATUS_TIMED_OUT))
                return std::nullopt;
            return handle<R>(raw);
        };
        return detail::with_bytes<A>(send, argument...);
    }

    /// Submits it to begin when others have ended (handles in any container): their outputs are its inputs, in
    /// that order. They may be destroyed afterwards.
    template <class Handles, class... Argument>
    handle<R> submit_after(const Handles &others, const Argument &...argument) const
    {
        const auto after = detail::raw_handles(others);
        const auto send = [&](bytes all) {
            pinfold_handle *raw = nullptr;
            check(pinfold_task_submit_after(get(), all.data(), all.size(), after.data(), after.size(), &raw));
            return handle<R>(raw);
        };
        return detail::with_bytes<A>(send, argument...);
    }

    /// The same for a list in braces, of handles of any types.
    template <class... Argument>
    handle<R> submit_after(std::initializer_list<handle_ref> others, const Argument &...argument) const
    {
        return submit_after<std::initializer_list<handle_ref>>(others, argument...);
    }

    /// Submits one for each argument of a container, in one call of the library.
    template <class Arguments> std::vector<handle<R>> submit_all(const Arguments &arguments) const
    {
        std::vector<std::byte> all;
        std::vector<std::size_t> lens;
        for (const auto &argument : arguments) {
            const A &converted = argument;
            const bytes one = detail::coded<A>::put(converted);
            all.insert(all.end(), one.begin(), one.end());
            lens.push_back(one.size());
        }
        std::vector<handle<R>> handles;
        handles.reserve(lens.size());
        std::vector<pinfold_handle *> raw(lens.size());
        const pinfold_status status = pinfold_task_submit_many(get(), all.data(), all.size(), lens.data(),
                                                               lens.size(), raw.data());
        for (pinfold_handle *one : raw)
            handles.emplace_back(one);
        check(status);
        return handles;
    }

    /// The results of one for each argument, in order; throws if one has none.
    template <class Arguments> auto map(const Arguments &arguments) const { return join_all(submit_all(arguments)); }

    /// Submits it once for each worker, all with the same argument: handles in the order of the workers' numbers.
    template <class... Argument> std::vector<handle<R>> broadcast(const Argument &...argument) const
    {
        const auto send = [this](bytes all) {
            std::vector<pinfold_handle *> raw(64);
            std::size_t count = 0;
            auto submit = [&] {
                return pinfold_task_broadcast(get(), all.data(), all.size(), raw.size(), raw.data(), &count);
            };
            pinfold_status status = submit();
            if (status == PINFOLD_STATUS_BUFFER_TOO_SMALL) {
                raw.resize(count);
                status = submit();
            }
            check(status);
            std::vector<handle<R>> handles;
            handles.reserve(count);
            for (std::size_t at = 0; at < count; at++)
                handles.emplace_back(raw[at]);
            return handles;
        };
        return detail::with_bytes<A>(send, argument...);
    }

    /// Submits it into a group: there is no handle.
    template <class... Argument> void submit_to(const group &into, const Argument &...argument) const
    {
        const auto send = [&](bytes all) {
            check(pinfold_group_submit(into.get(), get(), all.data(), all.size(), nullptr));
        };
        detail::with_bytes<A>(send, argument...);
    }

    /// Submits it with buffers that are published, which it reads in place.
    template <class... Argument> handle<R> submit_with(buffers given, const Argument &...argument) const
    {
        return send_with(detail::submission(given, false).settings, argument...);
    }

    /// Submits it with buffers that are published, and with ends of channels (`call::sender`, `call::receiver`).
    template <class... Argument> handle<R> submit_with(const cargo &given, const Argument &...argument) const
    {
        return send_with(given.settings(), argument...);
    }

    /// The same; those that are not published are moved to it, which may write them (`call::take_buffer`).
    template <class... Argument> handle<R> submit_moving(buffers given, const Argument &...argument) const
    {
        return send_with(detail::submission(given, true).settings, argument...);
    }

private:
    template <class... Argument>
    handle<R> send_with(const pinfold_submit_settings &with, const Argument &...argument) const
    {
        const auto send = [&](bytes all) {
            pinfold_handle *raw = nullptr;
            check(pinfold_task_submit_with(get(), all.data(), all.size(), &with, &raw));
            return handle<R>(raw);
        };
        return detail::with_bytes<A>(send, argument...);
    }

    detail::owner<pinfold_task, pinfold_task_free> own_;
};

} // namespace pinfold

#endif // PINFOLD_TASK_HPP
