/* Part of pinfold.hpp: what all of it is made of. */
#ifndef PINFOLD_BASE_HPP
#define PINFOLD_BASE_HPP

#ifndef __cplusplus
#error "pinfold.hpp is for C++; a C program includes pinfold.h"
#elif __cplusplus < 201703L
#error "pinfold.hpp needs C++17 or later (-std=c++17); pinfold.h is for any C and C++"
#endif

#include "../pinfold.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if __cplusplus >= 202002L && defined(__has_include)
#if __has_include(<span>)
#include <span>
#endif
#endif

namespace pinfold {

#if defined(__cpp_lib_span)
/// Some `T` that follow each other in memory which somebody else owns.
template <class T> using span = std::span<T>;
#else
/// Some `T` that follow each other in memory which somebody else owns: as much of
/// `std::span`, which C++17 does not have, as is needed.
template <class T> class span {
public:
    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N> constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
    template <class U, class = std::enable_if_t<std::is_convertible_v<U (*)[], T (*)[]>>>
    constexpr span(const span<U> &other) noexcept : data_(other.data()), size_(other.size()) {}
    /// Anything with `data()` and `size()`, such as a vector.
    template <class C, class = std::enable_if_t<std::is_convertible_v<
                           std::remove_pointer_t<decltype(std::declval<C &>().data())> (*)[], T (*)[]>>>
    constexpr span(C &&container) noexcept : data_(container.data()), size_(container.size()) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T &operator[](std::size_t index) const { return data_[index]; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

/// Memory to be read.
using bytes = span<const std::byte>;

/// A time that is never over.
inline constexpr std::chrono::nanoseconds forever = std::chrono::nanoseconds::max();

/// A call that failed, or a task that has ended without a value.
///
///     try {
///         use(handle.join());
///     } catch (const pinfold::error &failed) {
///         if (failed.status() == PINFOLD_STATUS_WORKER_DIED)
///             std::cerr << failed.what() << '\n';
///     }
class error : public std::runtime_error {
public:
    /// Takes its text from this thread's last message.
    explicit error(pinfold_status status) : std::runtime_error(text_of(status)), status_(status) {}
    error(pinfold_status status, const std::string &text) : std::runtime_error(text), status_(status) {}

    pinfold_status status() const noexcept { return status_; }

    /// Of what asks how a task has ended: whether it has ended, and so; if not, the call has failed.
    bool ends_task() const noexcept { return pinfold_status_ends_task(status_) != 0; }

private:
    static std::string text_of(pinfold_status status)
    {
        const char *said = pinfold_last_message();
        return *said != '\0' ? said : pinfold_status_message(status);
    }

    pinfold_status status_;
};

/// Throws `error` unless the status is success. For calls of pinfold.h:
///
///     pinfold::check(pinfold_runtime_trim_memory(runtime.get(), nullptr));
inline void check(pinfold_status status)
{
    if (status != PINFOLD_STATUS_OK)
        throw error(status);
}

namespace detail {

template <class T, pinfold_status (*Free)(T *)> struct freed {
    void operator()(T *object) const noexcept { Free(object); }
};
/// Owns a C object; moved, never copied.
template <class T, pinfold_status (*Free)(T *)> using owner = std::unique_ptr<T, freed<T, Free>>;

/// Whether values of the type travel by their bytes: it is not a pointer, which would mean nothing there.
template <class T>
inline constexpr bool travels
    = std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T> && !std::is_pointer_v<T>;

inline bytes view(const void *data, std::size_t size)
{
    return bytes(static_cast<const std::byte *>(data), size);
}

inline std::uint64_t nanoseconds(std::chrono::nanoseconds time)
{
    if (time == forever)
        return PINFOLD_FOREVER;
    return time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
}

inline std::optional<std::chrono::nanoseconds> time_left(std::uint64_t left)
{
    if (left > static_cast<std::uint64_t>(forever.count()))
        return std::nullopt;
    return std::chrono::nanoseconds(static_cast<std::int64_t>(left));
}

/// For what may not have happened in time, which is no failure.
inline bool happened(pinfold_status status, pinfold_status otherwise)
{
    if (status == otherwise)
        return false;
    check(status);
    return true;
}

[[noreturn]] inline void wrong_length(const char *what, std::size_t is, std::size_t wanted)
{
    throw error(PINFOLD_STATUS_INVALID_ARGUMENT,
                std::string(what) + " has " + std::to_string(is) + " bytes, not " + std::to_string(wanted));
}

} // namespace detail

/// Memory as so many `T`, in place. Throws if it is not a whole number of them, or not aligned for
/// them; arguments, inputs, outputs and buffers are aligned to 64 bytes, but for ranges of buffers.
///
///     double sum = 0;
///     for (double number : pinfold::view_as<double>(call.input(0)))
///         sum += number;
template <class T> span<const T> view_as(bytes from)
{
    static_assert(detail::travels<T>, "its bytes must be all there is to it: no pointer, no copy constructor of its own");
    if (from.size() % sizeof(T) != 0)
        throw error(PINFOLD_STATUS_INVALID_ARGUMENT,
                    std::to_string(from.size()) + " bytes are no whole number of values of "
                        + std::to_string(sizeof(T)) + " bytes");
    if (reinterpret_cast<std::uintptr_t>(from.data()) % alignof(T) != 0)
        throw error(PINFOLD_STATUS_INVALID_ARGUMENT, "the bytes are not aligned for values of that type");
    return span<const T>(reinterpret_cast<const T *>(from.data()), from.size() / sizeof(T));
}

/// The same to be written.
template <class T> span<T> view_as(span<std::byte> to)
{
    const auto seen = view_as<T>(bytes(to));
    return span<T>(const_cast<T *>(seen.data()), seen.size());
}

namespace detail {

/// How a value of a type becomes bytes, and the other way round.
template <class T> struct coded {
    static_assert(travels<T>, "an argument or a result is a type whose bytes are all there is to it, a `span<const T>` "
                              "(arguments), or a `std::vector<T>` or `std::string`, of such a type");

    static bytes put(const T &value) { return view(&value, sizeof value); }

    static T get(bytes from, const char *what)
    {
        if (from.size() != sizeof(T))
            wrong_length(what, from.size(), sizeof(T));
        T value{};
        std::memcpy(static_cast<void *>(&value), from.data(), sizeof(T));
        return value;
    }
};

template <class T> struct coded<span<const T>> {
    static bytes put(span<const T> values) { return view(values.data(), values.size() * sizeof(T)); }
    static span<const T> get(bytes from, const char *) { return view_as<T>(from); }
};

template <class T> struct coded<std::vector<T>> {
    static_assert(!std::is_same_v<T, bool>, "a vector of bool has no bytes of its own");
    static bytes put(const std::vector<T> &values) { return view(values.data(), values.size() * sizeof(T)); }
    static std::vector<T> get(bytes from, const char *)
    {
        const auto values = view_as<T>(from);
        return std::vector<T>(values.begin(), values.end());
    }
};

template <> struct coded<std::string> {
    static bytes put(const std::string &text) { return view(text.data(), text.size()); }
    static std::string get(bytes from, const char *)
    {
        return std::string(reinterpret_cast<const char *>(from.data()), from.size());
    }
};

/// No argument.
struct nothing {};

/// Calls `then` with the bytes of an argument for `A`, which are there so long.
template <class A, class Then, class... Argument> auto with_bytes(Then then, const Argument &...argument)
{
    if constexpr (sizeof...(Argument) == 0) {
        static_assert(std::is_same_v<A, nothing>, "the task takes an argument");
        return then(bytes());
    } else {
        static_assert(sizeof...(Argument) == 1 && !std::is_same_v<A, nothing>,
                      "a task takes one argument; make a struct of several");
        const A &converted = (argument, ...);
        return then(coded<A>::put(converted));
    }
}

} // namespace detail

} // namespace pinfold

#endif // PINFOLD_BASE_HPP
