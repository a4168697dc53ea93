/* Part of pinfold.hpp: channels between processes. */
#ifndef PINFOLD_CHANNEL_HPP
#define PINFOLD_CHANNEL_HPP

#include "buffer.hpp"

namespace pinfold {

class message;
class sender;
class receiver;

/// What goes with a message, or with the argument of a task: buffers that are published, ends of
/// channels, and other objects (`message::object`, `call::object`). All are to be there until it was sent, and stay yours, but
/// for a subscriber, and a member of a barrier or of a group: these are moved.
///
///     handle = squaring.submit_with(pinfold::cargo().add(requests).add(replies), 7);
class cargo {
public:
    cargo &add(const buffer &one);
    cargo &add(const sender &one);
    cargo &add(const receiver &one);
    /// A mutex, a publisher, and so on: what `shared.hpp` and `group.hpp` have.
    template <class Object, class = typename Object::raw_type> cargo &add(const Object &one)
    {
        objects_.push_back(one.get());
        return *this;
    }

    /// For calls of pinfold.h, as long as this stays as it is.
    pinfold_submit_settings settings() const noexcept
    {
        pinfold_submit_settings all = PINFOLD_SUBMIT_SETTINGS_INIT;
        all.buffers = buffers_.data();
        all.buffer_count = buffers_.size();
        all.senders = senders_.data();
        all.sender_count = senders_.size();
        all.receivers = receivers_.data();
        all.receiver_count = receivers_.size();
        all.objects = objects_.data();
        all.object_count = objects_.size();
        return all;
    }

private:
    std::vector<pinfold_buffer *> buffers_;
    std::vector<pinfold_sender *> senders_;
    std::vector<pinfold_receiver *> receivers_;
    std::vector<const void *> objects_;
};

/// The sending end of a channel. Destroyed, it is one less: the channel is over for its receivers with the
/// last one.
class sender {
public:
    explicit sender(pinfold_sender *raw) noexcept : own_(raw) {}

    pinfold_sender *get() const noexcept { return own_.get(); }

    /// One more of the same channel.
    sender clone() const
    {
        pinfold_sender *raw = nullptr;
        check(pinfold_sender_clone(get(), &raw));
        return sender(raw);
    }

    /// Sends bytes, which are copied, and what goes with them; waits for room. Throws
    /// `PINFOLD_STATUS_DISCONNECTED` when nobody receives any more.
    void send(bytes data, const cargo &with = {}) const { check(put(data, with, PINFOLD_FOREVER)); }

    /// The same; waits at most so long: whether it was sent.
    bool send_for(std::chrono::nanoseconds time, bytes data, const cargo &with = {}) const
    {
        return sent(put(data, with, detail::nanoseconds(time)));
    }

    /// The same without waiting.
    bool try_send(bytes data, const cargo &with = {}) const { return sent(put(data, with, 0)); }

    /// Sends a value, by its bytes: a type that an argument of a task may have.
    ///
    ///     jobs.send_value(7);
    template <class T> void send_value(const T &value, const cargo &with = {}) const
    {
        send(detail::coded<T>::put(value), with);
    }

    /// How many messages there are, at some moment.
    std::size_t size() const
    {
        std::size_t size = 0;
        check(pinfold_sender_len(get(), &size));
        return size;
    }

    /// How many it holds.
    std::size_t capacity() const
    {
        std::size_t size = 0;
        check(pinfold_sender_capacity(get(), &size));
        return size;
    }

    /// No more messages are accepted from anybody.
    void close() const { check(pinfold_sender_close(get())); }

private:
    pinfold_status put(bytes data, const cargo &with, std::uint64_t time) const
    {
        const pinfold_submit_settings settings = with.settings();
        return pinfold_sender_send(get(), data.data(), data.size(), &settings, time);
    }

    static bool sent(pinfold_status status)
    {
        return status != PINFOLD_STATUS_FULL && detail::happened(status, PINFOLD_STATUS_TIMED_OUT);
    }

    detail::owner<pinfold_sender, pinfold_sender_free> own_;
};

/// The receiving end of a channel. Destroyed, it is one less: the channel is over for its senders with the
/// last one.
///
///     for (const pinfold::message &message : results)
///         sum += message.as<long>();
class receiver {
public:
    explicit receiver(pinfold_receiver *raw) noexcept : own_(raw) {}

    pinfold_receiver *get() const noexcept { return own_.get(); }

    /// One more of the same channel: each message is received by one.
    receiver clone() const
    {
        pinfold_receiver *raw = nullptr;
        check(pinfold_receiver_clone(get(), &raw));
        return receiver(raw);
    }

    /// The next message; waits for it. Nothing when all are taken and nobody sends any more.
    std::optional<message> recv() const;

    /// The same; waits at most so long, and throws `PINFOLD_STATUS_TIMED_OUT` then.
    std::optional<message> recv_for(std::chrono::nanoseconds time) const;

    /// The same without waiting; throws `PINFOLD_STATUS_EMPTY` if there is none now.
    std::optional<message> try_recv() const;

    /// How many messages there are, at some moment.
    std::size_t size() const
    {
        std::size_t size = 0;
        check(pinfold_receiver_len(get(), &size));
        return size;
    }

    /// How many were dropped to make room for others.
    std::uint64_t dropped() const
    {
        std::uint64_t count = 0;
        check(pinfold_receiver_dropped(get(), &count));
        return count;
    }

    /// How many were received and not acknowledged, nor given back (`pinfold_channel_settings.acks`).
    std::size_t unacknowledged() const
    {
        std::size_t count = 0;
        check(pinfold_receiver_unacknowledged(get(), &count));
        return count;
    }

    /// How many were lost with receivers that died while they took them.
    std::uint64_t lost() const
    {
        std::uint64_t count = 0;
        check(pinfold_receiver_lost(get(), &count));
        return count;
    }

    /// No more messages are accepted from anybody.
    void close() const { check(pinfold_receiver_close(get())); }

    class iterator;
    /// All messages until nobody sends any more.
    iterator begin() const;
    iterator end() const;

private:
    std::optional<message> take(std::uint64_t time) const;

    detail::owner<pinfold_receiver, pinfold_receiver_free> own_;
};

/// A message that was received.
class message {
public:
    explicit message(pinfold_message *raw) noexcept : own_(raw) {}

    pinfold_message *get() const noexcept { return own_.get(); }

    /// Its bytes, as long as this lives.
    bytes view() const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_message_data(get(), &data, &size));
        return detail::view(data, size);
    }

    /// The same as a value (`sender::send_value`).
    template <class T> T as() const { return detail::coded<T>::get(view(), "the message"); }

    std::size_t buffer_count() const { return count(pinfold_message_buffer_count); }
    std::size_t sender_count() const { return count(pinfold_message_sender_count); }
    std::size_t receiver_count() const { return count(pinfold_message_receiver_count); }

    /// One of its buffers, to be kept.
    pinfold::buffer buffer(std::size_t index) const
    {
        return pinfold::buffer(at<pinfold_buffer>(pinfold_message_buffer, index));
    }

    /// One of its sending ends, to be kept.
    pinfold::sender sender(std::size_t index) const
    {
        return pinfold::sender(at<pinfold_sender>(pinfold_message_sender, index));
    }

    /// One of its receiving ends, to be kept.
    pinfold::receiver receiver(std::size_t index) const
    {
        return pinfold::receiver(at<pinfold_receiver>(pinfold_message_receiver, index));
    }

    /// It was dealt with, and is not received again: for a channel whose messages are acknowledged
    /// (`pinfold_channel_settings.acks`), where one that is destroyed without that is.
    void ack() const { check(pinfold_message_ack(get())); }

    /// How often it was received, this time included.
    unsigned attempt() const
    {
        std::uint32_t attempt = 0;
        check(pinfold_message_attempt(get(), &attempt));
        return attempt;
    }

    /// How many other objects it has.
    std::size_t object_count() const { return count(pinfold_message_object_count); }

    /// One of them, to be kept; of the kind that it is, or its first use throws. What has one owner is had once.
    ///
    ///     const pinfold::message message = *results.recv();
    ///     const auto total = message.object<pinfold::mutex<long>>(0);
    template <class Object> Object object(std::size_t index) const
    {
        return Object(static_cast<typename Object::raw_type *>(at<void>(pinfold_message_object, index)));
    }

private:
    std::size_t count(pinfold_status (*of)(pinfold_message *, std::size_t *)) const
    {
        std::size_t count = 0;
        check(of(get(), &count));
        return count;
    }

    template <class T> T *at(pinfold_status (*of)(pinfold_message *, std::size_t, T **), std::size_t index) const
    {
        T *raw = nullptr;
        check(of(get(), index, &raw));
        return raw;
    }

    detail::owner<pinfold_message, pinfold_message_free> own_;
};

/// Goes on to the next message, for which it waits.
class receiver::iterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = message;
    using difference_type = std::ptrdiff_t;
    using pointer = const message *;
    using reference = const message &;

    iterator() = default;
    explicit iterator(const receiver &from) : from_(&from), now_(from.recv()) {}

    const message &operator*() const { return *now_; }
    const message *operator->() const { return &*now_; }
    iterator &operator++()
    {
        now_ = from_->recv();
        return *this;
    }
    bool operator==(const iterator &other) const noexcept { return now_.has_value() == other.now_.has_value(); }
    bool operator!=(const iterator &other) const noexcept { return !(*this == other); }

private:
    const receiver *from_ = nullptr;
    std::optional<message> now_;
};

inline std::optional<message> receiver::take(std::uint64_t time) const
{
    pinfold_message *raw = nullptr;
    const pinfold_status status = pinfold_receiver_recv(get(), time, &raw);
    if (!detail::happened(status, PINFOLD_STATUS_DISCONNECTED))
        return std::nullopt;
    return message(raw);
}

inline std::optional<message> receiver::recv() const { return take(PINFOLD_FOREVER); }
inline std::optional<message> receiver::recv_for(std::chrono::nanoseconds time) const
{
    return take(detail::nanoseconds(time));
}
inline std::optional<message> receiver::try_recv() const { return take(0); }
inline receiver::iterator receiver::begin() const { return iterator(*this); }
inline receiver::iterator receiver::end() const { return iterator(); }

inline cargo &cargo::add(const buffer &one)
{
    buffers_.push_back(one.get());
    return *this;
}
inline cargo &cargo::add(const sender &one)
{
    senders_.push_back(one.get());
    return *this;
}
inline cargo &cargo::add(const receiver &one)
{
    receivers_.push_back(one.get());
    return *this;
}

/// Both ends of a channel, to be taken apart: `auto [numbers, of_tasks] = runtime.channel(16);`
using channel_ends = std::pair<sender, receiver>;

namespace detail {

inline pinfold_channel_settings channel_settings(pinfold_overflow overflow)
{
    pinfold_channel_settings settings = PINFOLD_CHANNEL_SETTINGS_INIT;
    settings.overflow = overflow;
    return settings;
}

template <class Of>
channel_ends channel(pinfold_status (*make)(Of *, std::size_t, const pinfold_channel_settings *, pinfold_sender **,
                                            pinfold_receiver **),
                     Of *of, std::size_t capacity, const pinfold_channel_settings &settings)
{
    pinfold_sender *to = nullptr;
    pinfold_receiver *from = nullptr;
    check(make(of, capacity, &settings, &to, &from));
    return channel_ends(sender(to), receiver(from));
}

} // namespace detail

} // namespace pinfold

#endif // PINFOLD_CHANNEL_HPP
