// The real library, which needs no GPU to load.
#include "engine/collectives/NcclApi.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "common/Error.h"
#include "engine/collectives/NcclNetwork.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

TEST(NcclApi, TheLibraryOfTheInstallationHasEveryFunction) {
  const auto loaded = load_nccl();
  NcclApi api = *loaded;
  const auto is_there = [](const auto& call) { EXPECT_TRUE(call.function) << call.name; };
  api.for_each(is_there, is_there);
  int version = 0;
  api.run({0, "asking"}, api.get_version, &version);
  EXPECT_GE(version, NCCL_VERSION(2, 28, 0));
  EXPECT_EQ(nccl_version_text(version).substr(0, 2), "2.");
  EXPECT_STREQ(api.get_error_string.function(ncclSuccess), "no error");
}

TEST(NcclApi, ItsFunctionsAreWhereTheirNamesSay) {
  const auto api = load_nccl();
  EXPECT_ERROR(
      api->run({2, "all_reduce", 1, DataType::kFloat32}, api->all_reduce, static_cast<const void*>(nullptr),
               static_cast<void*>(nullptr), std::size_t{1}, ncclFloat32, ncclSum, ncclComm_t{}, cudaStream_t{}),
      InternalError, "rank 2: all_reduce of 1 elements of float32: ncclAllReduce: invalid argument",
      "NCCL's last error: AllReduce");
}

// It writes where NcclLog wants it, and no more after that.
TEST(NcclApi, TheLibrarysLogIsTaken) {
  for (const char* name : {"NCCL_DEBUG", "NCCL_DEBUG_FILE", "NCCL_DEBUG_SUBSYS"}) ::unsetenv(name);
  const auto api = load_nccl();
  ASSERT_TRUE(NcclLog::reset_of_loaded_nccl());
  const auto say_something = [&] {
    api->all_reduce.function(nullptr, nullptr, 1, ncclFloat32, ncclSum, nullptr, nullptr);
  };
  say_something();  // its variables have been read
  for (const bool user_wants_warnings : {false, true}) {
    if (user_wants_warnings) ::setenv("NCCL_DEBUG", "WARN", 1);
    NcclLog log;
    say_something();
    testing::internal::CaptureStderr();
    const std::string lines = log.take().value_or("");
    const std::string warnings = testing::internal::GetCapturedStderr();
    EXPECT_NE(lines.find("NCCL INFO"), std::string::npos) << lines;
    EXPECT_EQ(warnings.find("NCCL WARN AllReduce") != std::string::npos, user_wants_warnings) << warnings;
    testing::internal::CaptureStdout();
    say_something();
    const std::string later = testing::internal::GetCapturedStdout();
    EXPECT_EQ(later.find("NCCL WARN AllReduce") != std::string::npos, user_wants_warnings) << later;
  }
  ::unsetenv("NCCL_DEBUG");
}

TEST(NcclApi, WithoutALibraryTheErrorSaysWhatToInstall) {
  const TemporaryDirectory directory;
  const std::string absent = (directory / "libnccl.so.2").string();
  EXPECT_ERROR(load_nccl(absent), InputError, "NCCL cannot be loaded: " + absent + ": cannot open", "2.19 or newer",
               "nvidia-nccl-cu13", "LD_LIBRARY_PATH");
  EXPECT_ERROR(load_nccl("libm.so.6"), InputError, "libm.so.6 has no function ncclGetVersion", "2.19 or newer");
}

TEST(NcclApi, VersionsAsPeopleWriteThem) {
  EXPECT_EQ(nccl_version_text(22809), "2.28.9");
  EXPECT_EQ(nccl_version_text(21912), "2.19.12");
}

}  // namespace
}  // namespace lockstep
