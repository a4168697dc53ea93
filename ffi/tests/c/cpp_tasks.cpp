// pinfold.hpp: all forms of functions, owners that move, exceptions that stay on their side.
#include "check.h"

#include <pinfold.hpp>

#include <array>
#include <numeric>

namespace {

int failures_of(void (*body)(), pinfold_status expected, const char *text)
{
    try {
        body();
    } catch (const pinfold::error &thrown) {
        if (thrown.status() == expected && strstr(thrown.what(), text) != nullptr)
            return 0;
        fprintf(stderr, "status %d: %s\n", static_cast<int>(thrown.status()), thrown.what());
        return 1;
    }
    fprintf(stderr, "nothing was thrown; expected: %s\n", text);
    return 1;
}

struct Point {
    std::int32_t x, y;
};
using Points = std::array<Point, 100>;

std::int64_t length_squared(const Point &point) noexcept
{
    return std::int64_t{point.x} * point.x + std::int64_t{point.y} * point.y;
}

// Freed before the others' handles and tasks are, which is allowed.
pinfold::runtime *fold;

template <class Task, class... Argument> void ends_with(const Task &task, pinfold_status status, const char *text, Argument... argument)
{
    auto handle = task.submit(argument...);
    handle.wait();
    try {
        handle.join();
    } catch (const pinfold::error &thrown) {
        CHECK_STATUS(thrown.status(), status);
        if (strstr(thrown.what(), text) == nullptr)
            fprintf(stderr, "said: %s\n", thrown.what());
        CHECK(strstr(thrown.what(), text) != nullptr);
        return;
    }
    CHECK(!"the task has failed");
}

} // namespace

int main(int argc, char **argv)
try {
    const auto plain = pinfold::define("plain", length_squared);
    const auto five = pinfold::define("five", [] { return 5; });
    const auto silent = pinfold::define("silent", [](int) noexcept {});
    const auto many = pinfold::define("many", [](std::int32_t first) {
        Points points{};
        for (std::size_t i = 0; i < points.size(); i++)
            points[i] = Point{first + static_cast<std::int32_t>(i), 0};
        return points;
    });
    const auto reversed = pinfold::define("reversed", [](pinfold::call &call, pinfold::bytes argument) {
        const auto output = call.output(argument.size());
        for (std::size_t i = 0; i < argument.size(); i++)
            output[i] = argument[argument.size() - 1 - i];
    });
    const auto total = pinfold::define("total", [](pinfold::call &call, std::int64_t start) {
        for (std::size_t i = 0; i < call.input_count(); i++) {
            const auto points = call.input<Points>(i);
            for (const Point &point : points)
                start += point.x;
        }
        return start;
    });
    const auto throws = pinfold::define("throws", [](int how) {
        if (how == 0)
            throw std::out_of_range("beyond the last row");
        if (how == 1)
            throw 7;
    });
    const auto asks_wrongly = pinfold::define("asks_wrongly", [](pinfold::call &call) { call.input(3); });
    CHECK(failures_of([] { pinfold::define("five", [] { return 6; }); },
                      PINFOLD_STATUS_INVALID_ARGUMENT, "five")
          == 0);
    CHECK(failures_of([] { pinfold::runtime early; }, PINFOLD_STATUS_NOT_INITIALIZED, "init") == 0);
    pinfold::init(argc, argv);
    CHECK(failures_of([] { pinfold::define("late", [] {}); }, PINFOLD_STATUS_TOO_LATE, "late") == 0);

    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 2;
    pinfold::runtime first(config);
    // It moves, and what was moved from may be destroyed.
    auto runtime = std::make_unique<pinfold::runtime>(std::move(first));
    fold = runtime.get();

    CHECK(fold->task(plain).submit(Point{3, 4}).join() == 25);
    CHECK(fold->task(five).submit().join() == 5);
    fold->task(silent).submit(1).join();

    const char text[] = {'a', 'b', 'c'};
    const auto backwards = fold->task(reversed).submit(pinfold::bytes(reinterpret_cast<const std::byte *>(text), 3));
    const auto view = backwards.view();
    CHECK(view.size() == 3 && memcmp(view.data(), "cba", 3) == 0);

    // Inputs that lie in shared memory, in order, from handles that are gone before the task is.
    std::vector<pinfold::handle_ref> after;
    std::vector<pinfold::handle<Points>> handles;
    const auto making = fold->task(many);
    for (std::int32_t i = 0; i < 4; i++)
        handles.push_back(making.submit(i));
    for (const auto &handle : handles)
        after.emplace_back(handle);
    auto sum = fold->task(total).submit_after(after, 100);
    handles.clear();
    CHECK(sum.wait_for(std::chrono::minutes(1)));
    CHECK(sum.join() == 100 + 4 * 4950 + 100 * (0 + 1 + 2 + 3));

    ends_with(fold->task(throws), PINFOLD_STATUS_TASK_FAILED, "beyond the last row", 0);
    ends_with(fold->task(throws), PINFOLD_STATUS_TASK_FAILED, "not a std::exception", 1);
    fold->task(throws).submit(2).join();
    ends_with(fold->task(asks_wrongly), PINFOLD_STATUS_TASK_FAILED, "there is no input 3");

    // Registered, but as something else: the lengths tell.
    const pinfold::task<double, Point> mistaken = [] {
        pinfold_task *raw = nullptr;
        CHECK_OK(pinfold_task_new(fold->get(), "five", nullptr, &raw));
        return pinfold::task<double, Point>(raw);
    }();
    ends_with(mistaken, PINFOLD_STATUS_INVALID_ARGUMENT, "the result has 4 bytes, not 8", Point{1, 2});

    // Destroyed without having been asked.
    { const auto unheard = fold->task(five).submit(); }
    auto last = fold->task(five).submit();
    runtime.reset();
    last.wait();
    return 0;
} catch (const std::exception &thrown) {
    fprintf(stderr, "an exception: %s\n", thrown.what());
    return 1;
}
