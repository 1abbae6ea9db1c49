// Files of arrays that were changed at random, and what a job does to a channel before its first step: each is refused
// or read. `make soak` tries many.
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <random>

#include "tests/support/HostileCases.h"
#include "tests/support/HostileFiles.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

// A few bytes become others, digits above all; or a part is cut out, doubled or moved to the end.
std::string changed(std::string bytes, std::mt19937& random) {
  const auto below = [&](std::size_t most) { return random() % std::max<std::size_t>(most, 1); };
  for (std::size_t changes = 1 + below(4); changes-- > 0 && !bytes.empty();) {
    const std::size_t at = below(bytes.size());
    switch (below(6)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = "0123456789-,'()[]{}<>|fiubTF:"[below(29)];
        break;
      case 2:
        bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1U << below(8)));
        break;
      case 3:
        bytes.erase(at, below(32));
        break;
      case 4:
        bytes.insert(at, bytes.substr(below(bytes.size()), below(32)));
        break;
      default:
        bytes.insert(at, std::string(1 + below(16), '9'));
    }
  }
  return bytes;
}

TEST(HostileArrays, AreRefusedOrRead) {
  const int count = soaking() ? 400'000 : 8'000;
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "a");
  const std::vector<HostileFile> all = hostile_files();
  const auto base = [&](int i) -> const HostileFile& { return all[static_cast<std::size_t>(i) % all.size()]; };
  const auto run = [&](int i) {
    std::mt19937 random(static_cast<unsigned>(i));
    for (const HostileFile& other : all) {
      std::filesystem::remove(directory / other.file);
      if (other.beside[0] != '\0') std::filesystem::remove(directory / other.beside);
    }
    if (base(i).beside[0] != '\0') std::ofstream(directory / base(i).beside, std::ios::binary) << base(i).bytes_beside;
    std::ofstream(directory / base(i).file, std::ios::binary) << base(i).framed(changed(base(i).bytes, random));
    read_hostile_channel(directory.path(), static_cast<std::size_t>(i) / all.size() % 2);
  };
  const CaseResults results = run_hostile_cases(count, run, [&](int i) { return std::string(base(i).file); });
  for (const std::string& failure : results.failures) ADD_FAILURE() << failure;
  std::cout << results.accepted << " accepted, " << results.refused << " refused\n";
  EXPECT_GT(results.accepted, count / 100);
  EXPECT_GT(results.refused, count / 4);
}

// Wherever a file ends too early, what remains is read, or the message says of which file. A large one is cut at some
// places only.
TEST(HostileArrays, EveryCutIsReadOrNamed) {
  const TemporaryDirectory directory;
  const std::vector<HostileFile> all = hostile_files();
  std::vector<std::pair<std::size_t, std::size_t>> cuts;  // of a file, its first bytes
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::size_t step = soaking() ? 1 : 1 + all[i].bytes.size() / 150;
    for (std::size_t bytes = 0; bytes < all[i].bytes.size(); bytes += step) cuts.emplace_back(i, bytes);
  }
  const auto run = [&](int i) {
    const auto [number, bytes] = cuts[static_cast<std::size_t>(i)];
    const HostileFile& file = all[number];
    const auto channel = directory / std::to_string(number);
    std::filesystem::create_directories((channel / file.file).parent_path());
    if (file.beside[0] != '\0') std::ofstream(channel / file.beside, std::ios::binary) << file.bytes_beside;
    std::ofstream(channel / file.file, std::ios::binary) << file.framed(file.bytes.substr(0, bytes));
    try {
      read_hostile_channel(channel, i % 2);
    } catch (const InternalError&) {
      throw;
    } catch (const Error& error) {
      if (std::string(error.what()).find(channel.string()) != std::string::npos) throw;
      throw InternalError(std::string("it does not say where: ") + error.what());
    }
  };
  const auto describe = [&](int i) {
    const auto [number, bytes] = cuts[static_cast<std::size_t>(i)];
    return std::string(all[number].file) + " cut at byte " + std::to_string(bytes);
  };
  const CaseResults results = run_hostile_cases(static_cast<int>(cuts.size()), run, describe);
  for (const std::string& failure : results.failures) ADD_FAILURE() << failure;
  EXPECT_GT(results.refused, static_cast<int>(cuts.size()) / 2);
}

}  // namespace
}  // namespace lockstep
