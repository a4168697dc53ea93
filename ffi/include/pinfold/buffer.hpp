/* Part of pinfold.hpp: memory that host and workers share. */
#ifndef PINFOLD_BUFFER_HPP
#define PINFOLD_BUFFER_HPP

#include "base.hpp"

namespace pinfold {

/// Shared memory, which tasks read where it is. Written first, by `data`; then published. Destroyed, it
/// lets go of the memory, which stays as long as anybody has it.
///
///     auto numbers = runtime.buffer(1000 * sizeof(double));
///     for (double &number : pinfold::view_as<double>(numbers.data()))
///         number = 1;
///     numbers.publish();
///     auto handle = summing.submit_with({numbers});
class buffer {
public:
    explicit buffer(pinfold_buffer *raw) noexcept : own_(raw) {}

    pinfold_buffer *get() const noexcept { return own_.get(); }

    /// To be written, until it is published.
    span<std::byte> data() const
    {
        void *data = nullptr;
        check(pinfold_buffer_data(get(), &data));
        return span<std::byte>(static_cast<std::byte *>(data), view().size());
    }

    /// To be read.
    bytes view() const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_buffer_const_data(get(), &data, &size));
        return detail::view(data, size);
    }

    /// From now on any number of tasks may read it, and nobody may write it.
    void publish() const { check(pinfold_buffer_publish(get())); }

    /// One more owner of the same memory, which is published.
    buffer share() const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_buffer_retain(get(), &raw));
        return buffer(raw);
    }

    /// Some of it, if it is published: `size` bytes from `offset` on, of the same memory.
    buffer range(std::size_t offset, std::size_t size) const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_buffer_range(get(), offset, size, &raw));
        return buffer(raw);
    }

private:
    detail::owner<pinfold_buffer, pinfold_buffer_free> own_;
};

/// Buffers for a task, as they are listed in a call.
using buffers = std::initializer_list<std::reference_wrapper<const buffer>>;

namespace detail {

/// What one submission has besides its argument.
struct submission {
    submission(buffers given, bool are_moved)
    {
        list.reserve(given.size());
        for (const buffer &one : given)
            list.push_back(one.get());
        settings.buffers = list.data();
        settings.buffer_count = list.size();
        settings.move_buffers = are_moved ? 1 : 0;
    }
    submission(const submission &) = delete;
    submission &operator=(const submission &) = delete;

    std::vector<pinfold_buffer *> list;
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
};

} // namespace detail

} // namespace pinfold

#endif // PINFOLD_BUFFER_HPP
