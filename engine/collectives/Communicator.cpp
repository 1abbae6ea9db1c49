#include "engine/collectives/Communicator.h"

#include <algorithm>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <utility>

#include "common/Error.h"
#include "watch/RankState.h"

namespace lockstep {

namespace {

/// The caller waits in a collective for as long as this lives.
class Waiting {
 public:
  Waiting(CollectiveLog& log, std::uint64_t sequence) : log_(log) { log_.begin_waiting(sequence); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() { log_.end_waiting(); }

 private:
  CollectiveLog& log_;
};

/// A collective's entry in the log, which is noted as left when this ends, if not before.
class LogEntry {
 public:
  LogEntry(std::shared_ptr<CollectiveLog> log, Collective operation, std::size_t count, DataType type)
      : log_(std::move(log)), sequence_(log_->enter(operation, count, type)) {}
  LogEntry(LogEntry&& other) noexcept = default;
  LogEntry& operator=(LogEntry&&) = delete;
  ~LogEntry() { leave(); }

  void leave() {
    if (log_) log_->leave(sequence_);
    log_.reset();
  }
  bool is_open() const { return log_ != nullptr; }
  Waiting waiting() const { return {*log_, sequence_}; }

 private:
  std::shared_ptr<CollectiveLog> log_;  ///< none when it was left, or moved from
  std::uint64_t sequence_;
};

/// Notes in the log when the caller waits, and when it no longer does.
class LoggedWork final : public Work {
 public:
  LoggedWork(std::unique_ptr<Work> work, LogEntry entry) : entry_(std::move(entry)), work_(std::move(work)) {}
  LoggedWork(const LoggedWork&) = delete;
  LoggedWork& operator=(const LoggedWork&) = delete;
  ~LoggedWork() override {
    if (!entry_.is_open()) return;
    const auto waiting = entry_.waiting();
    work_.reset();
  }

  void wait() override {
    if (!entry_.is_open()) return work_->wait();
    {
      const auto waiting = entry_.waiting();
      work_->wait();
    }
    entry_.leave();
  }

 private:
  LogEntry entry_;
  std::unique_ptr<Work> work_;  ///< before the entry its end is waited for
};

/// What ranks compare.
struct Call {
  std::uint64_t sequence;
  std::uint64_t operation;
  std::uint64_t count;
  std::uint64_t type;

  bool operator==(const Call&) const = default;
};

std::string describe(const Call& call) {
  return describe(LastCollective{.sequence = call.sequence,
                                 .operation = static_cast<Collective>(call.operation),
                                 .count = call.count,
                                 .type = static_cast<DataType>(call.type)});
}

}  // namespace

void Communicator::keep_log_in(CollectiveTrack& track) { log_ = std::make_shared<CollectiveLog>(track); }

void Communicator::compare(Collective operation, std::size_t count, DataType type) {
  const std::uint64_t sequence = log_->count();
  const Call own = {sequence, static_cast<std::uint64_t>(operation), count, static_cast<std::uint64_t>(type)};
  std::vector<Call> calls(static_cast<std::size_t>(size()));
  comparison_->by.do_all_gather(&own, calls.data(), sizeof own, DataType::kByte)->wait();
  const auto times = [&](const Call& call) { return std::ranges::count(calls, call); };
  const Call most = *std::ranges::max_element(calls, {}, times);
  const auto other = std::ranges::find_if(calls, [&](const Call& call) { return call != most; });
  if (other == calls.end()) return;
  const auto name = [&](auto call) { return comparison_->names.at(static_cast<std::size_t>(call - calls.begin())); };
  throw CollectiveError(kExitRankFailed, name(other) + " makes " + describe(*other) + ", and " +
                                             (times(most) > 1 ? std::to_string(times(most)) + " ranks make "
                                                              : name(std::ranges::find(calls, most)) + " makes ") +
                                             describe(most) + comparison_->where());
}

template <typename Start>
auto Communicator::logged(Collective operation, std::size_t count, DataType type, const Start& start) {
  LogEntry entry(log_, operation, count, type);
  const auto waiting = entry.waiting();
  if (comparison_) compare(operation, count, type);
  if constexpr (std::is_void_v<decltype(start())>) {
    start();
  } else {
    auto work = start();
    return std::make_unique<LoggedWork>(std::move(work), std::move(entry));
  }
}

std::unique_ptr<Work> Communicator::all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp op) {
  return logged(Collective::kAllReduce, count, type, [&] { return do_all_reduce(buffer, count, type, op); });
}

std::unique_ptr<Work> Communicator::reduce_scatter(const void* buffer, void* output, std::size_t count, DataType type,
                                                   ReduceOp op) {
  return logged(Collective::kReduceScatter, count, type,
                [&] { return do_reduce_scatter(buffer, output, count, type, op); });
}

std::unique_ptr<Work> Communicator::all_gather(const void* input, void* output, std::size_t count, DataType type) {
  return logged(Collective::kAllGather, count, type, [&] { return do_all_gather(input, output, count, type); });
}

std::unique_ptr<Work> Communicator::broadcast(void* buffer, std::size_t count, DataType type, int root) {
  return logged(Collective::kBroadcast, count, type, [&] { return do_broadcast(buffer, count, type, root); });
}

void Communicator::barrier() {
  logged(Collective::kBarrier, 0, DataType::kByte, [this] { do_barrier(); });
}

std::vector<std::string> Communicator::all_gather(std::string_view text) { return do_gather_texts(text); }

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
    const auto waited = Clock::now() - start;
    if (finished) return log_->add_waited(waited);
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

std::vector<std::string> Communicator::do_gather_texts(std::string_view text) {
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
