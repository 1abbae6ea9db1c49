#include "engine/data/BadRecords.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr std::int64_t kAtOnce = 64;

/// What threads find together.
struct Search {
  std::atomic<std::int64_t> next;
  std::atomic<bool> over = false;
  std::mutex mutex{};
  std::vector<BadRecord> found{};
  std::exception_ptr error{};
};

// Each on its own: one that is bad does not hide the others.
void read_each(const Dataset& dataset, const Slice& samples, std::int64_t most, Search& search) {
  std::vector<std::vector<std::byte>> memory;
  std::vector<std::byte*> places;
  for (const Field& field : dataset.spec().fields) places.push_back(memory.emplace_back(field.bytes()).data());
  while (!search.over) {
    const std::int64_t begin = search.next.fetch_add(kAtOnce);
    if (begin >= samples.end) return;
    for (std::int64_t sample = begin; sample < std::min(begin + kAtOnce, samples.end); ++sample) {
      try {
        dataset.read({&sample, 1}, places);
      } catch (const InputError& error) {
        const std::lock_guard lock(search.mutex);
        search.found.push_back({.sample = sample, .why = error.what()});
        if (static_cast<std::int64_t>(search.found.size()) > most) search.over = true;
      }
    }
  }
}

}  // namespace

std::vector<BadRecord> find_bad_records(const Dataset& dataset, const Slice& samples, std::int64_t most, int threads) {
  Search search{.next = samples.begin};
  {
    std::vector<std::jthread> readers;
    for (int i = 0; i < threads; ++i) {
      readers.emplace_back([&] {
        try {
          read_each(dataset, samples, most, search);
        } catch (...) {
          const std::lock_guard lock(search.mutex);
          search.error = std::current_exception();
          search.over = true;
        }
      });
    }
  }
  if (search.error) std::rethrow_exception(search.error);
  std::ranges::sort(search.found, {}, &BadRecord::sample);
  return std::move(search.found);
}

}  // namespace lockstep
