/* Part of pinfold.hpp: tasks that were submitted, one and several. */
#ifndef PINFOLD_HANDLE_HPP
#define PINFOLD_HANDLE_HPP

#include "buffer.hpp"

namespace pinfold {

/// How far a task has said it is.
struct progress {
    double fraction;
    std::string message;
};

/// How a task has ended, for a callback, until that returns.
template <class R> class outcome {
public:
    outcome(pinfold_status status, bytes view, std::string text)
        : status_(status), view_(view), text_(std::move(text))
    {
    }

    pinfold_status status() const noexcept { return status_; }
    /// Whether there is a value.
    explicit operator bool() const noexcept { return status_ == PINFOLD_STATUS_OK; }
    /// Why there is none.
    const std::string &what() const noexcept { return text_; }

    /// The output in place.
    bytes view() const
    {
        if (status_ != PINFOLD_STATUS_OK)
            throw error(status_, text_);
        return view_;
    }

    /// The result.
    R value() const
    {
        if constexpr (std::is_void_v<R>)
            view();
        else
            return detail::coded<R>::get(view(), "the result");
    }

private:
    pinfold_status status_;
    bytes view_;
    std::string text_;
};

namespace detail {

template <class R, class F>
void completed(pinfold_status status, const void *data, std::size_t len, void *user) noexcept
{
    const std::unique_ptr<F> callback(static_cast<F *>(user));
    const std::string text = status == PINFOLD_STATUS_OK ? "" : pinfold_last_message();
    (*callback)(outcome<R>(status, view(data, len), text));
}

template <class F> void progressed(double fraction, const char *message, void *user) noexcept
{
    (*static_cast<F *>(user))(progress{fraction, message});
}

template <class F> void release(void *user) noexcept { delete static_cast<F *>(user); }

} // namespace detail

/// A task that was submitted, and its result to be. Destroyed, it lets the task run on unheard.
///
///     auto handle = runtime.task(square).submit(7);
///     handle.on_complete([](const pinfold::outcome<int> &ended) { // on another thread
///         if (ended)
///             std::cout << ended.value() << '\n';
///     });
///     int result = handle.join(); // or throws
template <class R> class handle {
public:
    explicit handle(pinfold_handle *raw) noexcept : own_(raw) {}

    pinfold_handle *get() const noexcept { return own_.get(); }
    /// Gives the C object away, which is to be freed.
    pinfold_handle *release() noexcept { return own_.release(); }

    /// Waits for the end, however the task ends.
    void wait() const { check(pinfold_handle_wait(get(), PINFOLD_FOREVER)); }

    /// The same, at most so long: whether it has ended.
    bool wait_for(std::chrono::nanoseconds time) const
    {
        return detail::happened(pinfold_handle_wait(get(), detail::nanoseconds(time)), PINFOLD_STATUS_TIMED_OUT);
    }

    /// Waits for the end, and returns the output in place: it may be read as long as the handle lives.
    bytes view() const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_handle_result(get(), &data, &size));
        return detail::view(data, size);
    }

    /// Waits for the end, and returns the result; the handle is used up.
    R join()
    {
        handle self(release());
        if constexpr (std::is_void_v<R>) {
            self.view();
        } else if constexpr (detail::travels<R>) {
            R value{};
            std::size_t size = 0;
            const pinfold_status status = pinfold_handle_join(self.get(), &value, sizeof value, &size);
            const bool is_too_long = status == PINFOLD_STATUS_BUFFER_TOO_SMALL;
            if (status == PINFOLD_STATUS_OK || pinfold_status_ends_task(status) != 0)
                self.release(); // it was freed
            if (is_too_long || (status == PINFOLD_STATUS_OK && size != sizeof value))
                detail::wrong_length("the result", size, sizeof value);
            check(status);
            return value;
        } else {
            return detail::coded<R>::get(self.view(), "the result");
        }
    }

    /// Waits for the end, and returns the output as a buffer, which stays when the handle goes.
    pinfold::buffer output_buffer() const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_handle_output_buffer(get(), &raw));
        return pinfold::buffer(raw);
    }

    /// Whether the task has ended.
    bool is_finished() const
    {
        std::int32_t is_finished = 0;
        check(pinfold_handle_is_finished(get(), &is_finished));
        return is_finished != 0;
    }

    /// Cancels the task: one that has not begun never will, one that runs is asked to end.
    void cancel() const { check(pinfold_handle_cancel(get())); }

    /// The same; if it still runs after `grace`, its worker is killed.
    void cancel_within(std::chrono::nanoseconds grace) const
    {
        check(pinfold_handle_cancel_within(get(), detail::nanoseconds(grace)));
    }

    /// From now on the task is cancelled when the handle is destroyed, as by `cancel_within`.
    void abort_on_free(std::chrono::nanoseconds grace = forever) const
    {
        check(pinfold_handle_abort_on_free(get(), detail::nanoseconds(grace)));
    }

    /// How far the task has last said it is; nothing if it has said nothing, or has ended.
    std::optional<pinfold::progress> progress() const
    {
        char message[96];
        double fraction = 0;
        const pinfold_status status = pinfold_handle_progress(get(), message, sizeof message, &fraction);
        if (!detail::happened(status, PINFOLD_STATUS_NOTHING_YET))
            return std::nullopt;
        return pinfold::progress{fraction, message};
    }

    /// Has `callback` called with an `outcome<R>` when the task has ended, by another thread; also if this is destroyed
    /// before. It may wait and take its time; one that throws ends the program, as a thread's function does.
    template <class F> void on_complete(F callback) const
    {
        auto owned = std::make_unique<F>(std::move(callback));
        check(pinfold_handle_on_complete(get(), detail::completed<R, F>, owned.get()));
        static_cast<void>(owned.release()); // the callback frees it
    }

    /// Has `callback` called with a `progress` when the task has said how far it is, by another thread, never by
    /// two at a time; several reports may come as one, the last. One that throws ends the program. Throws with
    /// `PINFOLD_STATUS_NOTHING_YET` while the task waits for others.
    template <class F> void on_progress(F callback) const
    {
        auto owned = std::make_unique<F>(std::move(callback));
        // It is released whatever happens.
        check(pinfold_handle_follow_progress(get(), detail::progressed<F>, owned.release(), detail::release<F>));
    }

private:
    detail::owner<pinfold_handle, pinfold_handle_free> own_;
};

/// A handle of whatever type, of somebody else's.
class handle_ref {
public:
    template <class R> handle_ref(const handle<R> &of) noexcept : raw_(of.get()) {}
    pinfold_handle *get() const noexcept { return raw_; }

private:
    pinfold_handle *raw_;
};

namespace detail {

template <class Handles> std::vector<pinfold_handle *> raw_handles(const Handles &handles)
{
    std::vector<pinfold_handle *> raw;
    for (const auto &one : handles)
        raw.push_back(one.get());
    return raw;
}

} // namespace detail

/// Waits for all of them (handles in any container), at most so long: whether they have ended.
template <class Handles> bool wait_all(const Handles &handles, std::chrono::nanoseconds time = forever)
{
    const auto raw = detail::raw_handles(handles);
    return detail::happened(pinfold_handle_wait_all(raw.data(), raw.size(), detail::nanoseconds(time)),
                            PINFOLD_STATUS_TIMED_OUT);
}

/// The same for a list in braces, of handles of any types.
inline bool wait_all(std::initializer_list<handle_ref> handles, std::chrono::nanoseconds time = forever)
{
    return wait_all<std::initializer_list<handle_ref>>(handles, time);
}

/// Waits for one of them, at most so long: which it is, or nothing.
template <class Handles>
std::optional<std::size_t> wait_any(const Handles &handles, std::chrono::nanoseconds time = forever)
{
    const auto raw = detail::raw_handles(handles);
    std::size_t which = 0;
    const pinfold_status status
        = pinfold_handle_wait_any(raw.data(), raw.size(), detail::nanoseconds(time), &which);
    if (!detail::happened(status, PINFOLD_STATUS_TIMED_OUT))
        return std::nullopt;
    return which;
}

/// The same for a list in braces, of handles of any types.
inline std::optional<std::size_t> wait_any(std::initializer_list<handle_ref> handles,
                                           std::chrono::nanoseconds time = forever)
{
    return wait_any<std::initializer_list<handle_ref>>(handles, time);
}

/// Waits for all of them, and returns their results, in order, in one call of the library. Throws if one has
/// none: the first in the list.
///
///     auto squares = pinfold::join_all(squaring.submit_all(numbers));
template <class R> auto join_all(std::vector<handle<R>> handles)
{
    if constexpr (std::is_void_v<R>) {
        wait_all(handles);
        for (auto &one : handles)
            one.join();
    } else if constexpr (detail::travels<R>) {
        const std::size_t count = handles.size();
        std::vector<pinfold_handle *> raw = detail::raw_handles(handles);
        std::vector<std::byte> all(count * sizeof(R));
        std::vector<std::size_t> lens(count);
        std::vector<std::int32_t> statuses(count);
        const pinfold_status status = pinfold_handle_join_many(raw.data(), count, PINFOLD_FOREVER, all.data(),
                                                               all.size(), lens.data(), statuses.data());
        for (std::size_t i = 0; i < count; i++)
            if (raw[i] == nullptr)
                static_cast<void>(handles[i].release()); // it was freed
        std::vector<R> results;
        results.reserve(count);
        std::size_t at = 0;
        for (std::size_t i = 0; i < count; i++) {
            if (raw[i] != nullptr)
                results.push_back(handles[i].join()); // says why there is none
            else
                results.push_back(detail::coded<R>::get(detail::view(all.data() + at, lens[i]), "the result"));
            at += raw[i] == nullptr ? lens[i] : 0;
        }
        check(status);
        return results;
    } else {
        std::vector<R> results;
        results.reserve(handles.size());
        for (auto &one : handles)
            results.push_back(one.join());
        return results;
    }
}

/// Tells which tasks have ended to a program that has a poll loop of its own.
///
///     pinfold::events events;
///     events.add(handle, 7);
///     pollfd wait = {events.fd(), POLLIN, 0};
///     poll(&wait, 1, -1);
///     while (const auto token = events.next())
///         done(*token); // 7
class events {
public:
    events()
    {
        pinfold_events *raw = nullptr;
        check(pinfold_events_new(&raw));
        own_.reset(raw);
    }

    pinfold_events *get() const noexcept { return own_.get(); }

    /// Readable as long as there is a token to be taken; to poll, not to read or close.
    int fd() const
    {
        int fd = -1;
        check(pinfold_events_fd(get(), &fd));
        return fd;
    }

    /// Has `token` told when the task has ended; the handle may go before.
    void add(handle_ref of, std::uint64_t token) const { check(pinfold_events_add(get(), of.get(), token)); }

    /// The token of a task that has ended; nothing if there is none now.
    std::optional<std::uint64_t> next() const
    {
        std::uint64_t token = 0;
        if (!detail::happened(pinfold_events_next(get(), &token), PINFOLD_STATUS_NOTHING_YET))
            return std::nullopt;
        return token;
    }

private:
    detail::owner<pinfold_events, pinfold_events_free> own_;
};

/// Tasks that are waited for together. Destroyed, it cancels those that have not ended.
///
///     pinfold::group group;
///     for (int number : numbers)
///         task.submit_to(group, number);
///     group.wait();
class group {
public:
    group()
    {
        pinfold_group *raw = nullptr;
        check(pinfold_group_new(&raw));
        own_.reset(raw);
    }

    pinfold_group *get() const noexcept { return own_.get(); }

    /// Waits for all to end; throws if one of them has ended without a value.
    void wait() const { check(pinfold_group_wait(get(), PINFOLD_FOREVER)); }

    /// The same, at most so long: whether all have ended.
    bool wait_for(std::chrono::nanoseconds time) const
    {
        return detail::happened(pinfold_group_wait(get(), detail::nanoseconds(time)), PINFOLD_STATUS_TIMED_OUT);
    }

    /// Cancels those that have not ended; those that run are asked to end, and killed after `grace`.
    void cancel(std::chrono::nanoseconds grace = forever) const
    {
        check(pinfold_group_cancel(get(), detail::nanoseconds(grace)));
    }

private:
    detail::owner<pinfold_group, pinfold_group_free> own_;
};

} // namespace pinfold

#endif // PINFOLD_HANDLE_HPP
