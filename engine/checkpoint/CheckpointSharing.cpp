#include "engine/checkpoint/CheckpointSharing.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/File.h"
#include "common/RegularFile.h"
#include "engine/collectives/Agreement.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// What a rank does with a piece of a file: the source before it is sent, the others when it has come.
using Part = std::function<void(const ListedFile& file, std::uint64_t at, std::span<std::byte> piece)>;

std::vector<bool> ranks_without(const std::vector<Listing>& listings, std::int64_t step) {
  std::vector<bool> without;
  for (const Listing& listing : listings) without.push_back(!listing.contains(step));
  return without;
}

bool any(const std::vector<bool>& ranks) { return std::ranges::count(ranks, true) > 0; }

/// A checkpoint, and the first rank that has it.
struct Candidate {
  ListedCheckpoint checkpoint;
  int source = 0;
};

// Those of this job that all ranks can use once those have it that do not find it, newest first.
std::vector<Candidate> candidates(const std::vector<Listing>& listings, const std::string& job) {
  std::map<std::int64_t, Candidate, std::greater<>> firsts;
  for (std::size_t rank = 0; rank < listings.size(); ++rank) {
    for (const auto& [step, checkpoint] : listings[rank]) {
      firsts.try_emplace(step, Candidate{.checkpoint = checkpoint, .source = static_cast<int>(rank)});
    }
  }
  std::vector<Candidate> found;
  for (const auto& [step, first] : firsts) {
    const bool fits =
        first.checkpoint.problem.empty() && first.checkpoint.job == job &&
        std::ranges::all_of(listings, [step = step, &first = first](const Listing& listing) {
          const auto own = listing.find(step);
          return own == listing.end() || (own->second.problem.empty() && own->second.digest == first.checkpoint.digest);
        });
    if (fits) found.push_back(first);
  }
  return found;
}

// One directory of one host, by whatever name.
std::string place_of(const CheckpointDirectory& directory, int host) {
  std::error_code error;
  const fs::path path = fs::weakly_canonical(fs::absolute(directory.path()), error);
  return std::to_string(host) + " " + (error ? directory.path() : path).string();
}

// The first of the ranks without it that name the same place.
std::set<int> first_of_each_place(const std::vector<bool>& without, const std::vector<std::string>& places) {
  std::set<int> ranks;
  std::set<std::string> served;
  for (std::size_t rank = 0; rank < without.size(); ++rank) {
    if (without[rank] && served.insert(places[rank]).second) ranks.insert(static_cast<int>(rank));
  }
  return ranks;
}

// Whether all ranks that have it can use it.
bool usable(Communicator& communicator, std::int64_t step, const CheckpointCheck& check, bool here) {
  const std::vector<std::string> all = communicator.all_gather(here ? problem_with(step, check) : "");
  return std::ranges::all_of(all, [](const std::string& text) { return text.empty(); });
}

// The source's list, on all ranks.
std::vector<ListedFile> share_files(Communicator& communicator, const CheckpointDirectory& directory, std::int64_t step,
                                    int source) {
  json list = json::array();
  require_all_ok(communicator, [&] {
    if (communicator.rank() != source) return;
    for (const ListedFile& file : directory.files(step)) list.push_back({file.name, file.bytes, file.crc32c});
  });
  std::vector<ListedFile> files;
  const std::vector<std::string> lists = communicator.all_gather(list.dump());
  for (const json& file : parse_json(lists.at(static_cast<std::size_t>(source)), "a rank's list of files")) {
    files.push_back({.name = file[0], .bytes = file[1], .crc32c = file[2]});
  }
  return files;
}

void read_piece(const fs::path& path, std::uint64_t at, std::span<std::byte> piece) {
  const auto count = read_bytes_at(open_regular_file(path), at, piece);
  if (!count) throw InputError(with_errno("cannot read " + path.string()));
  if (*count < piece.size()) throw InputError(path.string() + " became shorter while it was read");
}

// Every rank takes part in every piece, whatever becomes of what it does with them: the first error is thrown at the
// end. A file without bytes is one piece too.
void pass_files(Communicator& communicator, const std::vector<ListedFile>& files, int source, std::size_t piece_bytes,
                const Part& part) {
  std::vector<std::byte> piece(piece_bytes);
  std::exception_ptr failure;
  const auto do_part = [&](const ListedFile& file, std::uint64_t at, std::span<std::byte> bytes) {
    if (failure) return;
    try {
      part(file, at, bytes);
    } catch (...) {
      failure = std::current_exception();
    }
  };
  for (const ListedFile& file : files) {
    std::uint64_t at = 0;
    do {
      const auto bytes = std::span(piece).first(std::min<std::uint64_t>(piece_bytes, file.bytes - at));
      if (communicator.rank() == source) do_part(file, at, bytes);
      communicator.broadcast(bytes.data(), bytes.size(), DataType::kByte, source)->wait();
      if (communicator.rank() != source) do_part(file, at, bytes);
      at += bytes.size();
    } while (at < file.bytes);
  }
  if (failure) std::rethrow_exception(failure);
}

bool has(const CheckpointDirectory& directory, const ListedCheckpoint& checkpoint) {
  return std::ranges::any_of(directory.list(), [&](const ListedCheckpoint& one) {
    return one.step == checkpoint.step && one.problem.empty() && one.digest == checkpoint.digest;
  });
}

// Throws CollectiveError unless it is in the directories of all ranks that write. Returns whether this rank wrote it.
bool bring(Communicator& communicator, const CheckpointDirectory& directory, const Candidate& candidate, bool writes,
           std::size_t piece_bytes) {
  const ListedCheckpoint& checkpoint = candidate.checkpoint;
  const std::vector<ListedFile> files = share_files(communicator, directory, checkpoint.step, candidate.source);
  const fs::path path = directory.path_of(checkpoint.step);
  bool passed = false;
  const auto pass = [&](const Part& part) {
    passed = true;
    pass_files(communicator, files, candidate.source, piece_bytes, part);
  };
  const auto receive = [&](const fs::path& made) {
    std::optional<OutputFile> output;
    pass([&](const ListedFile& file, std::uint64_t at, std::span<std::byte> piece) {
      if (at == 0) output.emplace(made / file.name);
      output->write(piece);
      if (at + piece.size() == file.bytes) output->close();
    });
    // From a host that shares this directory, though nothing has said so.
    if (fs::exists(path)) throw SystemError(path.string() + " has come from elsewhere");
  };
  std::exception_ptr failure;
  try {
    if (communicator.rank() == candidate.source) {
      pass([&](const ListedFile& file, std::uint64_t at, std::span<std::byte> piece) {
        read_piece(path / file.name, at, piece);
      });
    } else if (writes) {
      directory.write(checkpoint.step, receive, checkpoint.digest);
    }
  } catch (const PeerError&) {
    throw;
  } catch (...) {
    failure = std::current_exception();
  }
  // Those that only watch, and those that could not even begin.
  if (!passed) pass([](const ListedFile&, std::uint64_t, std::span<std::byte>) {});
  require_all_ok(communicator, [&] {
    if (!failure || (writes && has(directory, checkpoint))) return;
    const auto say = [&](const char* cause) {
      return "the checkpoint " + checkpoint_name(checkpoint.step) +
             (writes ? " of rank " + std::to_string(candidate.source) + " cannot be brought to " +
                           directory.path().string()
                     : " cannot be sent to hosts that do not have it") +
             ": " + cause + ". With resume=never the job starts anew without it";
    };
    try {
      std::rethrow_exception(failure);
    } catch (const Error& error) {
      throw Error(error.exit_code(), say(error.what()));
    } catch (const fs::filesystem_error& error) {
      throw SystemError(say(error.what()));
    }
  });
  return writes && !failure;
}

}  // namespace

std::optional<BroughtCheckpoint> bring_checkpoint(Communicator& communicator, const CheckpointDirectory& directory,
                                                  const CheckpointCheck& check, int host, std::size_t piece_bytes) {
  const std::vector<Listing> listings = list_on_all_ranks(communicator, directory);
  const std::vector<Candidate> found = candidates(listings, directory.job_digest());
  // Else there is no need to read them: so it is where all see one directory.
  if (std::ranges::none_of(found, [&](const auto& one) { return any(ranks_without(listings, one.checkpoint.step)); })) {
    return {};
  }
  const std::vector<std::string> places = communicator.all_gather(place_of(directory, host));
  const int rank = communicator.rank();
  for (const Candidate& candidate : found) {
    const std::int64_t step = candidate.checkpoint.step;
    const std::vector<bool> without = ranks_without(listings, step);
    if (!usable(communicator, step, check, !without[static_cast<std::size_t>(rank)])) continue;
    const std::set<int> writers = first_of_each_place(without, places);
    if (writers.empty()) return {};
    // Before any rank begins to write: the directory may be another writer's too.
    if (writers.contains(rank)) directory.remove_leftovers();
    const bool wrote = bring(communicator, directory, candidate, writers.contains(rank), piece_bytes);
    return BroughtCheckpoint{.step = step, .hosts = static_cast<int>(writers.size()), .here = wrote};
  }
  return {};
}

bool has_own_place(Communicator& communicator, const CheckpointDirectory& directory, int host) {
  const std::vector<std::string> places = communicator.all_gather(place_of(directory, host));
  const int rank = communicator.rank();
  const bool first = first_of_each_place(std::vector<bool>(places.size(), true), places).contains(rank);
  // A name that nobody has asked for before: a file system of several hosts may remember that one was missing.
  std::random_device random;
  const std::vector<std::string> names = communicator.all_gather(directory.hidden_prefix() + std::to_string(random()));
  std::error_code ignored;
  const auto probe = [&](std::size_t of) { return directory.path() / names[of]; };
  if (first) {
    fs::create_directories(directory.path(), ignored);
    fs::create_directory(probe(static_cast<std::size_t>(rank)), ignored);
  }
  communicator.barrier();
  bool own = first;
  for (int before = 0; before < rank; ++before) own &= !fs::exists(probe(static_cast<std::size_t>(before)), ignored);
  communicator.barrier();
  if (first) fs::remove(probe(static_cast<std::size_t>(rank)), ignored);
  return own;
}

}  // namespace lockstep
