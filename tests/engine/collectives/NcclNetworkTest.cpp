#include "engine/collectives/NcclNetwork.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdio>
#include <memory>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

// As NCCL and the plugin write them, from jobs of their users.
constexpr const char* kEfa = R"(host:386:386 [0] NCCL INFO NCCL_SOCKET_IFNAME set by environment to =eth0
host:386:386 [0] NCCL INFO Bootstrap: Using eth0:10.0.4.51<0>
host:386:402 [0] NCCL INFO NCCL_NET_PLUGIN set by environment to /opt/amazon/ofi-nccl/lib/libnccl-net-ofi.so
host:386:402 [0] NCCL INFO NET/Plugin: Loaded net plugin Libfabric (v10)
host:386:402 [0] NCCL INFO NET/OFI Initializing aws-ofi-nccl 1.21.1
host:386:402 [0] NCCL INFO NET/OFI Using Libfabric version 2.3
host:386:402 [0] NCCL INFO NET/OFI Using CUDA driver version 13000 with runtime 12090
host:386:402 [0] NCCL INFO NET/OFI Selected provider is efa, fabric is efa-direct (found 32 nics)
host:386:402 [0] NCCL INFO NET/OFI Using transport protocol RDMA (platform set)
host:386:402 [0] NCCL INFO Using network Libfabric
)";
constexpr const char* kOlder = R"(host:21:21 [0] NCCL INFO NET/OFI Initializing aws-ofi-nccl 1.18.0-aws
host:21:21 [0] NCCL INFO NET/OFI Selected Provider is efa (found 1 nics)
host:21:21 [0] NCCL INFO Using network AWS Libfabric
)";
constexpr const char* kNoDevice = R"(host:21:21 [0] NCCL INFO NET/OFI Initializing aws-ofi-nccl 1.20.0
host:21:21 [0] NCCL INFO NET/OFI Selected provider is efa (found 0 nics)
host:21:21 [0] NCCL INFO NET/IB : No device found.
host:21:21 [0] NCCL INFO NET/Socket : Using [0]eth0:10.0.4.51<0>
host:21:21 [0] NCCL INFO Initialized NET plugin Socket
host:21:21 [0] NCCL INFO Using network Socket
)";

TEST(NcclNetwork, IsWhatNcclSaysItUses) {
  const NcclNetwork efa = read_nccl_network(kEfa);
  EXPECT_TRUE(efa.is_efa());
  EXPECT_EQ(efa.description(), "Libfabric (efa), plugin aws-ofi-nccl 1.21.1");
  EXPECT_EQ(efa.warning(), "");
  const NcclNetwork older = read_nccl_network(kOlder);
  EXPECT_EQ(older.description(), "AWS Libfabric (efa), plugin aws-ofi-nccl 1.18.0-aws");
  EXPECT_NE(older.warning().find("WARNING: aws-ofi-nccl 1.18.0-aws is older than 1.20"), std::string::npos);
  EXPECT_TRUE(older.is_efa());
  const NcclNetwork socket = read_nccl_network(kNoDevice);
  EXPECT_EQ(socket.transport(), "Socket");
  EXPECT_TRUE(socket.known() && !socket.is_efa());
}

TEST(NcclNetwork, LibfabricOverTcpIsNotEfa) {
  const NcclNetwork tcp = read_nccl_network(
      "h:1:1 [0] NCCL INFO NET/OFI Selected provider is tcp, fabric is 10.0.0.0/8 (found 1 nics)\n"
      "h:1:1 [0] NCCL INFO Using network Libfabric\n");
  EXPECT_EQ(tcp.transport(), "Libfabric (tcp)");
  EXPECT_FALSE(tcp.is_efa());
}

TEST(NcclNetwork, VersionsThatAreNoReleaseAreNotJudged) {
  const auto warning = [](const std::string& version) {
    return read_nccl_network("h:1:1 [0] NCCL INFO NET/OFI Initializing aws-ofi-nccl " + version + "\n").warning();
  };
  for (const char* good : {"1.20.0", "1.20", "1.100.1", "2.0.0", "git-6e504db", "GitHub-dev", "", "1"}) {
    EXPECT_EQ(warning(good), "") << good;
  }
  for (const char* old : {"1.19.2", "1.4.0aws", "1.13.2-aws", "0.9"}) EXPECT_NE(warning(old), "") << old;
}

TEST(NcclNetwork, LinesThatSayNothingAreNotKnown) {
  EXPECT_FALSE(read_nccl_network("").known());
  EXPECT_FALSE(read_nccl_network("Using network\nNCCL INFO Using network \n\xff\xfe\n").known());
}

// The last rank has another network than the others.
std::vector<std::string> agreed(const NcclNetwork& of_others, const NcclNetwork& of_last, bool wants_efa) {
  MpiCommunicator ranks(mpi_session(), MpiMode::kInline);
  return agree_on_network(ranks, ranks.rank() + 1 == ranks.size() ? of_last : of_others, wants_efa);
}

// A host with EFA whose gradients travel over TCP, though the plugin was found.
TEST(AgreeOnNetwork, AHostWithEfaMustUseIt) {
  using Lines = std::vector<std::string>;
  const NcclNetwork efa = read_nccl_network(kEfa);
  const NcclNetwork older = read_nccl_network(kOlder);
  const NcclNetwork socket = read_nccl_network(kNoDevice);
  const NcclNetwork unknown;
  EXPECT_EQ(agreed(efa, efa, true), Lines{"NCCL reaches other hosts by Libfabric (efa), plugin aws-ofi-nccl 1.21.1"});
  EXPECT_EQ(agreed(older, older, true).size(), 2);
  EXPECT_EQ(agreed(socket, socket, false), Lines{"NCCL reaches other hosts by Socket, plugin aws-ofi-nccl 1.20.0"});
  EXPECT_ERROR(agreed(socket, socket, true), CollectiveError, "this host has EFA", "by Socket", "allow_tcp=true");
  EXPECT_ERROR(agreed(efa, socket, true), CollectiveError, "this host has EFA", "by Socket");
  EXPECT_NE(agreed(unknown, unknown, true).at(0).find("Using network"), std::string::npos);
  EXPECT_TRUE(agreed(unknown, unknown, false).empty());
  if (MpiCommunicator(mpi_session(), MpiMode::kInline).size() > 1) {
    EXPECT_ERROR(agreed(efa, socket, false), CollectiveError,
                 "by Libfabric (efa) on some ranks and by Socket on others");
  }
}

/// NCCL as far as its log goes: it looks at its variables at the first line, and again after a reset.
class StandIn {
 public:
  StandIn() {
    for (const char* name : {"NCCL_DEBUG", "NCCL_DEBUG_SUBSYS", "NCCL_DEBUG_FILE"}) ::unsetenv(name);
  }
  ~StandIn() { reset(); }
  void reset() {
    file_.reset();
    asked_ = false;
  }
  void info(const std::string& line) {
    const char* level = std::getenv("NCCL_DEBUG");
    const char* path = std::getenv("NCCL_DEBUG_FILE");
    if (!asked_ && level && path && level == std::string("INFO")) file_.reset(std::fopen(path, "w"));
    asked_ = true;
    if (!file_) return;
    std::fputs((line + "\n").c_str(), file_.get());
    std::fflush(file_.get());
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  bool asked_ = false;
};

std::string value(const char* name) {
  const char* text = std::getenv(name);
  return text ? text : "(none)";
}

TEST(NcclLog, TakesTheLinesOfTheStartAndNoMore) {
  for (const bool can_reset : {true, false}) {
    StandIn nccl;
    NcclLog log(can_reset ? std::function<void()>([&] { nccl.reset(); }) : nullptr);
    nccl.info("Using network Socket");
    EXPECT_EQ(log.take(), "Using network Socket\n");
    EXPECT_EQ(value("NCCL_DEBUG") + value("NCCL_DEBUG_SUBSYS") + value("NCCL_DEBUG_FILE"), "(none)(none)(none)");
    nccl.info("later");
    EXPECT_EQ(log.take(), std::nullopt);
  }
}

TEST(NcclLog, LeavesWhatTheUserHasAskedFor) {
  StandIn nccl;
  ::setenv("NCCL_DEBUG", "WARN", 1);
  ::setenv("NCCL_DEBUG_SUBSYS", "GRAPH", 1);
  {
    NcclLog log([&] { nccl.reset(); });
    nccl.info("h:1:1 [0] NCCL INFO Using network IB");
    nccl.info("h:1:1 [0] NCCL WARN a cable is loose");
    testing::internal::CaptureStderr();
    EXPECT_EQ(read_nccl_network(log.take().value_or("")).name, "IB");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "h:1:1 [0] NCCL WARN a cable is loose\n");
    EXPECT_EQ(value("NCCL_DEBUG") + value("NCCL_DEBUG_SUBSYS"), "WARNGRAPH");
  }
  EXPECT_EQ(NcclLog(nullptr).take(), std::nullopt);  // the user's lines would not come back
  for (const char* level : {"INFO", "trace"}) {
    ::setenv("NCCL_DEBUG", level, 1);
    NcclLog log([] { ADD_FAILURE() << "the user's own log was touched"; });
    EXPECT_EQ(log.take(), std::nullopt);
    EXPECT_EQ(value("NCCL_DEBUG"), level);
  }
  ::unsetenv("NCCL_DEBUG");
  ::setenv("NCCL_DEBUG_FILE", "/dev/null", 1);
  EXPECT_EQ(NcclLog(nullptr).take(), std::nullopt);
  EXPECT_EQ(value("NCCL_DEBUG_FILE"), "/dev/null");
}

}  // namespace
}  // namespace lockstep
