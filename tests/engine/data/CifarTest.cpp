// CIFAR's binary version: which files are taken for it, and what they hold.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "engine/data/ProgramSamples.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Pixels count from `first`.
std::string record(const std::string& labels, int first) {
  std::string bytes = labels;
  for (int i = 0; i < 3072; ++i) bytes += static_cast<char>(first + i);
  return bytes;
}

class Cifar : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  OpenedChannel open() { return Formats::builtin().open(directory_.path()); }

  TemporaryDirectory directory_;
};

TEST_F(Cifar, OfTenClasses) {
  write("data_batch_2.bin", record("\7", 2));
  write("data_batch_1.bin", record("\3", 0) + record("\11", 1));
  write("batches.meta.txt", "airplane\n");
  const OpenedChannel channel = open();
  EXPECT_EQ(channel.format, "CIFAR");
  EXPECT_EQ(channel.passed_over.names, std::vector<std::string>{"batches.meta.txt"});
  const Dataset& data = *channel.dataset;
  EXPECT_EQ(data.size(), 3);
  EXPECT_EQ(read_field<std::uint8_t>(data, "targets", {2, 0, 1}), (Bytes{7, 3, 9}));
  const Bytes pixels = read_field<std::uint8_t>(data, "inputs", {2, 1});
  EXPECT_EQ(pixels[0], 2);
  EXPECT_EQ(pixels[3071], static_cast<std::uint8_t>(2 + 3071));
  EXPECT_EQ(pixels[3072], 1);
  const ProgramSamples samples(channel.dataset, {{.name = "x"}}, {});
  EXPECT_EQ(samples.classes(), 10);
  EXPECT_EQ(samples.input(0).sizes, (std::vector<std::int64_t>{3, 32, 32}));
}

TEST_F(Cifar, OfAHundredClasses) {
  write("train.bin", record(std::string("\23\143", 2), 0) + record(std::string("\0\1", 2), 1));
  write("fine_label_names.txt", "apple\n");
  const OpenedChannel channel = open();
  EXPECT_EQ(channel.format, "CIFAR");
  EXPECT_EQ(read_field<std::uint8_t>(*channel.dataset, "coarse", {0, 1}), (Bytes{19, 0}));
  EXPECT_EQ(read_field<std::uint8_t>(*channel.dataset, "targets", {0, 1}), (Bytes{99, 1}));
  EXPECT_EQ(read_field<std::uint8_t>(*channel.dataset, "inputs", {1})[0], 1);
  const ProgramSamples samples(channel.dataset, {{.name = "x"}}, {});
  EXPECT_EQ(samples.classes(), 100);
  EXPECT_EQ(samples.input(0).numbers(), 3072);
}

// nanoGPT's tokens have that name.
TEST_F(Cifar, ATrainBinAloneIsTokens) {
  write("train.bin", record(std::string("\0\1", 2), 1));
  EXPECT_ERROR(open(), InputError, "files of tokens");
}

TEST_F(Cifar, RefusesWhatIsDamagedOrMixed) {
  const std::string good = record("\3", 0) + record("\4", 1);
  for (const std::size_t size : {1U, 3072U, 3074U, 6145U}) {
    write("test_batch.bin", good.substr(0, size));
    EXPECT_ERROR(open(), InputError, "test_batch.bin ends at byte " + std::to_string(size), "a record of 3073 bytes");
  }
  write("test_batch.bin", record("\3", 0) + record("\12", 1));
  EXPECT_ERROR(open(), InputError, "test_batch.bin, at byte 3073: the label is 10", "0 … 9");
  write("test_batch.bin", good);
  write("data_batch_1.bin", good);
  EXPECT_ERROR(open(), InputError, "data_batch_1.bin and test_batch.bin", "another channel");
}

TEST_F(Cifar, AFileThatShrinksWhileItIsReadIsNamed) {
  write("test_batch.bin", record("\3", 0) + record("\4", 1));
  const OpenedChannel channel = open();
  write("test_batch.bin", record("\3", 0) + "\4");
  EXPECT_ERROR(read_field<std::uint8_t>(*channel.dataset, "inputs", {1}), InputError,
               "test_batch.bin is truncated: it ends at byte 3074");
}

}  // namespace
}  // namespace lockstep
