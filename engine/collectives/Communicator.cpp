#include "engine/collectives/Communicator.h"

#include <algorithm>
#include <cstdint>
#include <thread>

#include "common/Error.h"

namespace lockstep {

std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return 4;
    case DataType::kFloat64:
    case DataType::kInt64:
      return 8;
    case DataType::kByte:
      return 1;
  }
  throw InternalError("unknown data type");
}

const char* name_of(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return "float32";
    case DataType::kFloat64:
      return "float64";
    case DataType::kInt64:
      return "int64";
    case DataType::kByte:
      return "byte";
  }
  throw InternalError("unknown data type");
}

void Communicator::await(const std::function<bool()>& done) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kAttentive(1);
  constexpr std::chrono::microseconds kNap(50);
  const auto start = Clock::now();
  for (;;) {
    bool finished = false;
    try {
      finished = done();
    } catch (...) {
      check();
      throw;
    }
    // After the question: an abort also ends what is enqueued, and nothing good comes of it.
    check();
    if (finished) return;
    const auto waited = Clock::now() - start;
    if (waited > wait_deadline()) {
      give_up("the device has not done within " +
              std::to_string(std::chrono::duration_cast<std::chrono::seconds>(wait_deadline()).count()) +
              " s what was enqueued");
    }
    if (waited < kAttentive) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kNap);
    }
  }
}

void Communicator::give_up(const std::string& text) {
  throw SystemError(text + ": it may be stuck; its driver's messages (dmesg) may say why");
}

std::vector<std::string> Communicator::all_gather(std::string_view text) {
  const auto ranks = static_cast<std::size_t>(size());
  std::vector<std::int64_t> lengths(ranks);
  const auto length = static_cast<std::int64_t>(text.size());
  all_gather(&length, lengths.data(), 1, DataType::kInt64)->wait();
  const auto longest = static_cast<std::size_t>(*std::ranges::max_element(lengths));
  std::string padded(text);
  padded.resize(longest);
  std::string all(longest * ranks, '\0');
  all_gather(padded.data(), all.data(), longest, DataType::kByte)->wait();
  std::vector<std::string> texts;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    texts.push_back(all.substr(rank * longest, static_cast<std::size_t>(lengths[rank])));
  }
  return texts;
}

}  // namespace lockstep
