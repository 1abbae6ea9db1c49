#include "engine/checkpoint/CheckpointSharing.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <nlohmann/json.hpp>
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

/// What a rank does with a piece of a file: rank 0 before it is sent, the others when it has come.
using Part = std::function<void(const ListedFile& file, std::uint64_t at, std::span<std::byte> piece)>;

std::vector<bool> ranks_without(const std::vector<Listing>& listings, std::int64_t step) {
  std::vector<bool> without;
  for (const Listing& listing : listings) without.push_back(!listing.contains(step));
  return without;
}

bool any(const std::vector<bool>& ranks) { return std::ranges::count(ranks, true) > 0; }

// Rank 0's of this job that all ranks can use once those have it that do not find it, newest first.
std::vector<ListedCheckpoint> candidates(const std::vector<Listing>& listings, const std::string& job) {
  std::vector<ListedCheckpoint> found;
  for (const auto& [step, checkpoint] : listings[0]) {
    const bool fits =
        checkpoint.problem.empty() && checkpoint.job == job &&
        std::ranges::all_of(listings, [step = step, &checkpoint = checkpoint](const Listing& listing) {
          const auto own = listing.find(step);
          return own == listing.end() || (own->second.problem.empty() && own->second.digest == checkpoint.digest);
        });
    if (fits) found.insert(found.begin(), checkpoint);
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
bool usable(Communicator& communicator, const CheckpointDirectory& directory, std::int64_t step,
            const CheckpointCheck& check, bool here) {
  const std::vector<std::string> all = communicator.all_gather(here ? problem_with(directory, step, check) : "");
  return std::ranges::all_of(all, [](const std::string& text) { return text.empty(); });
}

// Rank 0's list, on all ranks.
std::vector<ListedFile> share_files(Communicator& communicator, const CheckpointDirectory& directory,
                                    std::int64_t step) {
  json list = json::array();
  require_all_ok(communicator, [&] {
    if (communicator.rank() != 0) return;
    for (const ListedFile& file : directory.files(step)) list.push_back({file.name, file.bytes, file.crc32c});
  });
  std::vector<ListedFile> files;
  for (const json& file : parse_json(communicator.all_gather(list.dump()).at(0), "rank 0's list of files")) {
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
void pass_files(Communicator& communicator, const std::vector<ListedFile>& files, std::size_t piece_bytes,
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
      if (communicator.rank() == 0) do_part(file, at, bytes);
      communicator.broadcast(bytes.data(), bytes.size(), DataType::kByte, 0)->wait();
      if (communicator.rank() != 0) do_part(file, at, bytes);
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
bool bring(Communicator& communicator, const CheckpointDirectory& directory, const ListedCheckpoint& checkpoint,
           bool writes, std::size_t piece_bytes) {
  const std::vector<ListedFile> files = share_files(communicator, directory, checkpoint.step);
  const fs::path path = directory.path_of(checkpoint.step);
  bool passed = false;
  const auto pass = [&](const Part& part) {
    passed = true;
    pass_files(communicator, files, piece_bytes, part);
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
    if (communicator.rank() == 0) {
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
             (writes ? " of rank 0 cannot be brought to " + directory.path().string()
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
  const std::vector<ListedCheckpoint> found = candidates(listings, directory.job_digest());
  // Else there is no need to read them: so it is where all see one directory.
  if (std::ranges::none_of(found, [&](const auto& one) { return any(ranks_without(listings, one.step)); })) return {};
  const std::vector<std::string> places = communicator.all_gather(place_of(directory, host));
  const int rank = communicator.rank();
  for (const ListedCheckpoint& checkpoint : found) {
    const std::vector<bool> without = ranks_without(listings, checkpoint.step);
    if (!usable(communicator, directory, checkpoint.step, check, !without[static_cast<std::size_t>(rank)])) continue;
    const std::set<int> writers = first_of_each_place(without, places);
    if (writers.empty()) return {};
    // Before any rank begins to write: the directory may be another writer's too.
    if (writers.contains(rank)) directory.remove_leftovers();
    const bool wrote = bring(communicator, directory, checkpoint, writers.contains(rank), piece_bytes);
    return BroughtCheckpoint{.step = checkpoint.step, .hosts = static_cast<int>(writers.size()), .here = wrote};
  }
  return {};
}

}  // namespace lockstep
