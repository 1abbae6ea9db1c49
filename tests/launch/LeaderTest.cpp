#include "launch/Leader.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/Error.h"

namespace lockstep {
namespace {

constexpr int kHosts = 256;

// Each host of the loopback network has an address, which is also its name.
std::vector<std::string> names() {
  std::vector<std::string> all;
  for (int i = 0; i < kHosts; ++i)
    all.push_back("127.0." + std::to_string(1 + i / 200) + "." + std::to_string(1 + i % 200));
  return all;
}

HostReport report(const std::string& host) {
  return {.plan = {.name = host, .gpus = 0, .ranks = 8, .threads_per_rank = 4},
          .version = "1",
          .mpi = "4.1.4",
          .job = "j",
          .digest = "d",
          .secret = "",
          .system_name = host,
          .interface_name = ""};
}

sockaddr_in place(const std::string& address, int port) {
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, address.c_str(), &place.sin_addr);
  return place;
}

int free_port() {
  const FileDescriptor listener = listen_on_port(0);
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

Connection connected(const std::string& host, int port) {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in own = place(host, 0);
  const sockaddr_in leader = place("127.0.0.1", port);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&leader), sizeof leader) != 0) {
    throw SystemError(with_errno(host + " cannot reach the leader"));
  }
  return {std::move(socket), "the leader"};
}

// None is taken for one stranger too many, and has to try again.
TEST(Leader, HostsThatComeAllAtOnceAreAdmittedAtOnce) {
  const std::vector<std::string> hosts = names();
  const int port = free_port();
  Supervisor supervisor;
  Leader leader(supervisor, {.hosts = hosts, .port = port, .timeout = std::chrono::seconds(5), .interface_name = ""},
                report(hosts.front()), [] { return nlohmann::json(); });
  std::vector<Connection> members;  // whose ends would be hosts that are lost
  auto welcomed = std::async(std::launch::async, [&] {
    for (int i = 1; i < kHosts; ++i) members.push_back(connected(hosts[static_cast<std::size_t>(i)], port));
    for (int i = 1; i < kHosts; ++i) {
      members[static_cast<std::size_t>(i - 1)].send(report(hosts[static_cast<std::size_t>(i)]).to_json());
    }
    int count = 0;
    for (Connection& member : members) {
      const auto said = member.wait_until(std::chrono::steady_clock::now() + std::chrono::seconds(5));
      count += said && field<std::string>(*said, "type", "") == "welcome" ? 1 : 0;
    }
    return count;
  });
  const std::vector<HostReport> come = leader.gather();
  ASSERT_EQ(come.size(), kHosts);
  for (std::size_t i = 0; i < come.size(); ++i) EXPECT_EQ(come[i].plan.name, hosts[i]);
  EXPECT_EQ(welcomed.get(), kHosts - 1);
}

// It would look for its leader until hosts_timeout.
TEST(Leader, AHostThatComesWhenTheJobHasFailedHearsOfIt) {
  const std::vector<std::string> hosts = {"127.0.0.1", "127.0.0.2", "127.0.0.3"};
  const int port = free_port();
  Supervisor supervisor;
  Leader leader(supervisor, {.hosts = hosts, .port = port, .timeout = std::chrono::seconds(5), .interface_name = ""},
                report(hosts.front()), [] { return nlohmann::json(); });
  auto dismissed = std::async(std::launch::async, [&] { leader.dismiss({.code = kExitBadInput, .reason = "why"}); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  Connection late = connected(hosts[2], port);
  late.send(report(hosts[2]).to_json());
  const auto said = [&] { return late.wait_until(std::chrono::steady_clock::now() + std::chrono::seconds(5)); };
  EXPECT_EQ(said().value().at("type"), "welcome");
  EXPECT_EQ(said().value(), (nlohmann::json{{"type", "end"}, {"code", kExitBadInput}, {"reason", "why"}}));
}

}  // namespace
}  // namespace lockstep
