// pinfold.hpp: locks and their like, broadcast channels, groups, routers, select.
#include "check.h"

#include <pinfold.hpp>

#include <csignal>
#include <string>
#include <thread>

using namespace std::chrono_literals;

struct both {
    long first, second;
};

int main(int argc, char **argv)
try {
    const auto adds = pinfold::define("adds", [](pinfold::call &call, int times) {
        const auto shared = call.object<pinfold::mutex<both>>(0);
        const auto permits = call.object<pinfold::semaphore>(1);
        CHECK(call.object_count() == 2);
        for (int at = 0; at < times; at++) {
            const auto permit = permits.acquire();
            auto guard = shared.lock();
            guard->first++;
            guard->second++;
        }
    });
    const auto dies = pinfold::define("dies", [](pinfold::call &call) {
        const auto shared = call.object<pinfold::mutex<both>>(0);
        auto guard = shared.lock();
        guard->first++;
        std::raise(SIGKILL);
    });
    const auto parts = pinfold::define("parts", [](pinfold::call &call) {
        auto member = call.object<pinfold::member>(0);
        const auto barrier = call.object<pinfold::barrier>(1);
        const auto counts = call.object<pinfold::countdown>(2);
        member.timeout(60s);
        CHECK(member.size() == 2);
        const auto told = member.broadcast(0);
        CHECK(told.as<int>() == 7);
        const auto part = member.scatter(0, nullptr, sizeof(int));
        int sum = 0;
        for (int number : pinfold::view_as<int>(part.view()))
            sum += number;
        CHECK(member.all_reduce(sum, PINFOLD_OPERATION_SUM) == 15);
        CHECK(member.all_gather(told.view()).size() == 2);
        CHECK(member.gather(0, told.view()).empty());
        member.barrier();
        CHECK(counts.count());
        barrier.wait();
        return static_cast<int>(member.rank());
    });
    const auto hears = pinfold::define("hears", [](pinfold::call &call) {
        const auto subscriber = call.object<pinfold::subscriber>(0);
        int sum = 0;
        while (const auto message = subscriber.recv())
            sum += message->as<int>();
        return sum;
    });
    pinfold::define("nothing", [] {});
    const auto inside = pinfold::define("inside", [](pinfold::call &call) {
        // What a task makes, and gets in a message.
        const auto counted = call.mutex(1L);
        auto [router, receivers] = call.router(1, 1);
        router.send(0, pinfold::bytes(), pinfold::cargo().add(counted));
        const auto message = *receivers[0].recv();
        CHECK(message.object_count() == 1);
        ++*message.object<pinfold::mutex<long>>(0).lock();
        CHECK(*counted.lock() == 2);
        const auto made = call.oncelock<long>();
        CHECK(made.get_or_init([](long &value) { value = 9; }) == 9);
        const auto counts = call.latch(1);
        CHECK(counts.second.count() && call.barrier(1).size() == 1 && call.collective(1)[0].size() == 1);
        // And waits for.
        const auto prices = call.broadcast(1);
        const auto mine = prices.subscribe();
        const auto ticker = call.ticker(1h);
        const auto child = call.submit(pinfold::function<void>("nothing"));
        pinfold::select first;
        first.also(mine).also(ticker).also(child);
        CHECK(first.wait().index == 2);
        first.remove(2);
        prices.send_value(5);
        CHECK(first.wait().index == 0 && mine.try_recv()->as<int>() == 5 && ticker.missed() == 0);
    });
    pinfold::init(argc, argv);

    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 2;
    const pinfold::runtime runtime(config);
    {
        const auto shared = runtime.mutex(both{0, 0});
        const auto permits = runtime.semaphore(1);
        const auto task = runtime.task(adds);
        auto first = task.submit_with(pinfold::cargo().add(shared).add(permits), 100);
        auto second = task.submit_with(pinfold::cargo().add(shared).add(permits), 100);
        first.join();
        second.join();
        CHECK(shared.lock()->second == 200);
        CHECK(permits.available() == 1);
        {
            const auto permit = permits.acquire();
            CHECK(!permits.acquire_for(1ms) && permit);
        }
        // Who is told, and mends.
        try {
            runtime.task(dies).submit_with(pinfold::cargo().add(shared)).join();
            CHECK(!"it dies");
        } catch (const pinfold::error &thrown) {
            CHECK_STATUS(thrown.status(), PINFOLD_STATUS_WORKER_DIED);
        }
        {
            auto guard = shared.lock();
            CHECK(guard.is_half() && guard->first == 201 && guard->second == 200);
            std::thread([&] { CHECK(!shared.try_lock() && !shared.lock_for(1ms)); }).join();
            guard->second = guard->first;
            guard.mend();
        }
        CHECK(!shared.lock().is_half());
        try {
            auto guard = shared.lock();
            throw std::string("in the middle");
        } catch (const std::string &) {
        }
        CHECK(shared.lock().is_half());
        try {
            const auto once = shared.lock();
            shared.lock();
            CHECK(!"this thread has it");
        } catch (const pinfold::error &thrown) {
            CHECK_STATUS(thrown.status(), PINFOLD_STATUS_DEADLOCK);
        }
    }
    {
        runtime.task(inside).submit().join();
        const auto made = runtime.oncelock<both>();
        CHECK(made.try_get() == nullptr);
        try {
            made.get_or_init([](both &) { throw std::string("not now"); });
            CHECK(!"it throws");
        } catch (const std::string &) {
        }
        CHECK(made.get_or_init([](both &value) { value.second = 3; }).second == 3);
        CHECK(made.try_get()->first == 0 && made.get_or_init([](both &) {}, 0ns).second == 3);
        const auto [to, from] = runtime.channel(1);
        to.send({}, pinfold::cargo().add(made));
        CHECK(from.recv()->object<pinfold::oncelock<both>>(0).try_get()->second == 3);
    }
    {
        const auto table = runtime.rwlock(5);
        {
            const auto one = table.read();
            const auto two = table.read_for(1s);
            CHECK(*one == 5 && **two == 5);
            std::thread([&] { CHECK(!table.try_write()); }).join();
        }
        *table.write() = 6;
        CHECK(**table.try_read() == 6);
        CHECK(table.write_for(1s).has_value());

        const auto once = runtime.once();
        try {
            once.call([](bool) { throw std::runtime_error("not yet"); });
            CHECK(!"it throws");
        } catch (const std::runtime_error &thrown) {
            CHECK(std::string(thrown.what()) == "not yet");
        }
        CHECK(once.call([](bool was_begun) { CHECK(was_begun); }));
        CHECK(!once.call([](bool) { CHECK(!"once"); }) && once.is_done());
        CHECK(runtime.ticker(1ms).wait() >= 1);
        auto [group, member] = runtime.waitgroup();
        CHECK(!group.wait_for(1ms));
        pinfold::waitgroup_member(std::move(member));
        group.wait();
    }
    {
        auto members = runtime.collective(2);
        auto barriers = runtime.barrier(2);
        auto [latch, counts] = runtime.latch(1);
        auto handle = runtime.task(parts).submit_with(pinfold::cargo().add(members[1]).add(barriers[1]).add(counts));
        members[0].timeout(60s);
        const int seven = 7;
        const pinfold::span<const int> told(&seven, 1);
        members[0].broadcast(0, pinfold::bytes(reinterpret_cast<const std::byte *>(told.data()), sizeof seven));
        const auto all = runtime.buffer(5 * sizeof(int));
        int next = 1;
        for (int &number : pinfold::view_as<int>(all.data()))
            number = next++;
        all.publish();
        int sum = 0;
        const auto part = members[0].scatter(0, &all, sizeof(int));
        for (int number : pinfold::view_as<int>(part.view()))
            sum += number;
        CHECK(members[0].all_reduce(sum, PINFOLD_OPERATION_SUM) == 15);
        CHECK(members[0].all_gather(pinfold::bytes()).size() == 2);
        CHECK(members[0].gather(0, pinfold::bytes())[1].as<int>() == 7);
        members[0].barrier();
        latch.wait();
        CHECK(latch.left() == 0);
        barriers[0].wait();
        CHECK(handle.join() == 1);
        try {
            members[0].barrier();
            CHECK(!"it has left");
        } catch (const pinfold::member_error &thrown) {
            CHECK_STATUS(thrown.status(), PINFOLD_STATUS_MEMBER_GONE);
            CHECK(thrown.rank() == 1);
        }
        members[0].shrink();
        CHECK(members[0].size() == 1);
    }
    {
        auto prices = runtime.broadcast(2, PINFOLD_OVERFLOW_DROP_OLDEST);
        const auto slow = prices.subscribe();
        for (int price = 0; price < 3; price++)
            prices.send_value(price);
        try {
            slow.recv();
            CHECK(!"it has lost one");
        } catch (const pinfold::lagged &thrown) {
            CHECK(thrown.count() == 1);
        }
        CHECK(slow.recv()->as<int>() == 1 && slow.recv_for(1s)->as<int>() == 2);
        auto numbers = runtime.broadcast(4);
        auto handle = runtime.task(hears).submit_with(pinfold::cargo().add(numbers.subscribe()));
        for (int number = 0; number < 10; number++)
            numbers.send_value(number);
        numbers.close();
        CHECK(handle.join() == 45);
    }
    {
        auto [router, receivers] = runtime.router(2, 4);
        router.send(1, pinfold::bytes());
        router.balance(pinfold::bytes());
        CHECK(receivers[0].size() == 1 && receivers[1].size() == 1);
        router.send_by_key("Ada", pinfold::bytes());
        CHECK(receivers[router.receiver_of("Ada")].size() == 2);
        CHECK(router.join().size() == 0);

        auto [to, from] = runtime.channel(1);
        auto [other, never] = runtime.channel(1);
        pinfold::select first;
        first.recv(from).recv(never).at(std::chrono::steady_clock::now() + 10ms);
        CHECK(first.wait().index == 2);
        CHECK(!first.wait_for(0ns) || first.wait().index == 2);
        first.remove(2);
        CHECK(!first.wait_for(1ms) && !first.wait_for(0ns));
        to.send_value(5);
        auto chosen = first.wait();
        CHECK(chosen.index == 0 && chosen.message->as<int>() == 5);
        first.send(to, pinfold::bytes());
        CHECK(first.wait().index == 3);
        first.remove(3);
        CHECK(first.wait().index == 0);
        { const pinfold::sender gone(std::move(to)); }
        chosen = first.wait();
        CHECK(chosen.index == 0 && chosen.is_over && !chosen.message);
    }
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
