#include "engine/collectives/Agreement.h"

#include <algorithm>
#include <exception>
#include <new>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/collectives/FirstWord.h"

namespace lockstep {

namespace {

// An exit code and a text as one: what a rank has to say about a phase. "" when it went well.
std::string outcome(const std::function<void()>& phase) {
  const auto encode = [](int code, const std::string& text) { return std::to_string(code) + " " + text; };
  try {
    phase();
    return "";
  } catch (const Error& error) {
    return encode(error.exit_code(), error.what());
  } catch (const std::bad_alloc&) {
    return encode(kExitRankFailed, "out of memory");
  } catch (const std::exception& error) {
    return encode(kExitInternal, error.what());
  }
}

}  // namespace

void require_agreement(Communicator& communicator, const std::vector<std::pair<std::string, std::string>>& items) {
  // The items' texts travel as one, each with its lengths before it, so that any byte may occur in them.
  std::string mine;
  for (const auto& [name, value] : items) {
    for (const std::string& part : {name, value}) mine += std::to_string(part.size()) + ":" + part;
  }
  const std::vector<std::string> all = communicator.all_gather(mine);
  const auto parse = [](const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t colon = text.find(':', at);
      const std::size_t length = std::stoul(text.substr(at, colon - at));
      parts.push_back(text.substr(colon + 1, length));
      at = colon + 1 + length;
    }
    return parts;
  };
  const auto differing = std::ranges::find_if(all, [&](const std::string& text) { return text != all[0]; });
  if (differing == all.end()) return;
  const std::vector<std::string> first = parse(all[0]);
  const std::vector<std::string> other = parse(*differing);
  std::size_t i = 0;
  while (i < std::min(first.size(), other.size()) && first[i] == other[i]) ++i;
  const auto item = [&](const std::vector<std::string>& parts) {
    const std::size_t name = i / 2 * 2;
    if (name + 1 >= parts.size()) return std::string("nothing");
    return parts[name] + " = " + in_quotes(parts[name + 1]);
  };
  throw CollectiveError(kExitBadInput, "the ranks do not have the same job: rank 0 has " + item(first) + ", rank " +
                                           std::to_string(differing - all.begin()) + " has " + item(other));
}

void require_all_ok(Communicator& communicator, const std::function<void()>& phase) {
  const std::vector<std::string> all = communicator.all_gather(outcome(phase));
  const auto failed = first_word(all);
  if (!failed) return;
  const std::size_t space = failed->text.find(' ');
  const auto code = static_cast<ExitCode>(std::stoi(failed->text.substr(0, space)));
  std::string text = failed->text.substr(space + 1);
  const bool alike = std::ranges::all_of(all, [&](const std::string& other) { return other == failed->text; });
  if (!alike) text = "rank " + std::to_string(failed->rank) + " of " + std::to_string(all.size()) + ": " + text;
  throw CollectiveError(code, text);
}

}  // namespace lockstep
