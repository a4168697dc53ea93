// pinfold.hpp: channels, their ends as arguments and in messages, and messages with buffers.
#include "check.h"

#include <pinfold.hpp>

#include <string>

using namespace std::chrono_literals;

int main(int argc, char **argv)
try {
    const auto doubled = pinfold::define("doubled", [](pinfold::call &call, int times) {
        const auto results = call.sender(0);
        const auto numbers = call.receiver(0);
        int count = 0;
        for (const pinfold::message &message : numbers) {
            results.send_value(message.as<int>() * times);
            count++;
        }
        return count;
    });
    const auto replies = pinfold::define("replies", [](pinfold::call &call) {
        const auto [unused, of_task] = call.channel(1, PINFOLD_OVERFLOW_REJECT);
        CHECK(unused.try_send(pinfold::bytes()));
        CHECK(!unused.try_send(pinfold::bytes()));
        CHECK(of_task.size() == 1);
        const auto request = call.receiver(0).recv();
        const auto text = request->as<std::string>();
        const auto buffer = request->buffer(0);
        request->sender(0).send_value(text + std::to_string(buffer.view().size()));
    });
    pinfold::init(argc, argv);

    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 2;
    const pinfold::runtime runtime(config);
    {
        auto [numbers, of_tasks] = runtime.channel(4);
        auto [to_host, results] = runtime.channel(64);
        const auto task = runtime.task(doubled);
        auto first = task.submit_with(pinfold::cargo().add(of_tasks).add(to_host), 2);
        auto second = task.submit_with(pinfold::cargo().add(of_tasks).add(to_host), 2);
        pinfold::sender(std::move(to_host));
        pinfold::receiver(std::move(of_tasks));
        CHECK(numbers.capacity() >= 4);
        for (int number = 0; number < 20; number++)
            numbers.send_value(number);
        pinfold::sender(std::move(numbers));
        int sum = 0;
        for (const auto &message : results)
            sum += message.as<int>();
        CHECK(sum == 380);
        CHECK(first.join() + second.join() == 20);
        CHECK(!results.recv());
        CHECK(results.lost() == 0 && results.dropped() == 0);
    }
    {
        const auto [requests, of_task] = runtime.channel(1);
        const auto [reply, answers] = runtime.channel(1);
        const auto buffer = runtime.buffer(12345);
        buffer.publish();
        auto handle = runtime.task(replies).submit_with(pinfold::cargo().add(of_task));
        requests.send_value(std::string("bytes: "), pinfold::cargo().add(buffer).add(reply));
        CHECK(answers.recv()->as<std::string>() == "bytes: 12345");
        handle.join();
        try {
            answers.recv_for(1ms);
            CHECK(!"there is none");
        } catch (const pinfold::error &thrown) {
            CHECK_STATUS(thrown.status(), PINFOLD_STATUS_TIMED_OUT);
        }
        CHECK(reply.send_for(1ms, pinfold::bytes()));
        CHECK(!reply.send_for(1ms, pinfold::bytes()));
        const auto more = reply.clone();
        CHECK(more.size() == 1);
        const auto again = answers.clone();
        again.close();
        CHECK(again.recv().has_value());
        CHECK(!answers.recv());
        try {
            more.send(pinfold::bytes());
            CHECK(!"it is closed");
        } catch (const pinfold::error &thrown) {
            CHECK_STATUS(thrown.status(), PINFOLD_STATUS_DISCONNECTED);
        }
    }
    {
        pinfold_channel_settings settings = PINFOLD_CHANNEL_SETTINGS_INIT;
        settings.acks = 1;
        settings.compress_from = 1000;
        const auto [jobs, workers] = runtime.channel(4, settings);
        jobs.send_value(std::string(5000, 'x'));
        CHECK(workers.recv()->attempt() == 1); // and is not acknowledged
        const auto again = workers.recv_for(60s);
        CHECK(again->attempt() == 2 && again->as<std::string>().size() == 5000 && workers.unacknowledged() == 1);
        again->ack();
        CHECK(workers.unacknowledged() == 0 && workers.size() == 0);
    }
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
